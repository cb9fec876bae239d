"""A fixed random world: logits by position, left and right neighbour, in numpy.

The tables are rounded to quarters so that float32 and float64 add them up alike.
"""

import numpy as np
import torch

from unmask.random import Purpose, uniform

VOCAB, MASK, PLACES, EDGE = 11, 4, 9, 11
_random = np.random.default_rng(2202)
PLACE = np.round(_random.normal(size=(PLACES, VOCAB)) * 5) / 4
LEFT, RIGHT = np.round(_random.normal(size=(2, VOCAB + 1, VOCAB)) * 6) / 4
# Spread out by fractions that no two positions share, so that no two scores tie.
PLACE += np.arange(PLACES)[:, None] / 64 + np.arange(VOCAB) * np.arange(PLACES)[:, None] / 1024
WRONG = np.round(_random.normal(size=(VOCAB, VOCAB)) * 8) / 8
WRONG_PLACE = np.arange(PLACES) / 64


def logits(shown):
    """(N,) ids as the network is shown them -> (N,V) float64."""
    padded = [EDGE, *shown, EDGE]
    return np.stack(
        [PLACE[i] + LEFT[padded[i]] + RIGHT[padded[i + 2]] for i in range(len(shown))],
    )


def wrong(filled):
    """(N,) ids -> (N,) logits of the critic."""
    return (
        np.array([WRONG[filled[i - 1 if i else 0], filled[i]] for i in range(len(filled))])
        + (WRONG_PLACE[: len(filled)])
    )


def network(tokens):
    """The same as a function that `unmask.wrap` takes."""
    return torch.tensor(np.stack([logits(row) for row in tokens.tolist()]), dtype=torch.float32)


def critic(tokens, *, valid, condition):
    """The same as a critic. What it says of padding is never used."""
    return torch.tensor(np.stack([wrong(row) for row in tokens.tolist()]), dtype=torch.float32)


def uniforms(seed, step, length, purpose):
    """(N,2) for one row and step: the only thing the references take from the library."""
    places = torch.arange(length)
    return uniform(torch.tensor([seed]), step, places, Purpose[purpose]).numpy()
