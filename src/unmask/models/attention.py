"""Attention masks: which positions of a row each position attends to.

Shapes: R rows, N positions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def block_causal(block: Tensor, keys: Tensor) -> Tensor:
    """Return (R,N,N) bool: each position attends to those of its block, and of blocks before.

    block: (R,N) or (1,N) int64. keys: (R,1,N) or (R,N,N) bool, what may be attended to at all.
    """
    return (block.unsqueeze(1) <= block.unsqueeze(2)) & keys


def two_streams(block: Tensor, keys: Tensor) -> Tensor:
    """Return (R,2N,2N) bool: attention of N noisy positions, then of the N clean ones (2503.09573).

    A noisy position attends to the noisy ones of its block, and to the clean ones of blocks before;
    a clean position to the clean ones of its block, and of blocks before. Arguments as in
    `block_causal`.
    """
    before, same = block.unsqueeze(1) < block.unsqueeze(2), block.unsqueeze(1) == block.unsqueeze(2)
    noisy = torch.cat([same & keys, before & keys], 2)
    clean = torch.cat([torch.zeros_like(same & keys), (before | same) & keys], 2)
    return torch.cat([noisy, clean], 1)


def shaped(net: Any, seen: Tensor) -> Tensor:
    """Return the mask that the attention takes: bool, or for eager attention a float to add."""
    if net.config._attn_implementation == "sdpa":
        return seen
    lowest = torch.finfo(net.dtype).min
    return torch.zeros_like(seen, dtype=net.dtype).masked_fill(~seen, lowest)
