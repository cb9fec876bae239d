"""A fixed random world: logits by position, left and right neighbour and the id shown, in numpy.

The tables are rounded to quarters so that float32 and float64 add them up alike.
"""

import numpy as np
import torch
from tests.reference.network import Network

from unmask.core.random import Purpose, uniform

VOCAB, MASK, PLACES, EDGE = 11, 4, 9, 11
_random = np.random.default_rng(2202)
PLACE = np.round(_random.normal(size=(PLACES, VOCAB)) * 5) / 4
LEFT, RIGHT = np.round(_random.normal(size=(2, VOCAB + 1, VOCAB)) * 6) / 4
# Spread out by fractions that no two positions share, so that no two scores tie.
PLACE += np.arange(PLACES)[:, None] / 64 + np.arange(VOCAB) * np.arange(PLACES)[:, None] / 1024
WRONG = np.round(_random.normal(size=(VOCAB, VOCAB)) * 8) / 8
WRONG_PLACE = np.arange(PLACES) / 64
# What a known token adds at its own place: re-scoring it in sight is not re-scoring it masked.
OWN = np.round(_random.normal(size=(VOCAB, VOCAB)) * 4) / 4
OWN[MASK] = 0
TOLD = np.round(_random.normal(size=(2, VOCAB)) * 4) / 8  # what being told one of two classes adds


def logits(shown, told=None):
    """(N,) ids as the network is shown them -> (N,V) float64. told: a class, or none."""
    padded = [EDGE, *shown, EDGE]
    out = np.stack(
        [
            PLACE[i] + LEFT[padded[i]] + RIGHT[padded[i + 2]] + OWN[shown[i]]
            for i in range(len(shown))
        ],
    )
    return out if told is None else out + TOLD[told]


def wrong(filled):
    """(N,) ids -> (N,) logits of the critic."""
    return (
        np.array([WRONG[filled[i - 1 if i else 0], filled[i]] for i in range(len(filled))])
        + (WRONG_PLACE[: len(filled)])
    )


def network(tokens):
    """The same as a function that `unmask.wrap` takes."""
    return torch.tensor(np.stack([logits(row) for row in tokens.tolist()]), dtype=torch.float32)


class ToldNetwork(Network):
    """The same as a denoiser that is told a class for each row, or -1 for none."""

    vocab_size, mask_id = VOCAB, MASK

    def hidden(self, tokens, *, valid, condition):
        out = torch.zeros(*tokens.shape, VOCAB)
        for row, told in enumerate(condition.tolist()):
            length = int(valid[row].sum())
            shown = tokens[row, :length].tolist()
            out[row, :length] = torch.tensor(logits(shown, None if told < 0 else told))
        return out


def critic(tokens, *, valid, condition):
    """The same as a critic. What it says of padding is never used."""
    return torch.tensor(np.stack([wrong(row) for row in tokens.tolist()]), dtype=torch.float32)


def uniforms(seed, step, length, purpose, lane=None):
    """(N,2) for one row and step: the only thing the references take from the library.

    lane: a number beside the position, such as an id of the vocabulary.
    """
    places, extra = torch.arange(length), {} if lane is None else {"lane": lane}
    return uniform(torch.tensor([seed]), step, places, Purpose[purpose], **extra).numpy()
