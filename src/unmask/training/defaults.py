"""The recipe of a corpus, where none is passed."""

from __future__ import annotations

from unmask.data import Corpus
from unmask.training.recipe import Recipe

POSITIONS = 128
"""Positions of an example that the batch size of `Recipe` is meant for."""


def default_recipe(corpus: Corpus) -> Recipe:
    """Return `Recipe()`, in which short examples that are no windows fill larger batches."""
    usual = Recipe()
    if corpus.stream:
        return usual
    times = min(POSITIONS // corpus.longest, len(corpus.examples) // usual.batch_size)
    return Recipe(batch_size=usual.batch_size * max(1, times))
