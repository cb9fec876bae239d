"""Networks with blocks, read as they generate: each in noise, behind the data of those before it.

Shapes: B rows, N positions in G blocks, D width.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from unmask.core.network import Denoiser, Query
from unmask.groups import Groups
from unmask.objectives.self_conditioning import hidden_states


def blocks_of(denoiser: Denoiser, maskable: Tensor) -> tuple[Tensor, Tensor]:
    """Return the block of each position (B,N), and how many of each are maskable (B,G); int64.

    Without blocks, or with blocks longer than the rows, all is one.
    """
    spec, length = denoiser.spec, maskable.shape[1]
    width = spec.block_size or length
    groups = Groups.blocks(width, origin=spec.block_origin)  # type: ignore[arg-type]
    block = groups.of(maskable)
    size = torch.zeros(len(block), -(-length // width), dtype=torch.int64, device=block.device)
    return block, size.scatter_add_(1, block, maskable.long())


def states_in_noise(
    denoiser: Denoiser,
    query: Query,
    clean: Tensor,
    masked: Tensor,
    maskable: Tensor,
    self_condition: float,
    seed: Tensor,
) -> Tensor:
    """Return the hidden states (B,N,D) of a query in which `masked` of `maskable` (B,N) are hidden.

    clean: (B,N) int64, the data, which in networks with blocks stand in all blocks before: in one
    pass over two streams (BD3-LM 2503.09573), or by a pass for each block in networks that cannot
    be run on these. self_condition, seed: as in `hidden_states`.
    """
    inputs = denoiser.spec.inputs
    block, size = blocks_of(denoiser, maskable)
    if size.shape[1] == 1 or denoiser.spec.two_streams:
        query = query.with_inputs(inputs, masked, maskable)
        query = query if size.shape[1] == 1 else replace(query, clean=clean)
        return hidden_states(denoiser, query, self_condition, seed)
    found: Tensor | None = None
    for number in range(size.shape[1]):
        here = block == number
        one = replace(query, tokens=query.tokens.where(block >= number, clean))
        one = one.with_inputs(inputs, masked & here, maskable & here)
        hidden = hidden_states(denoiser, one, self_condition, seed)
        found = hidden if found is None else hidden.where(here.unsqueeze(2), found)
    assert found is not None
    return found
