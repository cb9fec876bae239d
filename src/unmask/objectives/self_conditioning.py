"""Self-conditioning in training: the path that generation takes, with a coin for each row."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unmask.core.network import Denoiser, Query
from unmask.core.random import Purpose, uniform


def hidden_states(
    denoiser: Denoiser,
    shown: Tensor,
    valid: Tensor,
    condition: Any,
    self_condition: float,
    seed: Tensor,
) -> Tensor:
    """(B,N,D). A row whose coin falls under `self_condition` reads its own first pass.

    The first pass has the null input, as the first step of a generation does, and no gradient flows
    through it (2208.04202).
    """
    query = Query.of(shown, valid, condition)
    coin = uniform(seed, 0, 0, Purpose.SELF_CONDITION)[..., 0] < self_condition
    rows = coin.nonzero().squeeze(1).cpu().numpy()
    cache = None
    if len(rows):
        with torch.no_grad():
            _, first = denoiser.forward(query.take(rows), None)
        if first is not None:
            cache = first.blank(len(shown)).put(rows, first)
    return denoiser.forward(query, cache)[0]
