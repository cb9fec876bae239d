"""Self-conditioning in training: a random share of rows takes two passes, as generation does."""

from __future__ import annotations

import torch
from torch import Tensor

from unmask.core.network import Denoiser, Query
from unmask.core.random import Purpose, uniform


def hidden_states(denoiser: Denoiser, query: Query, self_condition: float, seed: Tensor) -> Tensor:
    """Return the hidden states (B,N,D) of a query of B rows.

    With probability `self_condition`, a row gets the hidden states of a first pass as input. The
    first pass has the null embedding as input, as the first step of a generation has, and no
    gradient flows through it (2208.04202).
    """
    coin = uniform(seed, 0, 0, Purpose.SELF_CONDITION)[..., 0] < self_condition
    rows = coin.nonzero().squeeze(1).cpu().numpy()
    cache = None
    if len(rows):
        with torch.no_grad():
            _, first = denoiser.forward(query.take(rows), None)
        if first is not None:
            cache = first.blank(len(query.tokens)).put(rows, first)
    return denoiser.forward(query, cache)[0]
