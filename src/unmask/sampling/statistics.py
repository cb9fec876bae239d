"""A token for each position and its statistics, from as few passes over the logits as can be.

Shapes: M positions, V vocabulary, K blocks of about √V ids.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from functools import cached_property

import torch
from torch import Tensor

from unmask.core.inversion import pick
from unmask.sampling.filters import Best
from unmask.sampling.passes import Scratch, passes
from unmask.sampling.settings import Sampling, Temperatures
from unmask.sampling.two_level import NEG_INF, at_ids, ids_of, likeliest, two_largest

# The sums over the vocabulary that each statistic is made of.
_SUMS = {
    "entropy": {"mean"},
    "sampling_entropy": {"shaped_mean"},
    "kept_logprob": {"kept"},
    "kept_entropy": {"kept", "kept_mean", "mean"},
    "kept_margin": {"kept", "maxima"},
    "margin": {"maxima"},
    "gap": {"maxima"},
    "top_token": {"maxima"},
}


def draw_with_statistics(
    logits: Tensor,
    how: Sampling,
    temperature: Temperatures,
    u: Tensor,
    held: Tensor | None = None,
    needs: Set[str] = frozenset(),
    noise: Tensor | None = None,
    scratch: Scratch | None = None,
) -> dict[str, Tensor]:
    """Draw a token at M positions; return the fields of a Proposal, `normaliser` and `max_logit`.

    logits (M,V) float32, which are left shifted so that the largest is 0; u (M,2) float64; held
    (M,) int64, the token that stands there, −1 where one is to be drawn (None: everywhere); needs:
    names of statistics; noise (M,V): temperature·Gumbel, for a Gumbel race. `max_logit` is finite
    where the logits are usable.
    """
    stats = TokenStatistics(logits, how, temperature, needs, scratch or Scratch())
    noised = None
    if noise is not None:
        noised = noise + (stats.best.dropping(logits) if how.filtered else logits)
    token = noised.argmax(1) if noised is not None and how.gumbel else stats.draw(u)
    if held is not None:
        token = token.where(held < 0, held)
    stats.look_at(token)
    logprob = stats.logit - stats.normaliser
    compute: dict[str, Callable[[], Tensor]] = {
        "kept_logprob": stats.kept_logprob if how.filtered else lambda: logprob,
        "noised_logprob": lambda: _noised_logprob(noised, token),
        "top_logprob": lambda: -stats.normaliser,  # of the likeliest id, whose logit is 0 here
        "top_token": lambda: stats.likeliest,
        "margin": stats.margin,
        "gap": stats.gap,
        "entropy": stats.entropy,
        "sampling_entropy": stats.sampling_entropy,
        "kept_entropy": stats.kept_entropy,
        "kept_margin": stats.kept_margin,
    }
    return {
        "token": token,
        "max_logit": stats.sum["max_logit"],
        "normaliser": stats.normaliser,
        "logprob": logprob,
        "sampling_logprob": logprob if how.plain else stats.sampling_logprob(),
    } | {name: compute[name]() for name in compute if name in needs}


class TokenStatistics:
    """Sums and statistics of the model's distribution, and of the tempered and filtered one."""

    def __init__(
        self,
        logits: Tensor,
        how: Sampling,
        temperature: Temperatures,
        needs: Set[str],
        scratch: Scratch,
    ):
        self.logits, self.filtered, self.temperature = logits, how.filtered, temperature
        self.plain = how.plain
        wanted = set[str]().union(*(sums for need, sums in _SUMS.items() if need in needs))
        wanted |= {"maxima"} if temperature.some_greedy else set()
        if not (temperature.always_greedy or how.plain):
            changed = isinstance(temperature.value, Tensor) or temperature.value != 1
            wanted |= {"shaped"} | ({"tempered"} if changed else set())
        elif "shaped_mean" in wanted:
            wanted = wanted - {"shaped_mean"} | {"mean"}
        self.sum = passes(logits, how, temperature, wanted, scratch)
        mass = self.sum["sums"].double()
        self.shaped = self.sum["shaped"].double() if "shaped" in wanted else mass  # drawn from
        self.normaliser = mass.sum(1).log().float()

    @property
    def best(self) -> Best:
        """The last id that the filters keep."""
        return Best(self.sum["least"], self.sum["last"])

    @cached_property
    def likeliest(self) -> Tensor:
        """(M,) int64."""
        return likeliest(self.logits, self.sum["maxima"])

    def entropy(self) -> Tensor:
        """(M,) nats."""
        mean = self.sum["mean"] * (-self.normaliser).exp()
        return (self.normaliser - mean).clamp(min=0.0)

    def draw(self, u: Tensor) -> Tensor:
        """(M,) int64: one id for each row, the likeliest where it is greedy."""
        if self.temperature.always_greedy:
            return self.likeliest
        block, _ = pick(self.shaped, u[:, :1])
        ids = ids_of(block, self.logits.shape[1])
        inside = at_ids(self.logits, ids, NEG_INF)
        mass = (inside * self.temperature.rate).exp_()
        if self.filtered:
            mass *= self.best.holds(inside, ids)
        drawn = ids[:, 0] + pick(mass.double(), u[:, 1:])[0]
        greedy = self.temperature.greedy
        return drawn if greedy is None else self.likeliest.where(greedy, drawn)

    def look_at(self, token: Tensor) -> None:
        """Find the logits (M,) of these tokens (M,), of which log-probabilities are asked next."""
        at = token.unsqueeze(1)
        logit = self.logits.gather(1, at)
        self.logit = logit.squeeze(1)
        self.left_out = ~self.best.holds(logit, at).squeeze(1) if self.filtered else None

    def sampling_logprob(self) -> Tensor:
        """(M,): of the token as it is drawn; where that is greedy, measured from the likeliest."""
        if self.temperature.always_greedy:
            return self._if_kept(self.logit)
        normaliser, rate = self.shaped.sum(1).log().float(), self.temperature.rate
        if self.temperature.greedy is not None:
            normaliser = normaliser.masked_fill(self.temperature.greedy, 0.0)
        value = self.logit * (rate.squeeze(1) if isinstance(rate, Tensor) else rate)
        return self._if_kept(value - normaliser)

    def sampling_entropy(self) -> Tensor:
        """(M,) nats: of the distribution that is drawn from; 0 where it is greedy."""
        if self.plain:
            return self.entropy()
        if self.temperature.always_greedy:
            return torch.zeros_like(self.normaliser)
        mass = self.shaped.sum(1)
        entropy = (mass.log() - self.sum["shaped_mean"] / mass).float().clamp(min=0.0)
        greedy = self.temperature.greedy
        return entropy if greedy is None else entropy.masked_fill(greedy, 0.0)

    def kept_logprob(self) -> Tensor:
        """(M,): of the token among what the filters keep, at temperature 1; there are some."""
        return self._if_kept(self.logit - self.sum["kept"].log())

    def kept_entropy(self) -> Tensor:
        """(M,) nats: of the distribution over what the filters keep, at temperature 1."""
        if not self.filtered:
            return self.entropy()
        kept = self.sum["kept"]
        return (kept.log() - self.sum["kept_mean"] / kept).clamp(min=0.0)

    def margin(self) -> Tensor:
        """(M,): largest probability minus the second largest (2502.06768); of one id, its own."""
        first, second = two_largest(self.logits, self.sum["maxima"])
        return (first - self.normaliser).exp() - (second - self.normaliser).exp()

    def gap(self) -> Tensor:
        """(M,): largest logit minus the second largest; inf where there is one."""
        first, second = two_largest(self.logits, self.sum["maxima"])
        return first - second

    def kept_margin(self) -> Tensor:
        """(M,): largest minus second largest probability among what the filters keep."""
        if not self.filtered:
            return self.margin()
        kept, (_, second) = self.sum["kept"], two_largest(self.logits, self.sum["maxima"])
        # The largest has mass 1 here; where the second is not kept, nothing else is.
        return (1 - torch.minimum(second.exp(), (kept - 1).clamp(min=0.0))) / kept

    def _if_kept(self, value: Tensor) -> Tensor:
        return value if self.left_out is None else value.masked_fill(self.left_out, NEG_INF)


def _noised_logprob(noised: Tensor | None, token: Tensor) -> Tensor:
    assert noised is not None
    return noised.gather(1, token.unsqueeze(1)).squeeze(1) - noised.logsumexp(1)
