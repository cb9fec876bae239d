"""Classifier-free guidance (2207.12598) as a wrapper of a denoiser.

Shapes: B rows, N positions, D width of the inner denoiser, M rows of the head, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from unmask.decoding.guidance_weights import (
    ConstantWeight,
    LinearWeight,
    PowerCosineWeight,
    RatioWeight,
    Weight,
    resolve,
    weigh,
)
from unmask.errors import CanvasError, ModelError, StrategyError, nearest
from unmask.host import carry, derived, know, per_row, row_lengths, waits
from unmask.types import Denoiser, Memory

__all__ = [
    "ConstantWeight",
    "Form",
    "Guidance",
    "Guided",
    "LinearWeight",
    "PowerCosineWeight",
    "RatioWeight",
    "Weight",
]

Form = Literal["from_unconditional", "from_conditional"]
"""Where w·(c − u) is added: to u, where 1 is the conditional model, or to c, where 0 is."""


@dataclass(frozen=True)
class Guidance:
    """How to guide, as a value that a strategy can carry: the options of `Guided`."""

    weight: float | Weight
    form: Form = "from_unconditional"
    null: int = -1
    batched: bool = True

    def __post_init__(self) -> None:
        resolve(self.weight)
        if self.form not in get_args(Form):
            raise StrategyError(f"form={self.form!r}: {nearest(str(self.form), get_args(Form))}")

    def wrap(self, denoiser: Denoiser) -> Guided:
        """The denoiser, guided. Raises ModelError where it is guided already."""
        return Guided(denoiser, self.weight, self.null, self.form, self.batched)


class Guided(nn.Module):
    """Logits u + w·(c − u), or c + w·(c − u): c told the condition of the row, u told `null`.

    weight: a number, or a weight that changes from step to step: `LinearWeight`, `RatioWeight`,
    `PowerCosineWeight`, or any function (progress (B,), ratio (B,)) -> (B,).
    form: "from_unconditional" is the first formula, where 0 is the unconditional model, 1 the
    conditional one, and more exaggerates the condition; "from_conditional" is the second, which
    guides by 1 + w (Muse 2301.00704).
    null: the value of the condition for none, which the inner network was trained with.
    batched: both passes as one batch of 2B rows; False runs one after the other, in half the
    memory. Either way a step costs two forwards.

    The condition is a tensor whose first dimension is B, such as the classes of `ClassConditioned`.
    Raises ModelError unless `inner` is a denoiser, and StrategyError for options out of range.
    """

    def __init__(
        self,
        inner: Denoiser,
        weight: float | Weight,
        null: int = -1,
        form: Form = "from_unconditional",
        batched: bool = True,
    ):
        super().__init__()
        if isinstance(inner, Guided):
            raise ModelError("the denoiser is guided already: guide its `inner` instead")
        if not isinstance(inner, Denoiser):
            kind = type(inner).__name__
            raise ModelError(
                f"{kind} is no denoiser: wrap it first, as in unmask.wrap(net, mask_id=17)"
            )
        self.inner, self.guidance = inner, Guidance(weight, form, null, batched)
        self.weight = resolve(weight)
        self.forbidden = tuple(getattr(inner, "forbidden", ()))
        self.length: int | None = getattr(inner, "length", None)
        self.trims = bool(getattr(inner, "trims", False))

    @property
    def vocab_size(self) -> int | None:
        """V of the inner denoiser."""
        return self.inner.vocab_size

    @property
    def mask_id(self) -> int | None:
        """The id shown at unknown positions."""
        return self.inner.mask_id

    @property
    def device(self) -> torch.device | None:
        """Device of the inner denoiser."""
        return getattr(self.inner, "device", None)

    @property
    def forwards_per_step(self) -> int:
        """Twice what a step of the inner denoiser costs."""
        return 2 * int(getattr(self.inner, "forwards_per_step", 1))

    @property
    def sees_progress(self) -> bool:
        """Whether `hidden` must be told `progress` and `ratio`: the weight changes by them."""
        return not isinstance(self.weight, ConstantWeight) or self._inner_sees_progress

    @property
    def _inner_sees_progress(self) -> bool:
        return bool(getattr(self.inner, "sees_progress", False))

    @property
    def sees_masked(self) -> bool:
        """Whether `hidden` must be told `masked`: the inner denoiser must."""
        return bool(getattr(self.inner, "sees_masked", False))

    @property
    def blocks(self) -> int | None:
        """The blocks that the inner denoiser must be decoded by, if any."""
        return getattr(self.inner, "blocks", None)

    def hidden(
        self,
        tokens: Tensor,
        *,
        valid: Tensor,
        memory: Memory,
        condition: Any = None,
        progress: Tensor | None = None,
        ratio: Tensor | None = None,
        masked: Tensor | None = None,
    ) -> tuple[Tensor, Memory]:
        """(B,N) -> (B,N,2D): with the condition and without, side by side.

        A weight that changes is appended as two more channels, for the head does not know of rows.
        progress, ratio: (B,) float64, needed then. masked: (B,N) bool, where the inner one sees it.
        Raises CanvasError for rows without a condition: there is nothing to guide them by.
        """
        condition, null = self._checked(condition), self.guidance.null
        when = {"progress": progress, "ratio": ratio} if self._inner_sees_progress else {}
        if masked is not None:
            when["masked"] = masked
        told = {"condition": condition, **when}
        untold = {
            "condition": derived(condition, f"none as {null}", partial(_none, null=null)),
            **when,
        }
        passes = self._together if self.guidance.batched else self._in_turn
        sides, memory = passes(tokens, valid, memory, told, untold)
        if not isinstance(self.weight, ConstantWeight):
            sides += _channels(self._weights(progress, ratio), like=sides[0])
        return torch.cat(sides, -1), memory

    def logits(self, hidden: Tensor) -> Tensor:
        """(M,2D) -> (M,V) float32. An id that either side rules out with −inf stays ruled out."""
        weight: float | Tensor
        if isinstance(self.weight, ConstantWeight):
            weight = self.weight.weight
        else:
            weight, hidden = hidden[:, -2:].float().sum(1, keepdim=True), hidden[:, :-2]
        sides = hidden.chunk(2, -1)
        if self.guidance.batched:
            told, untold = self.inner.logits(torch.cat(sides)).float().chunk(2)
        else:
            told, untold = (self.inner.logits(side).float() for side in sides)
        start = untold if self.guidance.form == "from_unconditional" else told
        guided = (told - untold).mul_(weight).add_(start)
        seen = len(told) > 0 and not waits(told.device)
        if seen and min(float(side.detach().amin()) for side in (told, untold)) > -torch.inf:
            return guided  # nothing is ruled out, and to look for it takes longer than the rest
        never = torch.isneginf(told) | torch.isneginf(untold)
        return guided.masked_fill_(never, -torch.inf)

    def _together(
        self, tokens: Tensor, valid: Tensor, memory: Memory, told: Any, untold: Any
    ) -> tuple[list[Tensor], Memory]:
        join = partial(_and_none, none=untold["condition"])
        both = derived(told["condition"], f"and none as {self.guidance.null}", join)
        when = {name: torch.cat([p, p]) for name, p in told.items() if name != "condition"}
        hidden, memory = self.inner.hidden(
            tokens.repeat(2, 1),
            valid=derived(valid, "twice", _twice),
            memory=tree_map(_stacked, memory),
            condition=both,
            **when,
        )
        return list(hidden.chunk(2)), tree_map(_paired, memory)

    def _in_turn(
        self, tokens: Tensor, valid: Tensor, memory: Memory, told: Any, untold: Any
    ) -> tuple[list[Tensor], Memory]:
        sides, memories = [], []
        for side, given in enumerate((told, untold)):
            own = tree_map(lambda leaf, side=side: _side(leaf, side), memory)
            hidden, after = self.inner.hidden(tokens, valid=valid, memory=own, **given)
            sides.append(hidden)
            memories.append(after)
        return sides, tree_map(_joined, *memories)

    def _weights(self, progress: Tensor | None, ratio: Tensor | None) -> Tensor:
        """(B,) float64: the weight of each row at this step."""
        if progress is None or ratio is None:
            raise StrategyError(
                f"the weight {self.weight!r} changes from step to step, and no step was told: pass "
                "progress= and ratio= to hidden, or guide by a number, such as weight=2.0"
            )
        return weigh(self.weight, progress, ratio)

    def _checked(self, condition: Any) -> Tensor:
        """The condition, which every row must have."""
        if not isinstance(condition, Tensor):
            given = "none" if condition is None else f"a {type(condition).__name__}"
            raise CanvasError(
                f"guidance needs a condition, a tensor with a row each; got {given}: pass one, as "
                "in Canvas.blank(16, 64, condition=classes), or generate with the inner denoiser"
            )
        null = self.guidance.null
        without = per_row(condition, f"is {null}", lambda c: (c.reshape(len(c), -1) == null).all(1))
        rows = without.nonzero()[0].tolist()
        if rows:
            raise CanvasError(
                f"rows {rows} have the condition {null}, which is none, so guidance has "
                "nothing to go by: give them one, or generate them with the inner denoiser"
            )
        return condition


def _twice(flags: Tensor) -> Tensor:
    """(B,N) -> (2B,N), known of as each half is."""
    row_lengths(flags)
    both = flags.repeat(2, 1)
    carry(both, flags, np.tile(np.arange(len(flags)), 2))
    return both


def _none(condition: Tensor, null: int) -> Tensor:
    """A condition that says of every row that it has none."""
    none = torch.full_like(condition, null)
    if _is_class(condition):
        know(none, "value", np.full(len(none), null))
    return none


def _and_none(condition: Tensor, none: Tensor) -> Tensor:
    """(B,...) twice -> (2B,...)."""
    both = torch.cat([condition, none])
    if _is_class(condition):
        values = [per_row(part, "value", torch.clone) for part in (condition, none)]
        know(both, "value", np.concatenate(values))
    return both


def _is_class(condition: Tensor) -> bool:
    """Whether networks look at the numbers themselves, (B,) integers."""
    return condition.dim() == 1 and not condition.is_floating_point()


def _channels(weight: Tensor, like: Tensor) -> list[Tensor]:
    """(B,) float64 -> two of (B,N,1) whose sum it is; one alone would be rounded in bfloat16."""
    high = weight.to(like.dtype)
    low = (weight - high.double()).to(like.dtype)
    return [part.view(-1, 1, 1).expand(-1, like.shape[1], 1) for part in (high, low)]


def _paired(leaf: Any) -> Any:
    """(2B,...) -> (B,2,...), because memory travels with the rows of the canvas."""
    return torch.stack(leaf.chunk(2), 1) if isinstance(leaf, Tensor) else leaf


def _stacked(leaf: Any) -> Any:
    """(B,2,...) -> (2B,...): `_paired` turned back."""
    return torch.cat(leaf.unbind(1)) if isinstance(leaf, Tensor) else leaf


def _side(leaf: Any, side: int) -> Any:
    """(B,2,...) -> (B,...): what one side of each row remembers."""
    return leaf[:, side] if isinstance(leaf, Tensor) else leaf


def _joined(told: Any, untold: Any) -> Any:
    """(B,...) twice -> (B,2,...): `_side` turned back."""
    return torch.stack([told, untold], 1) if isinstance(told, Tensor) else told
