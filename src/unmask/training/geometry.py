"""Starting weights that know the grid: a head start for small image models trained for minutes.

Everything stays trainable. Positions start as Fourier features of (row, column), so a shift on the
grid is a rotation of features; heads of the first two layers start by looking at one of the eight
neighbours each; grey levels start as Fourier features of their value. D width, d head width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

NEIGHBOURS = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1))
SHARPNESS = 0.8  # of the first attention to a neighbour
LEVEL_FREQUENCY = 0.25  # standard deviation, radians per level


@torch.no_grad()
def know_the_grid(net: Any, side: int, levels: int, front: int, seed: int) -> None:
    """Set a MegatronBert's starting weights for side × side pixels behind `front` other tokens."""
    config, generator = net.config, torch.Generator().manual_seed(seed)
    width, heads = config.hidden_size, config.num_attention_heads
    head = width // heads
    frequencies = torch.randn(head // 2, 2, generator=generator)
    embeddings = net.bert.embeddings
    _positions(embeddings.position_embeddings.weight, frequencies, side, front, generator)
    _levels(embeddings.word_embeddings.weight, head, levels, generator)
    embeddings.token_type_embeddings.weight.zero_()
    net.cls.predictions.transform.LayerNorm.weight.fill_(0.2)  # small logits at first
    for number, offset in enumerate(NEIGHBOURS):
        layer, h = net.bert.encoder.layer[number // heads], number % heads
        attention = layer.attention.self
        rows = slice(h * head, (h + 1) * head)
        attention.query.weight[rows, :head] += SHARPNESS * _shift(frequencies, offset)
        attention.key.weight[rows, :head] += SHARPNESS * torch.eye(head)


def _positions(
    weight: Tensor, frequencies: Tensor, side: int, front: int, generator: torch.Generator
) -> None:
    head, width = 2 * len(frequencies), weight.shape[1]
    cells = torch.arange(side * side)
    phase = torch.stack([cells // side, cells % side], 1).float() @ frequencies.T
    weight.normal_(0, 0.1, generator=generator)
    weight[:, :head] = 0
    scale = 0.5 * (width / head) ** 0.5
    weight[front : front + len(cells), :head] = torch.cat([phase.cos(), phase.sin()], 1) * scale


def _levels(weight: Tensor, head: int, levels: int, generator: torch.Generator) -> None:
    """Ids 0..levels−1 get smooth features of their value, beside the channels of the position."""
    half = (weight.shape[1] - head) // 2
    weight.normal_(0, 0.3, generator=generator)
    weight[:, :head] = 0
    frequency = torch.randn(1, half, generator=generator) * LEVEL_FREQUENCY
    phase = torch.arange(levels).float()[:, None] * frequency
    weight[:levels, head : head + 2 * half] = torch.cat([phase.cos(), phase.sin()], 1) * 0.5


def _shift(frequencies: Tensor, offset: tuple[int, int]) -> Tensor:
    """(d,d): turns the features of a cell into those of the cell at this offset."""
    theta = frequencies @ torch.tensor(offset, dtype=torch.float32)
    cos, sin = torch.diag(theta.cos()), torch.diag(theta.sin())
    return torch.cat([torch.cat([cos, -sin], 1), torch.cat([sin, cos], 1)], 0)
