"""Stopping rules, which end a row before its plan does."""

from unmask.core.calls import check_calls
from unmask.stopping.rules import Budget, EndOfSequence, StableAndConfident, Stop

__all__ = ["Budget", "EndOfSequence", "StableAndConfident", "Stop"]

check_calls(__name__)
