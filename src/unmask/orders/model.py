"""Orders by the model's distribution: probability, margin, entropy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from unmask.core.checks import check_choice, check_flag
from unmask.core.state import Proposal, State
from unmask.errors import StrategyError
from unmask.orders.base import Order

STEPS = 2**12  # of a margin, as a share of the largest probability
_STATISTIC = {"model": "logprob", "kept": "kept_logprob", "sampling": "sampling_logprob"}


@dataclass(frozen=True)
class Probability(Order):
    """Log-probability of a token.

    choose="after" scores the token drawn (MaskGIT 2202.04200, LLaDA, x-transformers): draw, then
    choose, which commits likely draws more often than the model would and so is not exact.
    choose="first" scores the likeliest token, whatever was drawn: the choice depends on the state
    alone, and with one position a step the law is exactly the model's.
    of, with choose="after", names the distribution: "model"; "kept", after top-k, top-p and min-p,
    at temperature 1 (x-transformers); or "sampling", after these and the temperature. log=False
    scores by the probability itself; the ranking differs only if noise is added (Dream).
    """

    choose: Literal["first", "after"] = "first"
    of: Literal["model", "kept", "sampling"] = "model"
    log: bool = True

    def __post_init__(self) -> None:
        if self.choose not in ("first", "after"):
            raise StrategyError(f"choose={self.choose!r}: pass 'first' or 'after'")
        check_choice("of", self.of, _STATISTIC)
        check_flag("log", self.log)
        if self.choose == "first" and self.of != "model":
            raise StrategyError(
                f"of={self.of!r} scores the drawn token, so it needs choose='after'"
            )

    @property
    def needs(self) -> frozenset[str]:
        if self.choose == "first":
            return frozenset({"top_logprob"})
        return frozenset({"kept_logprob"} if self.of == "kept" else ())

    @property
    def scores(self) -> str | None:
        return "probability" if self.log else None

    @property
    def ranks_draws(self) -> bool:
        return self.choose == "after"

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        # A committed position is scored by the token it holds.
        score: Tensor = getattr(proposal, _STATISTIC[self.of])
        if self.choose == "first" and proposal.top_logprob is not None:
            score = proposal.top_logprob.where(state.masked, score)
        return score if self.log else score.exp()


class _OfStatistic(Order):
    """Base of orders by a statistic: the model's, or after top-k, top-p and min-p, untempered."""

    of: Literal["model", "kept"]
    statistic: ClassVar[str]
    also: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        check_choice("of", self.of, ("model", "kept"))

    @property
    def _field(self) -> str:
        return self.statistic if self.of == "model" else f"kept_{self.statistic}"

    @property
    def needs(self) -> frozenset[str]:
        return self.also | {self._field}

    def _read(self, proposal: Proposal) -> Tensor:
        value: Tensor = getattr(proposal, self._field)
        return value


@dataclass(frozen=True)
class Margin(_OfStatistic):
    """Largest probability minus the second largest (2502.06768, top probability margin)."""

    of: Literal["model", "kept"] = "model"
    statistic = "margin"
    also = frozenset({"top_logprob"})

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        """(B,N) in [0, 1], a multiple of 2⁻¹² of the largest probability.

        Rounding in the network makes errors of that size, which must not rank positions.
        """
        assert proposal.top_logprob is not None
        largest = proposal.top_logprob.exp()
        return (self._read(proposal) / largest * STEPS).round() * largest / STEPS


@dataclass(frozen=True)
class Entropy(_OfStatistic):
    """Negative entropy in nats: the most certain position first (Dream 2508.15487)."""

    of: Literal["model", "kept"] = "model"
    statistic = "entropy"
    scores = "entropy"

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        return -self._read(proposal)
