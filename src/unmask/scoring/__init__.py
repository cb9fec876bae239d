"""Likelihoods of sequences: `score`, and its methods.

`Bound` is the masked-diffusion bound on −log p(x); `Ordered` the exact likelihood under an
unmasking order; `PseudoLikelihood` scores each token given all others, which is no likelihood.
"""

from unmask.core.calls import check_calls
from unmask.scoring.bound import Bound, PseudoLikelihood
from unmask.scoring.look import Estimate, Method
from unmask.scoring.measure import Score, score
from unmask.scoring.ordered import Ordered

__all__ = ["Bound", "Estimate", "Method", "Ordered", "PseudoLikelihood", "Score", "score"]

check_calls(__name__)
