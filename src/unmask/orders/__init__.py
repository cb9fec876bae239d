"""Orders: a score for each eligible position; the higher, the sooner it is committed.

Derive a new one from `Order`, or pass any function (state, proposal) -> (B,N).
"""

from unmask.core.calls import check_calls
from unmask.orders.around import ChoiceNoise, Weighted
from unmask.orders.base import FromFunction, Order, as_order
from unmask.orders.fixed import Halton, LeftToRight, Random, RevealTime, halton_rank
from unmask.orders.held import CriticOrder, Noised, Stored
from unmask.orders.model import Entropy, Margin, Probability

__all__ = [
    "ChoiceNoise",
    "CriticOrder",
    "Entropy",
    "FromFunction",
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
    "as_order",
    "halton_rank",
]

check_calls(__name__)
