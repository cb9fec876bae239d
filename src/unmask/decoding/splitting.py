"""Rows in parts: as many at once as memory holds, each part generated to its end.

A step is a pure function of the state and a row does not notice its batch, so parts give the rows
that the whole batch gives. Shapes: B rows, N positions; b rows of a part.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Sequence
from dataclasses import fields, replace

import torch
from torch import Tensor

from unmask.decoding.ahead import known
from unmask.decoding.blame import where
from unmask.decoding.look import given_the_rest, predict
from unmask.decoding.memory import bytes_of, fitting, peak_of
from unmask.decoding.step import UNLIMITED, advance, done, finish
from unmask.decoding.strategy import Strategy
from unmask.errors import SplitWarning
from unmask.head import illegal_ids, vocab_of
from unmask.host import rows_of
from unmask.inference import evaluating, is_out_of_memory
from unmask.revision import Amends, Edit
from unmask.types import Denoiser, Generation, State

VERIFIED = 8  # rows that a verification pass has at least, which `given_the_rest` decides
See = Callable[[State], None]


def completed(
    state: State,
    denoiser: Denoiser,
    strategy: Strategy,
    max_memory: int | str | None = None,
    see: See | None = None,
) -> Generation:
    """The record of all rows, generated together unless memory does not allow it.

    max_memory: what a step may need beyond what is held (the network, the canvas, the rows that are
    finished), as `bytes_of` reads it; rows are then generated in parts that fit. Where memory runs
    out all the same, the rows go on in halves from the state of that step, and one SplitWarning
    says so; with a single row, what was raised is raised. see: shown the part after each step.

    Raises MemoryBudgetError for a `max_memory` that is none, or that a single row exceeds.
    """
    most = None
    if max_memory is not None:
        most = rows_within(bytes_of(max_memory), state, denoiser, strategy)
    waiting, ended, warned = pieces(state, most), list[State](), False
    del state
    while waiting:
        part = _as_far_as_it_goes(waiting.pop(0), denoiser, strategy, see, ended)
        if done(part):
            ended.append(part)
            continue
        most = (int((~part.done).sum()) + 1) // 2
        if not warned:
            _warn(part, most)
            warned = True
        _release(part.tokens.device)
        waiting = [piece for rest in (part, *waiting) for piece in pieces(rest, most)]
    return in_order([(part.row, finish(part)) for part in ended])


def in_order(parts: Sequence[tuple[Tensor, Generation]]) -> Generation:
    """Generations of some rows each as one. parts: the rows (b,) int64 of the canvas, and theirs.

    The rows of all parts together are 0 to B−1, each once.
    """
    if len(parts) == 1:
        return parts[0][1]
    order = torch.cat([rows for rows, _ in parts]).argsort()
    return Generation(
        **{
            field.name: torch.cat([getattr(part, field.name) for _, part in parts])[order]
            for field in fields(Generation)
        }
    )


def pieces(state: State, most: int | None) -> list[State]:
    """States of consecutive rows, at most `most` of them unfinished in each; None: all in one."""
    unfinished = ~state.done
    if most is None or int(unfinished.sum()) <= most:
        return [state]
    piece = (unfinished.cumsum(0) - 1).clamp(min=0) // most
    return [state.take((piece == nth).nonzero().squeeze(1)) for nth in range(int(piece[-1]) + 1)]


def rows_within(budget: int, state: State, denoiser: Denoiser, strategy: Strategy) -> int:
    """How many rows may run at once if a step is to need no more than `budget` bytes.

    Found by steps of the longest row: one that nobody measures, in which libraries set themselves
    up, then one of it alone and one of it twice, drawn on as a straight line. Those are rather too
    few rows than too many, for the head's chunks do not grow for ever. Raises MemoryBudgetError
    where a single row is too much.
    """
    unfinished = int((~state.done).sum())
    if not unfinished:
        return 1
    longest = state.valid.sum(1) * state.masked.shape[1] + state.masked.sum(1)
    longest = longest.masked_fill(state.done, -1).argmax()
    row = state.take(longest.unsqueeze(0))
    memory = advance(row, denoiser, strategy).state.memory
    row, strategy = at_its_busiest(row, denoiser, strategy)
    row = replace(row, memory=memory, step=row.step + 1)  # at step 0 `take` leaves memory out
    verifies = isinstance(strategy.revise, Amends) and not isinstance(strategy.revise, Edit)

    def needed(rows: int) -> int:
        try:
            with peak_of(state.tokens.device) as peak:
                _worst_step(row, rows, denoiser, strategy, verifies)
                return peak()
        except Exception as error:
            if rows == 1 or not is_out_of_memory(error):
                raise
            return UNLIMITED

    return fitting(budget, unfinished, needed, VERIFIED if verifies else 1)


def at_its_busiest(row: State, denoiser: Denoiser, strategy: Strategy) -> tuple[State, Strategy]:
    """One row as when that of its groups opens which has the most unknown positions.

    Earlier groups hold some id, of which a feasibility hook would rightly say that it cannot be.
    """
    if strategy.groups is None or row.plan.side_by_side:
        return row, strategy
    count = torch.zeros_like(row.plan.begins).scatter_add(1, row.group, row.masked.long())
    largest = count.argmax(1, keepdim=True)
    earlier = row.masked & (row.group < largest)
    barred = set(illegal_ids(denoiser, strategy.constraint.forbidden))
    some = next((i for i in range(vocab_of(denoiser)) if i not in barred), 0)
    row = replace(
        row,
        tokens=row.tokens.masked_fill(earlier, some),
        masked=row.masked & ~earlier,
        place=row.plan.begins.gather(1, largest).squeeze(1),
    )
    return row, strategy.but(constraint=replace(strategy.constraint, feasible=None))


def _worst_step(
    row: State, rows: int, denoiser: Denoiser, strategy: Strategy, verifies: bool
) -> None:
    """A step of the row this many times, with all that a run holds beside it at the worst."""
    every = torch.arange(rows, device=row.tokens.device)
    part = row.take(torch.zeros_like(every))
    # What goes on where other rows finish stands beside them and their record until the step.
    apart = part.take(every), _record(part).take(every)
    del apart
    info = advance(part, denoiser, strategy)
    if verifies:
        with evaluating(denoiser):
            guided, first = strategy.guided(denoiser), max(rows, VERIFIED)
            asked = part.editable & (part.editable.flatten().cumsum(0) <= first).view(rows, -1)
            prediction = predict(guided, part, strategy.veil)
            given_the_rest(guided, strategy, part, asked)
            del prediction  # held until then, as is what follows
    del info


def _as_far_as_it_goes(
    state: State, denoiser: Denoiser, strategy: Strategy, see: See | None, ended: list[State]
) -> State:
    """The last rows finished, or those before the step for which memory did not suffice.

    Rows that finish before join `ended`, so that a step costs what the open ones cost.
    """
    while not done(state):
        try:
            state = advance(state, denoiser, strategy).state
        except Exception as error:
            if not is_out_of_memory(error) or int((~state.done).sum()) < 2:
                raise
            return state
        if see is not None:
            see(state)
        state = _open_rows(state, strategy, ended)
    return state


def _open_rows(state: State, strategy: Strategy, ended: list[State]) -> State:
    """The state of the rows that go on; the others', without what only steps need, join `ended`."""
    ahead = known(state, strategy)
    if ahead.open.all() or not ahead.open.any():
        return state
    ended.append(_record(state).take(rows_of(~ahead.open, state.done)))
    rest = state.take(rows_of(ahead.open, ~state.done), ahead.begun)
    return replace(rest, ahead=ahead.of(rest, ahead.open))


def _record(state: State) -> State:
    """Without what only steps need."""
    return replace(state, memory=None, past=None, condition=None)


def _warn(part: State, most: int) -> None:
    count = int((~part.done).sum())
    warnings.warn(
        f"memory ran out with {count} rows at once ({where(part)}): they go on from there, at most "
        f"{most} at a time. To split them from the start, pass max_memory=, such as "
        f"max_memory='2GB', or canvases of at most {most} rows",
        SplitWarning,
        stacklevel=5,
    )


def _release(device: torch.device) -> None:
    """Give back what the failed step held, so that the next one finds it."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
