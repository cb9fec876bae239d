"""Everything that is asked of some positions' logits, from as few passes over them as can be.

Shapes: M rows, V vocabulary, K blocks of about √V ids.
"""

from __future__ import annotations

from collections.abc import Callable, Set

from torch import Tensor

from unmask.host import waits
from unmask.inversion import COLD, pick, width_of
from unmask.sampling.best import Best
from unmask.sampling.draw import Draw
from unmask.sampling.passes import passes
from unmask.sampling.scratch import Scratch
from unmask.sampling.two_level import NEG_INF, ids_of, likeliest, margin, within

_SUMS = {"entropy": "mean", "kept_logprob": "kept", "margin": "maxima", "top_token": "maxima"}


def measured(
    logits: Tensor,
    draw: Draw,
    temperature: Tensor,
    u: Tensor,
    held: Tensor,
    needs: Set[str],
    noise: Tensor | None = None,
    scratch: Scratch | None = None,
) -> dict[str, Tensor]:
    """The fields of a Proposal at M positions, with `normaliser`, and `peak`, finite where usable.

    logits (M,V) float32, which are left shifted so that the largest is 0; temperature (M,) float32;
    u (M,2) float64; held (M,) int64, the token that stands there, −1 where one is to be drawn;
    needs: names of statistics; noise (M,V): temperature·Gumbel, for a race.
    """
    said = _Said(logits, draw, temperature, needs, scratch or Scratch())
    drawn = said.token(u)
    if noise is not None:
        noised = noise + (said.best.dropping(logits) if draw.filtered else logits)
        drawn = noised.argmax(1) if draw.race else drawn
    token = drawn.where(held < 0, held)
    compute: dict[str, Callable[[], Tensor]] = {
        "kept_logprob": lambda: said.kept_logprob(token),
        "noised_logprob": lambda: _at(noised, token) - noised.logsumexp(1),
        "top_logprob": lambda: -said.normaliser,  # of the likeliest id, whose logit is 0 here
        "top_token": said.likeliest,
        "margin": lambda: margin(logits, said.normaliser, said.sum["maxima"]),
        "entropy": said.entropy,
    }
    return {
        "token": token,
        "peak": said.sum["peak"],
        "normaliser": said.normaliser,
        "logprob": _at(logits, token) - said.normaliser,
        "drawn_logprob": said.drawn_logprob(token),
    } | {name: compute[name]() for name in compute if name in needs}


class _Said:
    """What the model says, and what is drawn from: that itself, or tempered and filtered."""

    def __init__(
        self, logits: Tensor, draw: Draw, temperature: Tensor, needs: Set[str], scratch: Scratch
    ):
        changing = callable(draw.temperature)
        self.logits, self.filtered, self.greedy = logits, draw.filtered, temperature < COLD
        self.always_greedy = not changing and draw.temperature < COLD  # type: ignore[operator]
        self.may_be_greedy = self.always_greedy or (changing and _maybe(self.greedy))
        self.rate = (1 / temperature.where(~self.greedy, 1.0)).unsqueeze(1)
        wanted = {name for need, name in _SUMS.items() if need in needs}
        wanted |= {"maxima"} if self.may_be_greedy else set()
        if not (self.always_greedy or draw.plain):
            wanted |= {"warm"} | ({"tempered"} if changing or draw.temperature != 1 else set())
        self.sum = passes(logits, draw, temperature, self.rate, wanted, scratch)
        self.normaliser = self.sum["sums"].double().sum(1).log().float()
        self.warm = self.sum.get("warm", self.sum["sums"]).double()

    @property
    def best(self) -> Best:
        """What the filters keep."""
        return Best(self.sum["least"], self.sum["last"])

    def likeliest(self) -> Tensor:
        """(M,) int64."""
        return likeliest(self.logits, self.sum["maxima"])

    def entropy(self) -> Tensor:
        """(M,) nats."""
        mean = self.sum["mean"] * (-self.normaliser).exp()
        return (self.normaliser - mean).clamp(min=0.0)

    def token(self, u: Tensor) -> Tensor:
        """(M,) int64: one id for each row, the likeliest where it is greedy."""
        if self.always_greedy:
            return self.likeliest()
        block, _ = pick(self.warm, u[:, 0])
        vocab = self.logits.shape[1]
        inside = within(self.logits, block, NEG_INF)
        mass = (inside * self.rate).exp_()
        if self.filtered:
            mass *= self.best.holds(inside, ids_of(block, vocab))
        drawn = block * width_of(vocab) + pick(mass.double(), u[:, 1])[0]
        return self.likeliest().where(self.greedy, drawn) if self.may_be_greedy else drawn

    def drawn_logprob(self, token: Tensor) -> Tensor:
        """(M,): of a token as it is drawn; where that is greedy, measured from the likeliest."""
        normaliser = self.warm.sum(1).log().float().masked_fill(self.greedy, 0.0)
        return self._if_kept(token, _at(self.logits, token) * self.rate.squeeze(1) - normaliser)

    def kept_logprob(self, token: Tensor) -> Tensor:
        """(M,): of a token among what the filters keep, at temperature 1."""
        normaliser = self.sum["kept"].log() if self.filtered else self.normaliser
        return self._if_kept(token, _at(self.logits, token) - normaliser)

    def _if_kept(self, token: Tensor, value: Tensor) -> Tensor:
        if not self.filtered:
            return value
        kept = self.best.holds(_at(self.logits, token).unsqueeze(1), token.unsqueeze(1))
        return value.masked_fill(~kept.squeeze(1), NEG_INF)


def _maybe(flags: Tensor) -> bool:
    """Whether one is True, or might be where looking halts the host."""
    return waits(flags.device) or bool(flags.any())


def _at(values: Tensor, token: Tensor) -> Tensor:
    """(M,V), (M,) -> (M,)."""
    return values.gather(1, token.unsqueeze(1)).squeeze(1)
