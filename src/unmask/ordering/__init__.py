"""Orders: a score for each competing position; the higher, the sooner it is committed.

An order is a callable (state, proposal) -> (B,N) with four optional attributes:

needs    names of the statistics of `Proposal` it reads, beyond `logprob`, which is always there
stored   True when committed positions are scored by what the state holds: no head is asked there
scores   "probability" where scores are log-probabilities, "entropy" where they are −H
blind    True when it reads nothing of the proposal: then positions are chosen before the head runs,
         and the head runs at the chosen positions alone

Any callable of that form is an order; the ones here are the published ones.
"""

from unmask.ordering.critic import CriticOrder
from unmask.ordering.fixed import Halton, LeftToRight, Random, RevealTime, halton_rank
from unmask.ordering.held import Noised, Stored, Weighted
from unmask.ordering.model import Entropy, Margin, Probability
from unmask.ordering.noise import ChoiceNoise
from unmask.ordering.protocol import Order, is_blind, is_stored, needs_of

__all__ = [
    "ChoiceNoise",
    "CriticOrder",
    "Entropy",
    "Halton",
    "LeftToRight",
    "Margin",
    "Noised",
    "Order",
    "Probability",
    "Random",
    "RevealTime",
    "Stored",
    "Weighted",
    "halton_rank",
    "is_blind",
    "is_stored",
    "needs_of",
]
