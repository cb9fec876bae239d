"""Selection: which of the competing positions are known after a step."""

from unmask.ranking import best
from unmask.selection.by_pace import Best

__all__ = ["Best", "best"]
