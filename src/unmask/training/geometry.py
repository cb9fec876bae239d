"""Initial weights that encode the layout of positions, for models trained for minutes only.

All weights stay trainable. D width, d width of a head.

Images and lines: position embeddings and grey levels start as Fourier features, so that a shift on
the grid is a rotation; the first heads attend to one of the eight neighbours each (in a line, four
on either side). Boards: positions start with one-hot row, column and box, and in every layer one
head each attends to the same row, column and box; on large boards, where most cells share none, to
these alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from unmask.viz.layout import Layout

START_LOGITS = 0.2  # scale of the last normalisation: small logits at first
UNIT_SCALE, UNIT_SHARPNESS = 2.0, 1.2  # of a board's one-hot rows, columns and boxes
LARGE, LARGE_SHARPNESS = 9, 1.7  # the side of a large board, and its sharpness
NEIGHBOURS = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1))
IN_LINE = tuple((0, step) for step in (1, -1, 2, -2, 3, -3, 4, -4))
SHARPNESS = 0.8  # of the first attention to a neighbour
LEVEL_FREQUENCY = 0.25  # standard deviation, radians per level


def know_the_layout(net: Any, layout: Layout, seed: int) -> None:
    """Set a MegatronBert's initial weights for an image, a square board, or lines of text.

    Of a network with fewer heads in all than eight, or heads of an odd width, less is set.
    """
    if layout.kind == "image":
        _know_places(net, (layout.height, layout.width), NEIGHBOURS, layout.levels, seed)
    elif layout.kind == "text":
        _know_places(net, (1, net.config.max_position_embeddings), IN_LINE, 0, seed)
    else:
        _know_board(net, layout.height, layout.box[0], seed)


@torch.no_grad()
def _know_board(net: Any, side: int, box: int, seed: int) -> None:
    """side × side cells, box × box boxes."""
    generator = torch.Generator().manual_seed(seed)
    head = net.config.hidden_size // net.config.num_attention_heads
    embeddings = net.bert.embeddings
    cell = torch.arange(side * side)
    row, column = cell // side, cell % side
    units = (row, column, row // box * box + column // box)
    sharpness = LARGE_SHARPNESS if side >= LARGE else UNIT_SHARPNESS
    onehot = torch.cat([one_hot(unit, side) for unit in units], 1).float()
    embeddings.position_embeddings.weight.normal_(0, 0.1, generator=generator)
    embeddings.position_embeddings.weight[:, : 3 * side] = UNIT_SCALE * onehot
    embeddings.word_embeddings.weight.normal_(0, 0.5, generator=generator)
    embeddings.word_embeddings.weight[:, : 3 * side] = 0
    embeddings.token_type_embeddings.weight.zero_()
    net.cls.predictions.transform.LayerNorm.weight.fill_(START_LOGITS)
    for layer in net.bert.encoder.layer:
        attention = layer.attention.self
        for h in range(len(units)):
            for weight in (attention.query.weight, attention.key.weight):
                rows = weight[h * head : h * head + side]
                if side >= LARGE:
                    rows.zero_()
                rows[:, h * side : (h + 1) * side] += sharpness * torch.eye(side)


@torch.no_grad()
def _know_places(
    net: Any, sides: tuple[int, int], offsets: Sequence[tuple[int, int]], levels: int, seed: int
) -> None:
    """sides: lines, and cells of a line; levels: ids that are grey levels, 0 for none."""
    config, generator = net.config, torch.Generator().manual_seed(seed)
    width, heads = config.hidden_size, config.num_attention_heads
    head = width // heads
    frequencies = torch.randn(head // 2, 2, generator=generator)
    embeddings = net.bert.embeddings
    cells = torch.arange(sides[0] * sides[1])
    cell = torch.stack([cells // sides[1], cells % sides[1]], 1).float()
    place, word = embeddings.position_embeddings.weight, embeddings.word_embeddings.weight
    place.normal_(0, 0.1, generator=generator)
    even = 2 * len(frequencies)
    place[:, :even] = _fourier(cell, frequencies) * 0.5 * (width / even) ** 0.5
    # Words leave the position's channels to it; ids that are levels have features beside them.
    word.normal_(0, 0.3, generator=generator)
    word[:, :head] = 0
    if levels:
        half = (width - head) // 2
        frequency = torch.randn(half, 1, generator=generator) * LEVEL_FREQUENCY
        level = torch.arange(levels).float()[:, None]
        word[:levels, head : head + 2 * half] = _fourier(level, frequency) * 0.5
    embeddings.token_type_embeddings.weight.zero_()
    net.cls.predictions.transform.LayerNorm.weight.fill_(START_LOGITS)
    room = len(net.bert.encoder.layer) * heads if head % 2 == 0 else 0
    for number, offset in enumerate(offsets[:room]):
        layer, h = net.bert.encoder.layer[number // heads], number % heads
        attention = layer.attention.self
        rows = slice(h * head, (h + 1) * head)
        attention.query.weight[rows, :head] += SHARPNESS * _shift(frequencies, offset)
        attention.key.weight[rows, :head] += SHARPNESS * torch.eye(head)


def _fourier(place: Tensor, frequencies: Tensor) -> Tensor:
    phase = place @ frequencies.T
    return torch.cat([phase.cos(), phase.sin()], 1)


def _shift(frequencies: Tensor, offset: tuple[int, int]) -> Tensor:
    """Return (d,d): the map from a cell's features to those of the cell at this offset."""
    theta = frequencies @ torch.tensor(offset, dtype=torch.float32)
    cos, sin = torch.diag(theta.cos()), torch.diag(theta.sin())
    return torch.cat([torch.cat([cos, -sin], 1), torch.cat([sin, cos], 1)], 0)
