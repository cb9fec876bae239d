"""The exact likelihood under an unmasking order, by teacher forcing (DUEL, 2603.01367).

Shapes: B rows, N positions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from unmask.commit import OneAtATime, TopK
from unmask.core.generation import Generation
from unmask.core.network import Denoiser
from unmask.core.state import Proposal, State
from unmask.decoding import Canvas, Strategy
from unmask.decoding.inputs import check_strategy
from unmask.engine import Engine, Event, complete
from unmask.errors import StrategyError
from unmask.orders import LeftToRight, Order
from unmask.orders.around import Around
from unmask.sampling import COLD
from unmask.scoring.look import Estimate, Report, initial_state

_DRAWN = ("logprob", "sampling_logprob", "kept_logprob", "noised_logprob")


@dataclass(frozen=True)
class Ordered:
    """−log p(x) under the order and plan of a strategy, with one forward for each of its steps.

    At each step the strategy chooses positions, and the true tokens are committed there. A token is
    scored by the distribution that generation draws from: the model's own without illegal ids, or,
    with a temperature or filters, the shaped one, in which a filtered token has infinite nats. The
    sum of exp(−nats) over all sequences is 1. A random order is that of the row's seed.
    Raises StrategyError for a strategy that does not choose positions before it draws tokens, that
    revises or ends rows early, or that draws greedily (all tokens but one have probability 0).
    """

    strategy: Strategy
    kind: ClassVar[str] = "exact"

    def __post_init__(self) -> None:
        strategy = self.strategy
        check_strategy(strategy)
        if strategy.revise.remasks or strategy.revise.amends:
            raise StrategyError(
                f"{strategy.name} may revise committed tokens, so many paths lead to one "
                "sequence: score with a strategy that revises nothing, or with scoring.Bound()"
            )
        if strategy.order.ranks_draws:
            raise _draws_first(strategy.name)
        if strategy.commit.likeliest:
            raise StrategyError(
                f"{strategy.name} commits the likeliest ids of a whole group, so every other "
                "sequence has probability 0: score with a strategy that commits draws, or with "
                "scoring.Bound()"
            )
        if strategy.noise.keeps_sample:
            raise StrategyError(
                f"{strategy.name} shows the network the tokens drawn before, and scoring draws "
                "none: score with noise=MaskToken()"
            )
        if strategy.constraint.feasible is not None or strategy.ends_early:
            raise StrategyError(
                f"{strategy.name} forbids draws by a hook or ends rows early, so its likelihood is "
                "no product of probabilities: score without feasible=, and with no stopping= but "
                "Budget"
            )
        if strategy.growth is not None:
            raise StrategyError(
                f"{strategy.name} changes the lengths of rows, so many paths lead to one sequence: "
                "score without growth=, as in strategy.but(growth=None), or with scoring.Bound()"
            )
        if not callable(strategy.sampling.temperature):
            _check_warm(strategy, np.zeros(1), np.zeros(1))

    def __call__(
        self, denoiser: Denoiser, canvas: Canvas, seed: int, batch_size: int, report: Report
    ) -> Estimate:
        """Return exact nats; a random order depends on (seed, row) alone."""
        record = self.record(denoiser, canvas, seed, batch_size, report)
        drawn = record.logprob if self.strategy.sampling.plain else record.sampling_logprob
        nats = -drawn.double().sum(1)
        return Estimate(nats, torch.zeros_like(nats))

    def record(
        self,
        denoiser: Denoiser,
        canvas: Canvas,
        seed: int = 0,
        batch_size: int = 256,
        report: Report = lambda *_: None,
        see: Callable[[Event], None] = lambda _: None,
    ) -> Generation:
        """Return the record of committing the true tokens: the log-probability of each.

        see: called with the event of each step.
        """
        order = _Undrawn(self.strategy.order, self.strategy.name)
        strategy = self.strategy.but(order=order)
        state = initial_state(denoiser, canvas, seed, strategy)
        plan = state.rows.plan
        progress = (plan.step / np.maximum(plan.steps, 1)).ravel()
        _check_warm(strategy, progress, plan.steps.ravel())
        total, known = int(canvas.editable.sum()), 0
        report(0, total)

        def seen(event: Event) -> None:
            nonlocal known
            see(event)
            known += int(event.info.committed.sum())
            report(known, total)

        engine = Engine(denoiser, max_rows=batch_size)
        return complete(engine, replace(state, target=state.tokens), strategy, seen)


FROM_THE_LEFT = Strategy(TopK(OneAtATime()), LeftToRight(), name="left_to_right")
"""One token at a time, from left to right."""


@dataclass(frozen=True)
class _Undrawn(Around):
    """An order called with a proposal that has no drawn token."""

    order: Order
    name: str

    @property
    def scores(self) -> str | None:
        return self.order.scores

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        # The state holds the true tokens, which the order must not read.
        blank = replace(state, tokens=state.tokens.masked_fill(state.masked, 0), target=None)
        score = self.order(blank, _Withheld(proposal, self.name))  # type: ignore[arg-type]
        if bool((score.isnan() & state.masked).any()):
            raise _draws_first(self.name)
        return score


@dataclass(frozen=True)
class _Withheld:
    """A proposal without a drawn token, and with NaN for its log-probabilities."""

    proposal: Proposal
    name: str

    def __getattr__(self, field: str) -> Any:
        if field == "token":
            raise _draws_first(self.name)
        value = getattr(self.proposal, field)
        return torch.full_like(value, torch.nan) if field in _DRAWN and value is not None else value


def _draws_first(name: str) -> StrategyError:
    return StrategyError(
        f"{name} draws tokens and then ranks them, so its likelihood is a sum over all draws: "
        "score with an order that reads the state alone, such as presets.confidence() or "
        "presets.random_order(), or with scoring.Bound()"
    )


def _check_warm(strategy: Strategy, progress: np.ndarray, steps: np.ndarray) -> None:
    """Raise StrategyError if a step at progress s/T, of T steps, draws greedily."""
    if (strategy.sampling.temperatures(progress, steps) < COLD).any():
        raise StrategyError(
            f"{strategy.name} draws greedily, at temperature 0, which gives every token but one "
            "probability 0: score with a constant temperature above 0, such as sampling=Sampling()"
        )
