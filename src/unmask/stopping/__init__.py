"""Stopping rules, which end a row before its plan does."""

from unmask.core.calls import check_calls
from unmask.stopping.rules import Budget, EndOfSequence, StableAndConfident, Stop, WideGap

__all__ = ["Budget", "EndOfSequence", "StableAndConfident", "Stop", "WideGap"]

check_calls(__name__)
