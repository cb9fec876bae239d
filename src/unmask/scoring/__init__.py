"""How likely sequences are: `score`, and the ways to measure it as values.

`Bound` is the masked-diffusion bound on −log p(x); `Ordered` the exact likelihood of an unmasking
order; `PseudoLikelihood` gives each token all the others, and is no likelihood.
"""

from unmask.scoring.bound import Bound
from unmask.scoring.look import Method
from unmask.scoring.measure import Score, score
from unmask.scoring.ordered import Ordered
from unmask.scoring.pseudo import PseudoLikelihood

__all__ = ["Bound", "Method", "Ordered", "PseudoLikelihood", "Score", "score"]
