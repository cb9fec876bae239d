"""Selection: which of the competing positions are known after a step."""

from unmask.ranking import best
from unmask.selection.best import Best

__all__ = ["Best", "best"]
