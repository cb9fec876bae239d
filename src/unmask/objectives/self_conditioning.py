"""Self-conditioning in training: the path that generation takes, with a coin for each row."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from unmask.random import Purpose, uniform
from unmask.types import Denoiser


def hidden_states(
    denoiser: Denoiser,
    shown: Tensor,
    valid: Tensor,
    condition: Any,
    self_condition: float,
    seed: Tensor,
) -> Tensor:
    """(B,N,D). A row whose coin falls under `self_condition` reads its own first pass.

    The first pass has the null input (memory None), as the first step of a generation does, and no
    gradient flows through it (2208.04202). Rows of either kind are run apart.
    """
    coin = uniform(seed, 0, 0, Purpose.SELF_CONDITION)[..., 0] < self_condition
    if not bool(coin.any()):
        return _hidden(denoiser, shown, valid, condition)[0]
    parts, rows = [], []
    for conditioned in (True, False):
        index = (coin == conditioned).nonzero().squeeze(1)
        if not len(index):
            continue
        given = tree_map(lambda x, at=index: x[at] if isinstance(x, Tensor) else x, condition)
        memory = None
        if conditioned:
            with torch.no_grad():
                memory = _hidden(denoiser, shown[index], valid[index], given)[1]
        parts.append(_hidden(denoiser, shown[index], valid[index], given, memory)[0])
        rows.append(index)
    return torch.cat(parts)[torch.cat(rows).argsort()]


def _hidden(
    denoiser: Denoiser, shown: Tensor, valid: Tensor, condition: Any, memory: Any = None
) -> tuple[Tensor, Any]:
    extra = {} if condition is None else {"condition": condition}
    return denoiser.hidden(shown, valid=valid, memory=memory, **extra)
