"""Small networks whose answers depend on neighbours, position and memory, all by table look-up.

Only gathers and sums of three numbers, so a row's logits are the same to the bit in any batch.
"""

import torch

VOCAB, MASK, FORBIDDEN, PLACES = 7, 5, 2, 16


def table(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 1.5


class Toy:
    """A denoiser of its own kind: hidden states are logits, memory a dict of one number per row.

    eager: how much is added to the logits of the mask id and the forbidden one; 12 leaves other
    ids 1 part in 100,000. Every call is noted: `rows` of the trunk, `asked` of the head.
    """

    vocab_size, mask_id, forbidden = VOCAB, MASK, (FORBIDDEN,)

    def __init__(self, dtype=torch.float32, eager=0.0):
        self.dtype, self.eager = dtype, eager
        self.place, self.left, self.right = table(1, PLACES, VOCAB), *table(2, 2, VOCAB + 1, VOCAB)
        self.past = table(3, 5, VOCAB)
        self.rows, self.asked = [], []

    def hidden(self, tokens, *, valid, memory):
        self.rows.append(len(tokens))
        ids = torch.where(valid, tokens, VOCAB)  # VOCAB stands for the edge of the row
        edge = ids.new_full((len(ids), 1), VOCAB)
        before, after = torch.cat([edge, ids[:, :-1]], 1), torch.cat([ids[:, 1:], edge], 1)
        logits = self.place[: ids.shape[1]] + self.left[before] + self.right[after]
        if memory is not None:
            logits = logits + self.past[memory["sum"]].unsqueeze(1)
        logits[..., [MASK, FORBIDDEN]] += self.eager
        return logits.to(self.dtype), {"sum": (tokens * valid).sum(1) % 5}

    def logits(self, hidden):
        self.asked.append(len(hidden))
        return hidden


def flat(tokens):
    """The same without memory or padding flags, as a plain function tokens -> logits."""
    return Toy().hidden(tokens, valid=torch.ones_like(tokens, dtype=torch.bool), memory=None)[0]


def critic(tokens, *, valid, condition):
    """(B,N) logits that a token is wrong, by token, left neighbour and position."""
    score = table(4, VOCAB, VOCAB)
    before = torch.cat([tokens[:, :1], tokens[:, :-1]], 1)
    return score[before, tokens] + table(5, PLACES)[: tokens.shape[1]]
