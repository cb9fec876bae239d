"""Selection: which of the competing positions are known after a step."""

from unmask.selection.best import Best, best

__all__ = ["Best", "best"]
