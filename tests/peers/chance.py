"""A network of tables, and the uniforms of a generation handed to a peer in place of its own.

Shapes: B rows, N positions, V vocabulary.
"""

import torch

import unmask
from unmask.core.random import Purpose, gumbel, uniform
from unmask.sampling import invert

VOCAB, MASK, PLACES = 11, 10, 16
_random = torch.Generator().manual_seed(2401)


def _table(rows, scale):
    """(rows,V), rounded so that float32 adds it up alike in any order."""
    return (torch.randn(rows, VOCAB, generator=_random) * scale * 64).round() / 64


PLACE, LEFT, RIGHT = _table(PLACES, 1.5), _table(VOCAB + 1, 1.2), _table(VOCAB + 1, 1.2)


def network(tokens):
    """(B,N) ids -> (B,N,V) logits by position and neighbours; the mask id is never data."""
    edge = torch.full_like(tokens[:, :1], VOCAB)
    left, right = torch.cat([edge, tokens[:, :-1]], 1), torch.cat([tokens[:, 1:], edge], 1)
    logits = PLACE[: tokens.shape[1]] + LEFT[left] + RIGHT[right]
    return logits.index_fill(2, torch.tensor(MASK), float("-inf"))


def wrapped(net=network, vocab=VOCAB, mask=MASK):
    return unmask.wrap(net, mask_id=mask, vocab_size=vocab)


def shown(info):
    """(B,N) ids after a step of ours, the mask id where unknown: what a peer calls the sample."""
    return info.tokens.masked_fill(info.masked, MASK)


def infill(tokens):
    """The canvas of ids (B,N) in which the mask id stands where something is to be generated."""
    return unmask.Canvas.infill(tokens, tokens == MASK)


def steps(strategy, tokens, seeds, net=network):
    """What a peer would show of each step of ours from (B,N) ids: a list of (B,N)."""
    return [
        shown(info) for info in unmask.stream(wrapped(net), infill(tokens), strategy, seeds=seeds)
    ]


class Chance:
    """The uniforms of given rows at the step and the positions that a peer is about to take."""

    def __init__(self, seeds):
        self.seeds, self.step, self.places = torch.tensor(seeds), 0, torch.arange(0)

    def next(self, step, first, last):
        """The peer's next draws are those of positions first to last at this step."""
        self.step, self.places = step, torch.arange(first, last)

    def uniforms(self, purpose):
        """(B,N,2) float64."""
        return uniform(self.seeds[:, None], self.step, self.places, purpose)

    def multinomial(self, probabilities, num_samples, *, generator=None):
        """In place of torch.multinomial: (B·N,V) -> (B·N,1)."""
        assert num_samples == 1
        return invert(probabilities.log(), self.uniforms(Purpose.DRAW).flatten(0, 1))[0][:, None]

    def gumbel_noise(self, scores, generator=None):
        """In place of a peer's noise of one number a position: (B,N) -> (B,N)."""
        return gumbel(self.uniforms(Purpose.CHOICE)[..., 0]).to(scores)
