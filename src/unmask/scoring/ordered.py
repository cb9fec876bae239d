"""The exact likelihood of an unmasking order, the strategy teacher-forced (DUEL, 2603.01367).

Shapes: B rows, N positions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from unmask.decoding import Canvas, Strategy, advance, done
from unmask.errors import StrategyError
from unmask.ordering import (
    ChoiceNoise,
    CriticOrder,
    Noised,
    Order,
    Probability,
    Stored,
    Weighted,
    is_blind,
    needs_of,
)
from unmask.revision import Never
from unmask.sampling import COLD
from unmask.scoring.look import Report, opened, told
from unmask.types import Denoiser, Prediction, Proposal, State

_DRAWN = ("logprob", "drawn_logprob", "kept_logprob", "noised_logprob")


@dataclass(frozen=True)
class Ordered:
    """−log p(x) under the order and pace of a strategy, as many forwards as it has steps.

    At each step the strategy chooses positions, and the true tokens are committed there. What they
    are drawn from is scored: the model's own distribution without illegal ids, or, where the draw
    is shaped, the shaped one, under which a token that it drops has infinite nats. The sum of
    exp(−nats) over all sequences is 1. A random order is the one that the row's seed gives.
    Raises StrategyError for a strategy that is no choice followed by a draw: one that re-masks,
    ranks the token drawn, or draws greedily (all tokens but one would have probability 0).
    """

    strategy: Strategy
    kind: ClassVar[str] = "exact"

    def __post_init__(self) -> None:
        if not isinstance(self.strategy, Strategy):
            raise StrategyError(
                f"strategy={self.strategy!r}: pass a preset that has been called, such as "
                "presets.confidence(steps=16)"
            )
        if not isinstance(self.strategy.revise, Never):
            raise StrategyError(
                f"{self.strategy.name} may re-mask what it committed, so many paths lead to one "
                "sequence: score with a strategy that revises nothing, or with scoring.Bound()"
            )
        if _ranks_draws(self.strategy.order):
            raise _draws_first(self.strategy.name)
        if self.strategy.veil.keeps_draw:
            raise StrategyError(
                f"{self.strategy.name} shows the network what it drew before, and no draw is made "
                "here: score with veil=MaskId()"
            )
        if self.strategy.constraint.feasible is not None or self.strategy.ends:
            raise StrategyError(
                f"{self.strategy.name} vetoes draws or ends rows early, which no product of "
                "probabilities describes: score without feasible=, stop= and end_id="
            )
        warmth = self.strategy.draw.temperature
        if not callable(warmth):
            _check_warm(torch.tensor([warmth]), self.strategy)

    def __call__(
        self, denoiser: Denoiser, canvas: Canvas, seed: int, batch_size: int, report: Report
    ) -> Tensor:
        """(B,) float64 nats; where a random order goes depends on (seed, row) alone."""
        strategy = self.strategy.but(order=_Undrawn(self.strategy.order, self.strategy.name))
        state = opened(denoiser, canvas, seed, strategy)
        total, known, parts = int(canvas.editable.sum()), 0, []
        for rows in torch.arange(len(state.row), device=state.row.device).split(batch_size):
            part = state.take(rows)
            while not done(part):
                report(known, total)
                info = advance(part, denoiser, strategy, _told_warm)
                part, known = info.state, known + int(info.committed.sum())
            drawn = part.logprob if strategy.draw.plain else part.drawn_logprob
            parts.append(-drawn.double().sum(1))
        report(total, total)
        return torch.cat(parts)


@dataclass(frozen=True)
class _Undrawn:
    """An order that is asked before any token is drawn, and must do without one."""

    order: Order
    name: str

    @property
    def needs(self) -> frozenset[str]:
        return needs_of(self.order)

    @property
    def blind(self) -> bool:
        return is_blind(self.order)

    @property
    def scores(self) -> str | None:
        return getattr(self.order, "scores", None)

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        # The truth stands under the masks; an order that peeked would choose by it.
        blank = replace(state, tokens=state.tokens.masked_fill(state.masked, 0))
        score = self.order(blank, _Withheld(proposal, self.name))  # type: ignore[arg-type]
        if bool((score.isnan() & state.masked).any()):
            raise _draws_first(self.name)
        return score


@dataclass(frozen=True)
class _Withheld:
    """A proposal without what was drawn: no token, and NaN for its log-probabilities."""

    proposal: Proposal
    name: str

    def __getattr__(self, field: str) -> Any:
        if field == "token":
            raise _draws_first(self.name)
        value = getattr(self.proposal, field)
        return torch.full_like(value, torch.nan) if field in _DRAWN and value is not None else value


def _ranks_draws(order: Order) -> bool:
    """Whether one of the published orders does; of any other it shows when it runs."""
    if isinstance(order, ChoiceNoise):
        return _ranks_draws(order.order)
    if isinstance(order, Weighted):
        return _ranks_draws(order.order)
    return isinstance(order, CriticOrder | Stored | Noised) or (
        isinstance(order, Probability) and order.choose == "after"
    )


def _draws_first(name: str) -> StrategyError:
    return StrategyError(
        f"{name} draws tokens and then ranks them, so its likelihood is a sum over all draws: "
        "score with an order that looks at the state alone, such as presets.confidence() or "
        "presets.random_order(), or with scoring.Bound()"
    )


def _told_warm(
    prediction: Prediction,
    denoiser: Denoiser,
    strategy: Strategy,
    state: State,
    looked: Tensor,
    count: int | None = None,
) -> Proposal:
    _check_warm(strategy.draw.temperatures(state.progress, state.span), strategy)
    return told(prediction, denoiser, strategy, state, looked, count)


def _check_warm(temperature: Tensor, strategy: Strategy) -> None:
    if bool((temperature < COLD).any()):
        raise StrategyError(
            f"{strategy.name} draws greedily, at temperature 0, which gives every token but one "
            "probability 0: score with a constant temperature above 0, such as draw=Draw()"
        )
