"""Stopping rules: when a row ends before its plan does."""

from unmask.stopping.rules import Budget, EndOfSequence, StableAndConfident, Stop

__all__ = ["Budget", "EndOfSequence", "StableAndConfident", "Stop"]
