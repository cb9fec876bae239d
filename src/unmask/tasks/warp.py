"""Warped digits: more handwriting than 1,437 images hold.

The 8×8 digits were made from 32×32 bitmaps by counting ink in blocks of 4×4. A bitmap with the same
counts is rebuilt, slanted, stretched and bent a little, and counted again. B images, 64 pixels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from unmask.core.random import Purpose, uniform
from unmask.tasks.digits import SIDE

BLOCK = 4
BITMAP = SIDE * BLOCK
KNOTS = 5  # of the elastic field, each way
# Largest rotation and shear (radians, slope), stretch across and down, shift across and down.
AFFINE = (0.14, 0.12, 0.10, 0.04, 0.06, 0.02)
BEND = 0.045  # standard deviation of a knot, in half widths


def bitmaps(tokens: Tensor) -> Tensor:
    """(B,64) levels -> (B,1,32,32) of 0 and 1 whose 4×4 block counts are exactly the levels."""
    image = tokens.view(-1, 1, SIDE, SIDE).float()
    smooth = F.interpolate(image, size=(BITMAP, BITMAP), mode="bicubic", align_corners=False)
    blocks = F.unfold(smooth, BLOCK, stride=BLOCK)  # (B,16,64)
    rank = blocks.argsort(1, descending=True).argsort(1)
    ink = (rank < tokens.unsqueeze(1)).float()
    return F.fold(ink, (BITMAP, BITMAP), BLOCK, stride=BLOCK)


def warp(tokens: Tensor, seed: Tensor) -> Tensor:
    """(B,64) levels -> (B,64) levels of the same digits, warped by each row's own seed (B,)."""
    if not len(tokens):
        return tokens
    numbers = torch.arange(6, device=seed.device)
    u = uniform(seed[:, None], 0, numbers, Purpose.AUGMENT)[..., 1].float()
    moves = (2 * u - 1) * torch.tensor(AFFINE, device=seed.device)
    angle, shear, across, down, right, up = moves.unbind(1)
    cos, sin = torch.cos(angle), torch.sin(angle)
    first = torch.stack([cos * (1 + across), (shear - sin) * (1 + across), right], 1)
    second = torch.stack([sin * (1 + down), cos * (1 + down), up], 1)
    theta = torch.stack([first, second], 1)
    grid = F.affine_grid(theta, [len(tokens), 1, BITMAP, BITMAP], align_corners=False)
    bitmap = bitmaps(tokens)
    soft = (F.avg_pool2d(bitmap, 3, 1, padding=1) + bitmap) / 2
    moved = F.grid_sample(soft, grid + _bend(seed), align_corners=False)
    counts = F.avg_pool2d((moved > 0.5).float(), BLOCK) * BLOCK**2
    return counts.round().long().flatten(1)


def _bend(seed: Tensor) -> Tensor:
    """(B,32,32,2) smooth displacements: normal at 5×5 knots (Box-Muller), bicubic between."""
    knots = torch.arange(KNOTS * KNOTS, device=seed.device)
    u = uniform(seed[:, None], 1, knots, Purpose.AUGMENT)
    radius, angle = torch.sqrt(-2 * torch.log(u[..., 0])), 2 * math.pi * u[..., 1]
    normal = torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], 1)
    field = normal.float().view(-1, 2, KNOTS, KNOTS) * BEND
    field = F.interpolate(field, size=(BITMAP, BITMAP), mode="bicubic", align_corners=True)
    return field.permute(0, 2, 3, 1)
