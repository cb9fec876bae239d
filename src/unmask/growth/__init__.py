"""Growth rules, which decide how many positions of its canvas a row has while it is generated."""

from unmask.core.calls import check_calls
from unmask.growth.base import Extension, Growth
from unmask.growth.confidence import EndConfidence
from unmask.growth.density import EndDensity

__all__ = ["EndConfidence", "EndDensity", "Extension", "Growth"]

check_calls(__name__)
