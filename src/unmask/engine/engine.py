"""The engine: rows of any strategies, submitted and cancelled between steps, in shared forwards.

No threads, no clock, no network: whoever holds an engine decides when it steps. Shapes: b rows.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from unmask.core.checks import check_count, check_flag
from unmask.core.generation import Generation
from unmask.core.inference import evaluating, is_out_of_memory, release_memory
from unmask.core.network import Cache, Denoiser, Query, check_denoiser
from unmask.core.state import Change, State, StepInfo
from unmask.decoding import Canvas, Strategy, decide, finish, forward_all, init, prepare
from unmask.decoding.context import error_context, location
from unmask.decoding.inputs import check_basis, check_state, check_strategy
from unmask.decoding.propose import nothing_proposed
from unmask.engine.cohort import Cohort, joined
from unmask.errors import SplitWarning, StrategyError


@dataclass(frozen=True)
class Event:
    """A step of the rows of one strategy, and which of them it finished."""

    ids: np.ndarray  # (b,) int64: the rows that took the step, in the order of `info`
    info: StepInfo  # of these rows alone
    finished: np.ndarray  # ids of those that are finished
    generation: Generation | None  # the record of those, as wide as the widest row beside them
    strategy: Strategy

    def results(self) -> Iterator[tuple[int, Generation]]:
        """Yield each finished row's id and its record, (1,n), cut to its own length."""
        if self.generation is None:
            return
        for i, row in enumerate(self.finished.tolist()):
            yield row, self.generation.take(slice(i, i + 1)).cut()


class Engine:
    """Generates rows of any strategies by one network.

    max_rows: rows that are open at once; others wait their turn, first come, first served.
    max_tokens: positions that are open at once, and in one pass of the trunk, counted twice where
    guidance reads a row twice; a longer row goes alone. Where memory runs out, the rows go on in
    halves from the step that failed, with the same result and one SplitWarning; with a single row,
    or where halves is False, what was raised is raised. The further passes of a verifying strategy
    have max_rows rows and max_tokens positions at most, too.

    Rows of one equal strategy form a cohort, whose forwards are one; cohorts share forwards where
    the network allows it. A row's tokens do not depend on what it shares the engine with.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        *,
        max_rows: int | None = None,
        max_tokens: int | None = None,
        halves: bool = True,
    ):
        check_denoiser(denoiser)
        check_flag("halves", halves)
        for name, most in (("max_rows", max_rows), ("max_tokens", max_tokens)):
            if most is not None:
                check_count(name, most)
        self.denoiser, self.halves = denoiser, halves
        self.max_rows, self.max_tokens = max_rows, max_tokens
        self._next = 0
        self._waiting: deque[Cohort] = deque()
        self._cohorts: list[Cohort] = []
        self._idle: list[Cohort] = []  # rows with nothing to generate, not reported yet
        self._warned = False

    @property
    def unfinished(self) -> np.ndarray:
        """(b,) int64: ids of the rows that are not finished, waiting ones included."""
        every = [cohort.ids for cohort in (*self._cohorts, *self._waiting, *self._idle)]
        return np.concatenate(every) if every else np.zeros(0, np.int64)

    def submit(
        self, canvas: Canvas, strategy: Strategy, seeds: Sequence[int] | Tensor
    ) -> np.ndarray:
        """Take on the rows of a canvas; return their ids (B,) int64. At any time between steps.

        seeds: one integer a row. Raises what `init` raises.
        """
        return self.adopt(init(self.denoiser, canvas, strategy, seeds), strategy)

    def adopt(self, state: State, strategy: Strategy) -> np.ndarray:
        """Take on the rows of a state, begun or not; return their ids (B,) int64.

        Rows with nothing to generate are finished with the next step. Raises StrategyError for a
        strategy under which the state cannot go on.
        """
        check_state(state)
        check_strategy(strategy)
        check_basis(state, strategy, self.denoiser)
        ids = np.arange(self._next, self._next + len(state))
        self._next += len(state)
        state = replace(state, rows=replace(state.rows, index=ids))  # as errors name them
        self._waiting.append(Cohort(strategy, state, ids))
        return ids

    def cancel(self, ids: Iterable[int] | int) -> None:
        """Drop these rows, or this one; unknown and finished ids are passed over."""
        gone = np.array(list(ids) if isinstance(ids, Iterable) else [ids])
        if gone.ndim != 1 or (len(gone) and gone.dtype.kind not in "iu"):
            raise StrategyError(f"cancel({ids!r}): pass ids that submit has returned")
        self._cohorts = _without(self._cohorts, gone)
        self._waiting = deque(_without(self._waiting, gone))
        self._idle = _without(self._idle, gone)

    def release(self, ids: Iterable[int]) -> list[tuple[State, Strategy]]:
        """Give rows up as they are: states and strategies, for `adopt` of an engine of the network.

        Rows keep their ids in `State.rows.index`; unknown and finished ids are passed over.
        """
        gone = np.array(list(ids), np.int64)
        every = (*self._cohorts, *self._waiting, *self._idle)
        found = [cohort.split(np.isin(cohort.ids, gone))[0] for cohort in every]
        self.cancel(gone)
        return [(cohort.state, cohort.strategy) for cohort in found if cohort]

    def step(self) -> list[Event]:
        """Take one step of every open row; return one event for each cohort, none when idle.

        Where a step raises, it is as if it had not been taken: no row is lost, and the next call
        tries it again.
        """
        while True:
            try:
                self._admit()
                with evaluating(self.denoiser):
                    infos = []
                    for cohort, answer in zip(self._cohorts, self._ask(), strict=True):
                        state, strategy, most = cohort.state, cohort.strategy, self._most(cohort)
                        with error_context(state.rows, "the strategy", StrategyError):
                            info = decide(state, strategy, self.denoiser, *answer, max_rows=most)
                        infos.append(info)
                return self._advance(infos)
            except Exception as error:
                if not (self.halves and is_out_of_memory(error) and self._divisible()):
                    raise
            self._halve()

    def _ask(self) -> list[tuple[Query, Tensor, Cache | None]]:
        """The trunk's answers to all cohorts, by as few passes as there can be."""
        if not self._cohorts:
            return []
        rows = [cohort.state.rows for cohort in self._cohorts]
        caches = [cohort.state.cache for cohort in self._cohorts]
        queries = []
        for cohort in self._cohorts:
            with error_context(cohort.state.rows, "the strategy", StrategyError):
                queries.append(prepare(cohort.state, cohort.strategy))
        with error_context(rows, "the network"):
            results = forward_all(self.denoiser, queries, caches, self.max_tokens)
        return [(query, *result) for query, result in zip(queries, results, strict=True)]

    def _most(self, cohort: Cohort) -> int | None:
        """Rows that a further pass of a cohort's step may have; None for no limit."""
        most = [] if self.max_rows is None else [self.max_rows]
        if self.max_tokens is not None:
            state = cohort.state
            most.append(max(1, self.max_tokens // (state.tokens.shape[1] * state.readings)))
        return min(most, default=None)

    def _divisible(self) -> bool:
        """Whether a step can be taken in smaller parts: of fewer rows, or by smaller passes."""
        several = sum(map(len, self._cohorts)) > 1
        passes = any(cohort.strategy.revise.extra_forwards for cohort in self._cohorts)
        return several or (passes and self.max_rows != 1)

    def _advance(self, infos: Sequence[StepInfo]) -> list[Event]:
        """The events of a step, and of rows with nothing to do; the rows that are finished leave.

        All is made before anything is changed.
        """
        events = [_nothing_to_do(cohort) for cohort in self._idle]
        events += [event_of(c, info) for c, info in zip(self._cohorts, infos, strict=True)]
        after = [c.after(info) for c, info in zip(self._cohorts, infos, strict=True)]
        self._cohorts, self._idle = [cohort for cohort in after if cohort], []
        return events

    def _admit(self) -> None:
        """Let waiting rows begin where there is room.

        A row leaves one list when it is in another, so that none is lost where memory runs out.
        """
        begun = False
        while self._waiting:
            idle, cohort = self._waiting[0].split(self._waiting[0].state.rows.finished)
            begin, rest = cohort, None
            if cohort:
                begin, rest = cohort.split(np.arange(len(cohort)) < self._room(cohort))
            self._cohorts += [begin] if begin else []
            self._idle += [idle] if idle else []
            begun |= begin is not None
            if rest:
                self._waiting[0] = rest
                break
            self._waiting.popleft()
        if begun:
            self._cohorts = joined(self._cohorts)

    def _room(self, cohort: Cohort) -> int:
        """How many rows of a cohort may begin, the first ones."""
        room = len(cohort)
        opened = sum(map(len, self._cohorts))
        if self.max_rows is not None:
            room = min(room, self.max_rows - opened)
        if self.max_tokens is not None:
            room = min(room, int((self._positions(cohort) <= self.max_tokens).sum()))
            if not opened and len(cohort):
                room = max(room, 1)
        return max(room, 0)

    def _positions(self, cohort: Cohort) -> np.ndarray:
        """(b,) int64: positions that are open with the first 1, 2, ... rows of a cohort.

        A row that guidance reads twice counts twice. A network with a cache passes every row as
        wide as the widest.
        """
        every = (*self._cohorts, cohort)
        lengths = [c.state.rows.most for c in every]
        if self.denoiser.spec.cached:
            width = max(c.state.tokens.shape[1] for c in every)
            lengths = [np.full(len(c), width) for c in every]
        *opened, ours = [n * c.state.readings for n, c in zip(lengths, every, strict=True)]
        return sum(int(n.sum()) for n in opened) + np.cumsum(ours)

    def _halve(self) -> None:
        """Keep half of the open rows; the others wait in the state they are in."""
        opened = sum(map(len, self._cohorts))
        most = (opened + 1) // 2
        self.max_rows = most
        if not self._warned:
            self._warned = True
            where = location([cohort.state.rows for cohort in self._cohorts])
            warnings.warn(
                f"memory ran out with {opened} rows at once ({where}): they go on from there, at "
                f"most {most} at a time. To split them from the start, pass max_rows={most}, or "
                "max_tokens=",
                SplitWarning,
                stacklevel=4,
            )
        parts, left = [], most
        for cohort in self._cohorts:
            parts.append(cohort.split(np.arange(len(cohort)) < left))
            left -= len(parts[-1][0] or ())
        self._cohorts = [kept for kept, _ in parts if kept]
        self._waiting.extendleft(back for _, back in reversed(parts) if back)
        release_memory(self.denoiser.device)


def event_of(cohort: Cohort, info: StepInfo) -> Event:
    """The event of a cohort's step."""
    over = np.flatnonzero(info.state.rows.finished)
    generation = finish(info.state.take(over)) if len(over) else None
    return Event(cohort.ids, info, cohort.ids[over], generation, cohort.strategy)


def _nothing_to_do(cohort: Cohort) -> Event:
    """The event of rows that were finished before any step."""
    none = cohort.state.take(np.zeros(0, np.int64))
    nothing = nothing_proposed(none)
    info = StepInfo(none, np.zeros(0, np.int64), nothing, none.logprob, Change(none.masked))
    return Event(np.zeros(0, np.int64), info, cohort.ids, finish(cohort.state), cohort.strategy)


def _without(cohorts: Iterable[Cohort], gone: np.ndarray) -> list[Cohort]:
    left = [cohort.take(np.flatnonzero(~np.isin(cohort.ids, gone))) for cohort in cohorts]
    return [cohort for cohort in left if cohort]
