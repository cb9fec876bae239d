"""Constraints: ids that may not be drawn, anywhere, at a position, or given the other tokens.

A strategy has the ids forbidden everywhere and a feasibility hook; a canvas has the legal and the
required ids of each position. Shapes: B rows, N positions, M positions queried, V vocabulary; b
rows that commit at a turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.constraints.automaton import Automaton
from unmask.constraints.feasible import Feasible
from unmask.core.arrays import arange, first_true
from unmask.core.ids import as_ids, check_forbidden
from unmask.errors import CanvasError, StrategyError


@dataclass(frozen=True)
class Constraint:
    """The ids that may be drawn.

    forbidden: ids never drawn.
    feasible: a hook (tokens (b,N), known (b,N) bool, position (b,)) -> (b,V) bool for constraints
    between positions: the ids that the position may hold so that its row can still be completed
    (`unmask.constraints`). Commits are then made one at a time, and a token that the hook forbids
    is drawn again from the ids it allows. A hook with an argument `valid` gets the padding mask
    (b,N). A hook does not get forbidden ids, nor the legal and required ids of the canvas: it must
    exclude ids that these exclude. An `Automaton` is asked once a step, about all of its commits,
    which are then drawn from left to right; it knows forbidden, legal and required ids.
    likeliest: commits are not drawn, but are the ids that are likeliest together among those that
    the automaton allows (DINGO 2505.23061), by the network's own probabilities at temperature 1.
    Raises StrategyError for ids or hooks of a wrong kind.
    """

    forbidden: tuple[int, ...] = ()
    feasible: Feasible | None = None
    likeliest: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "forbidden", as_ids("forbidden", self.forbidden))
        if self.feasible is not None and not callable(self.feasible):
            raise StrategyError(
                f"feasible={self.feasible!r}: pass a function (tokens, known, position) -> bool "
                "(b,V), such as constraints.Listed(sequences, vocab_size)"
            )
        if not isinstance(self.likeliest, bool):
            raise StrategyError(f"likeliest={self.likeliest!r}: pass True or False")
        if self.likeliest and not isinstance(self.feasible, Automaton):
            raise StrategyError(
                "likeliest=True chooses among what an automaton allows: pass "
                "feasible=Automaton(...)"
            )

    def check(self, vocab: int) -> None:
        """Raise StrategyError unless every forbidden id is inside the vocabulary."""
        check_forbidden(self.forbidden, vocab)


def check_legal(legal: object, shape: tuple[int, int]) -> None:
    """Raise CanvasError unless legal is bool (N,V) or (B,N,V), with an id at each position."""
    if not isinstance(legal, Tensor):
        raise CanvasError(f"legal is a {type(legal).__name__}: pass a bool tensor of shape (N,V)")
    rows, length = shape
    fits = tuple(legal.shape[:-1]) in ((length,), (rows, length))
    if legal.dtype != torch.bool or not fits:
        raise CanvasError(
            f"legal is {legal.dtype} of shape {tuple(legal.shape)}: pass a bool tensor of shape "
            f"({length}, V), or ({rows}, {length}, V), True where an id may be drawn"
        )
    if (stuck := first_true(~legal.any(-1))) is not None:
        raise CanvasError(f"legal allows no id at index {stuck}: leave at least one True")


def check_required(required: object, shape: tuple[int, int]) -> None:
    """Raise CanvasError unless required is int64 (N,) or (B,N), of ids or −1."""
    if not isinstance(required, Tensor) or required.dtype != torch.int64:
        raise CanvasError(
            "required: pass an int64 tensor of shape (N,) or (B,N), −1 where a position is free"
        )
    if tuple(required.shape) not in (shape[1:], shape):
        raise CanvasError(
            f"required has shape {tuple(required.shape)}: pass {shape[1:]} or {shape}"
        )
    if required.numel() and int(required.min()) < -1:
        raise CanvasError("required holds ids below −1: pass ids, or −1 where a position is free")


def check_vocabulary(legal: Tensor | None, required: Tensor | None, vocab: int) -> None:
    """Raise CanvasError unless a canvas' legal and required ids fit the vocabulary."""
    if legal is not None and legal.shape[-1] != vocab:
        raise CanvasError(
            f"legal has shape {tuple(legal.shape)}, and the vocabulary has {vocab} ids: its last "
            f"dimension must be {vocab}"
        )
    if required is not None and required.numel() and int(required.max()) >= vocab:
        raise CanvasError(
            f"required holds ids outside the vocabulary of {vocab}: pass 0 to {vocab - 1}, or −1"
        )


def check_drawable(
    legal: Tensor | None,
    required: Tensor | None,
    editable: Tensor,
    never: Sequence[int],
    vocab: int,
) -> None:
    """Raise CanvasError unless each position to generate, editable (B,N), has an id to draw.

    never: ids that are drawn nowhere, each once: the mask id, and forbidden ones.
    """
    if len(never) >= vocab:
        raise CanvasError(
            f"all {vocab} ids of the vocabulary are forbidden or stand for unknown positions: "
            "forbid fewer"
        )
    if legal is None and required is None:
        return
    drawn = torch.ones(vocab, dtype=torch.bool, device=editable.device)
    drawn[list(never)] = False
    if legal is not None:
        drawn = legal & drawn
        what = "allows no id but the mask id and forbidden ones"
        _raise_first(editable & ~drawn.any(-1), what)
    if required is not None:
        wanted = required.to(editable.device).expand(editable.shape)
        ids = wanted.clamp(min=0).unsqueeze(2)
        allowed = drawn.expand(*editable.shape, vocab).gather(2, ids).squeeze(2)
        what = "requires an id that is forbidden, stands for unknown positions, or is not legal"
        _raise_first(editable & (wanted >= 0) & ~allowed, f"{what} there")


def _raise_first(wrong: Tensor, what: str) -> None:
    if (at := first_true(wrong)) is not None:
        raise CanvasError(
            f"the canvas {what}, at row {at[0]}, position {at[1]}: nothing could be drawn, so "
            "change required=, legal= or forbidden="
        )


def illegal_at(
    legal: Tensor | None, required: Tensor | None, row: Tensor, position: Tensor, vocab: int
) -> Tensor | None:
    """Return (M,V) bool: the illegal ids at these rows and positions (M,); None if there are none.

    legal (B,N,V) bool, required (B,N) int64, −1 where free.
    """
    illegal = None if legal is None else ~legal[row, position]
    if required is not None:
        wanted = required[row, position]
        other = arange(vocab, position.device) != wanted.unsqueeze(1)
        other = other & (wanted >= 0).unsqueeze(1)
        illegal = other if illegal is None else illegal | other
    return illegal
