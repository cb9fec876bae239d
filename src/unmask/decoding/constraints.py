"""Constraints: ids that may not be drawn, anywhere, at a position, or given the other tokens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from unmask.errors import StrategyError
from unmask.feasibility import Feasible
from unmask.host import on_device


@dataclass(frozen=True)
class Constraint:
    """What may be drawn.

    forbidden: ids never drawn. legal: bool (N,V), or (B,N,V), True where an id may be drawn.
    required: int64 (N,) or (B,N), the id that a position must get, −1 where it is free.
    feasible: a hook (tokens (b,N), known (b,N) bool, position (b,)) -> (b,V) bool for constraints
    between positions: which ids may stand at that position of each row so that it can still be
    completed (`unmask.feasibility`). Commits are then made one at a time, and a proposal that it
    vetoes is drawn again from what it allows. A hook with an argument `valid` is told padding. It
    knows nothing of forbidden, legal and required ids: build them into it.
    """

    forbidden: tuple[int, ...] = ()
    legal: Tensor | None = None
    required: Tensor | None = None
    feasible: Feasible | None = None
    # Smallest and largest required id, found once: checks come at every step.
    _span: tuple[int, int] = field(default=(-1, -1), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.forbidden, Iterable):
            raise StrategyError(
                f"forbidden={self.forbidden!r}: pass a list of ids, such as [{self.forbidden!r}]"
            )
        object.__setattr__(self, "forbidden", tuple(self.forbidden))
        if self.feasible is not None and not callable(self.feasible):
            raise StrategyError(
                f"feasible={self.feasible!r}: pass a function (tokens, known, position) -> bool "
                "(b,V), such as feasibility.Listed(sequences, vocab_size)"
            )
        if self.required is not None:
            _check_required(self.required)
            object.__setattr__(self, "_span", _span_of(self.required))
        if self.legal is not None:
            if not isinstance(self.legal, Tensor):
                kind = type(self.legal).__name__
                raise StrategyError(f"legal is a {kind}: pass a bool tensor of shape (N,V)")
            if self.legal.dtype != torch.bool or self.legal.dim() not in (2, 3):
                raise StrategyError(
                    f"legal is {self.legal.dtype} of shape {tuple(self.legal.shape)}: pass a bool "
                    "tensor of shape (N,V), or (B,N,V), True where an id may be drawn"
                )
            stuck = (~self.legal.any(-1)).nonzero()
            if len(stuck):
                raise StrategyError(
                    f"legal allows no id at index {stuck[0].tolist()}: leave at least one True"
                )

    def check(self, rows: int, length: int, vocab: int) -> None:
        """Raise StrategyError unless the table fits `rows` rows of N and a vocabulary V."""
        check_ids("forbidden", self.forbidden, vocab)
        if self.required is not None:
            _check_required_fits(self.required, self._span, rows, length, vocab)
        if self.legal is None:
            return
        shape = tuple(self.legal.shape)
        if shape[-2:] != (length, vocab) or (len(shape) == 3 and shape[0] < rows):
            wanted = (length, vocab) if len(shape) == 2 else (rows, length, vocab)
            raise StrategyError(
                f"legal has shape {shape}; this canvas and vocabulary need {wanted}"
            )

    def illegal_at(self, row: Tensor, position: Tensor, vocab: int) -> Tensor | None:
        """(M,V) bool for rows (M,) and positions (M,) of the canvas; None when all is legal."""
        illegal = None
        if self.legal is not None:
            table = on_device(self.legal, position.device)
            illegal = ~(table[position] if table.dim() == 2 else table[row, position])
        if self.required is not None:
            wanted = on_device(self.required, position.device)
            wanted = wanted[position] if wanted.dim() == 1 else wanted[row, position]
            other = torch.arange(vocab, device=position.device) != wanted.unsqueeze(1)
            other = other & (wanted >= 0).unsqueeze(1)
            illegal = other if illegal is None else illegal | other
        return illegal


def _check_required(required: object) -> None:
    if not isinstance(required, Tensor) or required.dtype != torch.int64:
        raise StrategyError(
            "required: pass an int64 tensor of shape (N,) or (B,N), −1 where a position is free"
        )
    if required.dim() not in (1, 2):
        raise StrategyError(f"required has shape {tuple(required.shape)}: pass (N,) or (B,N)")


def _span_of(required: Tensor) -> tuple[int, int]:
    return (int(required.min()), int(required.max())) if required.numel() else (-1, -1)


def _check_required_fits(
    required: Tensor, span: tuple[int, int], rows: int, length: int, vocab: int
) -> None:
    shape = tuple(required.shape)
    if shape[-1] != length or (len(shape) == 2 and shape[0] < rows):
        wanted = (length,) if len(shape) == 1 else (rows, length)
        raise StrategyError(f"required has shape {shape}; this canvas needs {wanted}")
    if not -1 <= span[0] <= span[1] < vocab:
        raise StrategyError(
            f"required holds ids outside the vocabulary of {vocab}: pass 0 to {vocab - 1}, or −1"
        )


def check_ids(name: str, ids: Iterable[int], vocab: int) -> None:
    """Raise StrategyError unless every id is inside the vocabulary."""
    outside = [i for i in ids if not 0 <= i < vocab]
    if outside:
        raise StrategyError(f"{name} ids {outside} are outside the vocabulary of {vocab}")
