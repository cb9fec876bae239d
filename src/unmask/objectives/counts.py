"""The probability q(k) of k hidden positions under a schedule, for the weight 1/(k·q(k)).

Shapes: B rows, Q quadrature nodes. k and n are (B,) int64, results (B,) float64.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from unmask.schedules import Schedule

_REACH = 4.0  # beyond it a node lies within 1e-37 of 0 or 1
_COARSEST, _PER_WIDTH = 1 / 16, 0.4


def inverse(x: Tensor) -> Tensor:
    """Return 1/x, and 0 where x is 0, for rows without hidden positions."""
    return (1 / x).masked_fill(x <= 0, 0.0)


def rounded_up(ratio: Schedule, k: Tensor, n: Tensor) -> Tensor:
    """Return P(max(1, ⌈n·γ(u)⌉) = k), u uniform: γ⁻¹((k−1)/n) − γ⁻¹(k/n); 0 at k = 0."""
    whole = n.clamp(min=1).double()
    # A schedule may be flat at its ends, where its inverse is no single time: k = 1 lasts until 1,
    # k = n begins at 0.
    leaves = ratio.inverse(((k - 1) / whole).clamp(min=0)).masked_fill(k <= 1, 1.0)
    enters = ratio.inverse(k / whole).masked_fill(k >= n, 0.0)
    return (leaves - enters).masked_fill(k < 1, 0.0)


def binomial(ratio: Schedule, k: Tensor, n: Tensor) -> Tensor:
    """Return the probability that k of n positions are hidden, each with γ(u), u uniform.

    At least k are hidden if u ≤ γ⁻¹(m), m the k-th smallest of the positions' uniforms, so that
    P(K ≥ k) = E[γ⁻¹(m)], m ~ Beta(k, n−k+1). Exact to 1e-10 for n of a few thousand and an inverse
    that is smooth inside (0, 1); 0 at k = 0. For `linear` it is 1/(n+1).
    """
    time, log_m, log_rest, log_node = _nodes(ratio, int(n.max()) if len(n) else 1, n.device)
    rest = (n - k).clamp(min=0).double()[:, None]

    def at_least(count: Tensor, below: Tensor) -> Tensor:
        # Normalised by the same sum, which takes the Beta function and its rounding out.
        density = log_node + (count - 1) * log_m + below * log_rest
        return (density.softmax(1) * time).sum(1)

    wanted = k.clamp(min=1).double()[:, None]
    more = at_least(wanted + 1, (rest - 1).clamp(min=0)).masked_fill(k >= n, 0.0)
    return (at_least(wanted, rest) - more).masked_fill(k < 1, 0.0)


def _nodes(
    ratio: Schedule, largest: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """γ⁻¹(m), log m, log(1−m) and the log weight, each (Q,), of double-exponential quadrature.

    m = 1/(1 + exp(−π sinh s)) with s on an even grid: singular ends, such as those of the inverse
    of a power, cost nothing. The grid resolves the 1/√n of the narrowest Beta.
    """
    step = min(_COARSEST, _PER_WIDTH / math.sqrt(max(largest, 1)))
    s = torch.arange(-_REACH, _REACH + step, step, dtype=torch.float64, device=device)
    logit = math.pi * torch.sinh(s)
    log_m, log_rest = F.logsigmoid(logit), F.logsigmoid(-logit)
    return ratio.inverse(log_m.exp()), log_m, log_rest, log_m + log_rest + torch.cosh(s).log()
