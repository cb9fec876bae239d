"""Classifier-free guidance (2207.12598): the network runs with and without each row's condition.

Shapes: B rows of a state, N positions, M positions queried, V vocabulary. A query has 2B rows: each
row of the state with its condition, followed by the same row without.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from unmask.core.arrays import waits
from unmask.core.by_value import ByValue
from unmask.core.checks import check_choice, is_number
from unmask.core.head import mask_id_of
from unmask.core.network import Query
from unmask.core.state import State
from unmask.errors import CanvasError, StrategyError
from unmask.guidance.weights import ConstantWeight, Weight, as_weight, weigh

Form = Literal["from_unconditional", "from_conditional"]
"""What w·(c − u) is added to: u (w = 1 is the conditional model) or c (w = 0 is)."""


@dataclass(frozen=True)
class HidePrompt:
    """The null condition if the condition is the prompt: the mask id at given positions (LLaDA).

    In a row without a prompt nothing is hidden, and guidance changes nothing.
    """


@dataclass(frozen=True, eq=False)
class NullCondition(ByValue):
    """A null condition given as a tree: like the condition, or a dict with some of its entries.

    Leaves are tensors of the shape of one row, or numbers; the other entries of a dict stay. Equal
    trees are equal, tensors by value.
    """

    tree: Any


@dataclass(frozen=True)
class Guidance:
    """Logits u + w·(c − u), or c + w·(c − u): c with the condition, u with the null condition.

    weight: a number, or a weight that changes from step to step: `LinearWeight`, `RatioWeight`,
    `PowerCosineWeight`, or any function (progress (B,), ratio (B,)) -> (B,).
    form: "from_unconditional" is the first formula, in which w = 0 is the unconditional model, 1
    the conditional one, and more strengthens the condition; "from_conditional" is the second, equal
    to the first with 1 + w (Muse 2301.00704).
    null: the null condition that the network was trained with: a number for every entry of the
    condition, a tree (`NullCondition`), or `HidePrompt()`, for networks whose condition is the
    prompt. A step costs two forwards.
    Raises StrategyError for options out of range.
    """

    weight: float | Weight
    form: Form = "from_unconditional"
    null: float | HidePrompt | NullCondition = -1

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", as_weight(self.weight))
        check_choice("form", self.form, get_args(Form))
        if isinstance(self.null, Tensor | Mapping):
            object.__setattr__(self, "null", NullCondition(self.null))
        if not (is_number(self.null) or isinstance(self.null, HidePrompt | NullCondition)):
            raise StrategyError(
                f"null={self.null!r}: pass a number, a tree of tensors, or guidance.HidePrompt()"
            )

    def check(self, condition: Any) -> None:
        """Raise CanvasError for rows without a condition, which cannot be guided."""
        self.check_kind(condition)
        if isinstance(self.null, HidePrompt | NullCondition) or not isinstance(condition, Tensor):
            return
        without = (condition.reshape(len(condition), -1) == self.null).all(1)
        rows = without.nonzero().squeeze(1).tolist()
        if rows:
            raise CanvasError(
                f"rows {rows} have the condition {self.null}, which is the null condition, so they "
                "cannot be guided: give them another, or generate them without guidance"
            )

    def check_kind(self, condition: Any) -> None:
        """Raise CanvasError for a condition of another kind than null; no value is read."""
        if isinstance(self.null, HidePrompt):
            return
        if not any(isinstance(leaf, Tensor) for leaf in tree_leaves(condition)):
            given = "none" if condition is None else f"a {type(condition).__name__}"
            raise CanvasError(
                f"guidance needs a condition, a tensor with one entry a row; got {given}: pass "
                "one, as in Canvas.blank(16, 64, condition=classes), or generate without guidance"
            )
        if isinstance(self.null, NullCondition) or not isinstance(condition, Tensor):
            return
        if not condition.is_floating_point() and self.null != int(self.null):
            raise CanvasError(
                f"null={self.null!r} for a condition of {condition.dtype}, which holds whole "
                "numbers: pass the number that the network was trained with, such as -1"
            )

    def expand(self, query: Query, state: State) -> Query:
        """Return the query with each row twice: with its condition, then with the null one."""
        tokens, condition = query.tokens, query.condition
        hidden, none = tokens, condition
        if isinstance(self.null, HidePrompt):
            hidden = tokens.masked_fill(state.valid & ~state.editable, mask_id_of(state.spec))
        else:
            none = _no_condition(condition, self.null)

        def twice(leaf: Any) -> Any:
            if isinstance(leaf, Tensor):
                return leaf.repeat_interleave(2, 0)
            return None if leaf is None else np.repeat(leaf, 2)

        def beside(conditional: Any, unconditional: Any) -> Any:
            if not isinstance(conditional, Tensor):
                return conditional
            return torch.stack([conditional, unconditional], 1).flatten(0, 1)

        names = (
            "valid", "lengths", "masked", "progress", "unknown_share", "open_block", "open_start",
            "reach",
        )  # fmt: skip
        rest: dict[str, Any] = {name: twice(getattr(query, name)) for name in names}
        both = beside(tokens, hidden), tree_map(beside, condition, none)
        return replace(query, tokens=both[0], condition=both[1], **rest)

    def weights(self, state: State) -> float | np.ndarray:
        """Return the weight of the step being taken: one number, or (B,) float64 on the host."""
        if isinstance(self.weight, ConstantWeight):
            return self.weight.weight
        assert callable(self.weight)
        return weigh(self.weight, state.rows.now.progress, state.rows.now.unknown_share)

    def combine(self, conditional: Tensor, unconditional: Tensor, weight: float | Tensor) -> Tensor:
        """(M,V) twice, weight a number or (M,1) -> (M,V) float32.

        An id with a logit of −inf in either keeps −inf.
        """
        c, u = conditional.float(), unconditional.float()
        start = u if self.form == "from_unconditional" else c
        guided = (c - u).mul_(weight).add_(start)
        at_hand = len(c) > 0 and not waits(c.device)
        if at_hand and min(float(side.amin()) for side in (c, u)) > -torch.inf:
            return guided  # nothing is ruled out, and to look for it takes longer than the rest
        never = torch.isneginf(c) | torch.isneginf(u)
        return guided.masked_fill_(never, -torch.inf)


def _no_condition(condition: Any, null: Any) -> Any:
    """The condition of rows that have none."""
    if not isinstance(null, NullCondition):
        return tree_map(
            lambda leaf: torch.full_like(leaf, null) if isinstance(leaf, Tensor) else leaf,
            condition,
        )
    tree = null.tree
    if isinstance(tree, Mapping) and isinstance(condition, Mapping):
        unknown = sorted(tree.keys() - condition.keys())
        if unknown:
            raise CanvasError(
                f"null has the entries {unknown}, and the condition has {sorted(condition)}: leave "
                "out entries that the condition lacks"
            )
        tree = {**condition, **tree}
    try:
        return tree_map(_like, condition, tree)
    except ValueError as error:
        raise CanvasError(
            f"null is not a tree of the condition's form: {error}; pass one leaf for each "
            "of its leaves"
        ) from None


def _like(leaf: Any, null: Any) -> Any:
    if not isinstance(leaf, Tensor) or null is leaf:
        return leaf
    value = torch.as_tensor(null, device=leaf.device).to(leaf.dtype)
    if value.dim() and value.shape not in (leaf.shape, leaf.shape[1:]):
        raise CanvasError(
            f"null has a leaf of shape {tuple(value.shape)}: a row of the condition has "
            f"{tuple(leaf.shape[1:])}"
        )
    return value.expand(leaf.shape)
