"""`best_of` and `length_beam`: several generations of each row, of which the best is kept."""

from unmask.candidates.draws import Candidates, best_of
from unmask.candidates.lengths import length_beam
from unmask.core.calls import check_calls

__all__ = ["Candidates", "best_of", "length_beam"]

check_calls(__name__)
