"""Warped digits: bitmaps are exact, warps small, seeded by row, and still the digit they were."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from unmask.tasks import digits
from unmask.tasks.warp import bitmaps, warp


def test_block_counts_of_a_bitmap_are_the_levels():
    tokens = digits.load().train_tokens
    counted = F.avg_pool2d(bitmaps(tokens), 4) * 16
    assert torch.equal(counted.round().long().flatten(1), tokens)


def test_a_warp_is_its_rows_own():
    tokens = digits.load().train_tokens[:20]
    seeds = torch.arange(100, 120)
    together = warp(tokens, seeds)
    assert torch.equal(together[7:8], warp(tokens[7:8], seeds[7:8]))
    assert not torch.equal(together, warp(tokens, seeds + 1))
    assert together.min() >= 0
    assert together.max() < digits.LEVELS


def test_a_warped_digit_is_still_that_digit():
    """A nearest-neighbour classifier on the images themselves names at least 95 % of them."""
    data = digits.load()
    changed = warp(data.held_out_tokens, torch.arange(360))
    distance = torch.cdist(changed.double(), data.train_tokens.double())
    named = data.train_labels[distance.argmin(1)]
    assert (named == data.held_out_labels).double().mean() >= 0.95
    moved = (changed - data.held_out_tokens).double().abs().mean()
    assert 0.5 < float(moved) < 3
