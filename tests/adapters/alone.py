"""The right values: what a network gives to a row alone, without this library."""

from __future__ import annotations

import torch
from torch.utils._pytree import tree_map

from unmask import objectives
from unmask.core.network import Query

LENGTHS = (5, 12, 9)


def rows(ids, mask_id, special=None, lengths=LENGTHS):
    """Tokens (B,N) of these ids with mask ids between, one special id a row, and the valid ones."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(ids), (len(lengths), max(lengths)), generator=generator)
    tokens = torch.tensor(ids)[drawn]
    tokens[:, ::3] = mask_id
    if special is not None:
        tokens[:, 2] = special
    return tokens, torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)


@torch.no_grad()
def logits_of(denoiser, tokens, valid=None, condition=None):
    """The logits (B,N,V) through the denoiser."""
    hidden, _ = denoiser.forward(Query.of(tokens, valid, condition), None)
    return denoiser.logits(hidden.flatten(0, 1)).unflatten(0, tokens.shape)


def check_close(found, right):
    """Equal up to rounding; infinite where the other is."""
    assert torch.equal(found.isfinite(), right.isfinite())
    finite = right.isfinite()
    assert float(right[finite].std()) > 1e-3  # not flat, so that a difference would show
    difference = float((found - right)[finite].abs().max())
    assert difference <= 2e-4 * float(right[finite].abs().max())


def check_rows(denoiser, tokens, valid, alone, condition=None):
    """Every row has its own logits, in the batch and by itself.

    alone: a function (tokens (1,n), condition) -> the network's own logits (1,n,V).
    """
    together = logits_of(denoiser, tokens, valid, condition)
    for index, length in enumerate(valid.sum(1).tolist()):
        row, own = (
            tokens[index : index + 1, :length],
            part_of(condition, slice(index, index + 1), length),
        )
        with torch.no_grad():
            right = alone(row, own)[0]
        check_close(together[index, :length], right)
        check_close(logits_of(denoiser, row, None, own)[0], right)


def check_losses(denoiser, tokens, valid, condition=None):
    """The loss of a padded batch is the mean of the losses of its rows alone, per token."""
    seeds = torch.arange(len(tokens)) + 7
    time = torch.linspace(0.2, 0.8, len(tokens), dtype=torch.float64)

    def loss(rows, length):
        shown, real = tokens[rows, :length], valid[rows, :length]
        given = {"time": time[rows], "valid": real, "condition": part_of(condition, rows, length)}
        return objectives.complementary(denoiser, shown, real, seeds[rows], **given).loss.item()

    lengths = valid.sum(1).tolist()
    alone = [n * loss(slice(i, i + 1), n) for i, n in enumerate(lengths)]
    together = loss(slice(None), tokens.shape[1])
    assert abs(together - sum(alone) / sum(lengths)) <= 2e-4 * abs(together)


def part_of(condition, rows, length):
    """The condition of these rows; what it says of each token, of the first positions."""
    width = max(LENGTHS)

    def part(leaf):
        return leaf[rows, :length] if leaf.dim() == 2 and leaf.shape[1] == width else leaf[rows]

    return None if condition is None else tree_map(part, condition)
