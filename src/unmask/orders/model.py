"""Orders by the model's distribution: probability, margin, entropy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from unmask.core.checks import check_choice, check_flag
from unmask.core.state import Proposal, State
from unmask.errors import StrategyError, nearest
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
        """The statistic this order reads."""
        if self.choose == "first":
            return frozenset({"top_logprob"})
        return frozenset({"kept_logprob"} if self.of == "kept" else ())

    @property
    def scores(self) -> str | None:
        """The kind of score, for commit rules that compare it with a bound."""
        return "probability" if self.log else None

    @property
    def ranks_draws(self) -> bool:
        """Whether the score reads the token drawn."""
        return self.choose == "after"

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        """(B,N) log-probability. A committed position is scored by the token it holds."""
        score: Tensor = getattr(proposal, _STATISTIC[self.of])
        if self.choose == "first" and proposal.top_logprob is not None:
            score = proposal.top_logprob.where(state.masked, score)
        return score if self.log else score.exp()


Of = Literal["model", "kept"]
"""The distribution scored: the model's, or after top-k, top-p and min-p, both at temperature 1."""


@dataclass(frozen=True)
class Margin(Order):
    """Largest probability minus the second largest (2502.06768, top probability margin)."""

    of: Of = "model"

    def __post_init__(self) -> None:
        _check_of(self.of)

    @property
    def needs(self) -> frozenset[str]:
        """The statistic this order reads."""
        return frozenset({"margin" if self.of == "model" else "kept_margin", "top_logprob"})

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        """(B,N) in [0, 1], a multiple of 2⁻¹² of the largest probability.

        Rounding in the network makes errors of that probability's size, so that positions at which
        two ids are nearly as likely would be ranked by them.
        """
        margin = proposal.margin if self.of == "model" else proposal.kept_margin
        assert margin is not None
        assert proposal.top_logprob is not None
        largest = proposal.top_logprob.exp()
        return (margin / largest * STEPS).round() * largest / STEPS


@dataclass(frozen=True)
class Entropy(Order):
    """Negative entropy in nats: the most certain position first (Dream 2508.15487)."""

    of: Of = "model"
    scores = "entropy"

    def __post_init__(self) -> None:
        _check_of(self.of)

    @property
    def needs(self) -> frozenset[str]:
        """The statistic this order reads."""
        return frozenset({"entropy" if self.of == "model" else "kept_entropy"})

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        """(B,N), at most 0."""
        entropy = proposal.entropy if self.of == "model" else proposal.kept_entropy
        assert entropy is not None
        return -entropy


def _check_of(of: str) -> None:
    if of not in get_args(Of):
        raise StrategyError(f"of={of!r}: {nearest(str(of), get_args(Of))}")
