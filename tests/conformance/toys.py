"""Small networks whose answers depend on neighbours, position and memory, all by table look-up.

Only gathers and sums of three numbers, so a row's logits are the same to the bit in any batch.
"""

from dataclasses import dataclass

import numpy as np
import torch
from tests.reference.network import Network

VOCAB, MASK, FORBIDDEN, PLACES = 7, 5, 2, 16


def table(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 1.5


@dataclass(frozen=True)
class SumCache:
    """One number a row, and which rows have begun."""

    sum: torch.Tensor
    begun: np.ndarray

    def take(self, rows):
        return SumCache(self.sum[torch.from_numpy(rows)], self.begun[rows])

    def put(self, rows, part):
        begun = self.begun.copy()
        begun[rows] = part.begun
        return SumCache(self.sum.index_copy(0, torch.from_numpy(rows), part.sum), begun)

    def resize(self, length):
        return self

    def blank(self, rows):
        return SumCache(self.sum.new_zeros(rows), np.zeros(rows, bool))

    def concat(self, others):
        every = [self, *others]
        begun = np.concatenate([cache.begun for cache in every])
        return SumCache(torch.cat([cache.sum for cache in every]), begun)


class Toy(Network):
    """A denoiser of its own kind: hidden states are logits, its cache one number per row.

    eager: how much is added to the logits of the mask id and the forbidden one; 12 leaves other
    ids 1 part in 100,000. Every call is noted: `rows` of the trunk, `asked` of the head.
    """

    vocab_size, mask_id, forbidden, cached = VOCAB, MASK, (FORBIDDEN,), True

    def __init__(self, dtype=torch.float32, eager=0.0):
        self.dtype, self.eager = dtype, eager
        self.place, self.left, self.right = table(1, PLACES, VOCAB), *table(2, 2, VOCAB + 1, VOCAB)
        self.past = table(3, 5, VOCAB)
        self.rows, self.asked = [], []

    def forward(self, query, cache):
        tokens, valid = query.tokens, query.valid
        logits = self.hidden(tokens, valid=valid)
        if cache is not None:
            told = self.past[cache.sum] * torch.from_numpy(cache.begun)[:, None]
            logits = (logits.float() + told.unsqueeze(1)).to(self.dtype)
        return logits, SumCache((tokens * valid).sum(1) % 5, np.ones(len(tokens), bool))

    def hidden(self, tokens, *, valid):
        self.rows.append(len(tokens))
        ids = torch.where(valid, tokens, VOCAB)  # VOCAB stands for the edge of the row
        edge = ids.new_full((len(ids), 1), VOCAB)
        before, after = torch.cat([edge, ids[:, :-1]], 1), torch.cat([ids[:, 1:], edge], 1)
        logits = self.place[: ids.shape[1]] + self.left[before] + self.right[after]
        logits[..., [MASK, FORBIDDEN]] += self.eager
        return logits.to(self.dtype)

    def logits(self, hidden):
        self.asked.append(len(hidden))
        return hidden


def flat(tokens):
    """The same without a cache or padding flags, as a plain function tokens -> logits."""
    return Toy().hidden(tokens, valid=torch.ones_like(tokens, dtype=torch.bool))


def critic(tokens, *, valid, condition):
    """(B,N) logits that a token is wrong, by token, left neighbour and position."""
    score = table(4, VOCAB, VOCAB)
    before = torch.cat([tokens[:, :1], tokens[:, :-1]], 1)
    return score[before, tokens] + table(5, PLACES)[: tokens.shape[1]]
