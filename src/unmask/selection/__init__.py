"""Selection: which of the competing positions are known after a step.

A selection is a callable (score, scope, state, proposal) -> (B,N) bool. Optional attributes:
`needs` as of an order, `reads` ("probability" or "entropy") where the scores must mean something,
`pace` ("planned", "adaptive" or "whole"), the kind of pace it goes with, and `count`, what the plan
counts where that is not positions.
"""

from unmask.ranking import best
from unmask.selection.adaptive import LOOK_BACK, EntropyBound, Factor, Stable, Threshold
from unmask.selection.by_pace import Best, positions
from unmask.selection.remasking import Remasking
from unmask.selection.spans import Spans

__all__ = [
    "LOOK_BACK",
    "Best",
    "EntropyBound",
    "Factor",
    "Remasking",
    "Spans",
    "Stable",
    "Threshold",
    "best",
    "positions",
]
