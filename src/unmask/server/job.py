"""Jobs: what a request asks of a worker. N positions of a row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unmask.core.generation import Generation
from unmask.core.state import NEVER, StepInfo
from unmask.decoding import Strategy
from unmask.engine import Engine
from unmask.text.streaming import draft

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Step:
    """A row after one of its steps, on the host. Arrays (N,), as wide as the widest row beside it.

    number: of the row in its job. drafted: ids that stand for unknown ones, None where nothing
    does. forwards: network passes of the row so far. alternatives: the likeliest ids of each
    position that was committed or edited, and their log-probabilities, the likeliest first; as many
    as the strategy asks for.
    """

    number: int
    step: int
    forwards: int
    tokens: Array  # int64
    masked: Array  # bool: unknown
    logprob: Array  # float32, in nats
    committed: Array  # int64: the positions that became known
    remasked: Array  # int64: those that became unknown
    edited: Array  # int64: those at which another token was put
    alternatives: Mapping[int, Sequence[tuple[int, float]]]
    drafted: Sequence[int | None]
    finished: bool

    def behind(self, other: Step) -> Step:
        """Return an earlier step of the row and this one as one."""
        here = np.arange(len(self.masked))

        def either(first: Array, second: Array, kept: Array) -> Array:
            found: Array = np.intersect1d(np.union1d(first, second), here[kept])
            return found

        gone = {*self.remasked.tolist()}
        before = {at: told for at, told in other.alternatives.items() if at not in gone}
        return replace(
            self,
            committed=either(other.committed, self.committed, ~self.masked),
            remasked=either(other.remasked, self.remasked, self.masked),
            edited=either(other.edited, self.edited, ~self.masked),
            alternatives={**before, **self.alternatives},
        )


class Job(ABC):
    """Rows that a worker generates, and where it hands on what becomes of them.

    All methods but `end` are called on the worker's thread while rows are generated, and must be
    quick. lengths: positions of each row. watched: whether each step is handed on. deadline: in
    seconds of `time.monotonic`, at which the job is dropped.
    """

    lengths: Sequence[int]
    watched: bool = False
    deadline: float = float("inf")

    @abstractmethod
    def submit(self, engine: Engine, numbers: Sequence[int]) -> Array:
        """Hand these rows to the engine; return their ids there."""

    def step(self, step: Step) -> None:  # noqa: B027 (others have no use for it)
        """Take a step of a row; of jobs that are watched."""

    @abstractmethod
    def row(self, number: int, found: Generation) -> None:
        """Take the record (1,n) of a row that is finished."""

    @abstractmethod
    def end(self, error: Exception | None) -> None:
        """Take that nothing follows, once: all rows are finished, or what went wrong."""


def steps_of(info: StepInfo, strategy: Strategy, chosen: Sequence[tuple[int, int]]) -> list[Step]:
    """Return the steps of some rows of a cohort: pairs of their place there and their number."""
    places = [place for place, _ in chosen]
    state, rows, drafted = info.state, info.state.rows, draft(info, strategy)
    tensors = (
        state.tokens,
        state.masked,
        state.logprob,
        info.committed,
        info.remasked,
        info.edited,
    )
    tokens, masked, logprob, *changed = (each[places].cpu().numpy() for each in tensors)
    others = alternatives_of(info, places)
    committed, remasked, edited = ([np.flatnonzero(row) for row in each] for each in changed)
    return [
        Step(
            number=number,
            step=int(rows.step[place]),
            forwards=int(rows.forwards[place]),
            tokens=tokens[i],
            masked=masked[i],
            logprob=logprob[i],
            committed=committed[i],
            remasked=remasked[i],
            edited=edited[i],
            alternatives=others[i],
            drafted=drafted[place],
            finished=bool(rows.finished[place]),
        )
        for i, (place, number) in enumerate(chosen)
    ]


def alternatives_of(
    info: StepInfo, places: Sequence[int]
) -> list[dict[int, list[tuple[int, float]]]]:
    """Return the alternatives of the positions that were committed or edited, for each row."""
    found: list[dict[int, list[tuple[int, float]]]] = [{} for _ in places]
    alternatives = info.proposal.alternatives
    if alternatives is None:
        return found
    row, position = (info.committed | info.edited)[places].nonzero().unbind(1)
    ids, logprob = (each[places][row, position].tolist() for each in alternatives)
    for i, at, tokens, values in zip(row.tolist(), position.tolist(), ids, logprob, strict=True):
        pairs = zip(tokens, values, strict=True)
        found[i][at] = [(token, value) for token, value in pairs if token != NEVER]
    return found
