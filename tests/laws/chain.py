"""A Markov chain whose conditionals are known, and how far generated neighbours are from it."""

import torch
from tests.reference.oracles import MarkovOracle, chain_8

import unmask

MARKOV = MarkovOracle(chain_8())
LENGTH = 32


def bigram_counts(tokens):
    """(B,N) -> (64,) float64."""
    pairs = tokens[:, :-1] * MARKOV.mask_id + tokens[:, 1:]
    return torch.bincount(pairs.flatten(), minlength=MARKOV.mask_id**2).double()


def bigram_kl(tokens):
    """KL of the generated bigrams to the true ones, nats. Noise alone gives 63/(2·31·rows)."""
    seen = bigram_counts(tokens) / bigram_counts(tokens).sum()
    return float(torch.xlogy(seen, seen / MARKOV.bigrams.flatten()).sum())


def nats(tokens):
    """Minus the mean log-probability of a token after the one before."""
    return -float(MARKOV.transition.log()[tokens[:, :-1], tokens[:, 1:]].mean())


def true_nats():
    """The entropy rate."""
    return -float((MARKOV.bigrams * MARKOV.transition.log()).sum())


def chains_of(strategy, rows, seed=1):
    """(rows,32) generated ids."""
    denoiser = unmask.wrap(MARKOV, mask_id=MARKOV.mask_id)
    return unmask.generate(denoiser, strategy=strategy, batch_size=rows, length=LENGTH, seed=seed)
