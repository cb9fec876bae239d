"""Constraints: forbidden ids, and feasibility hooks, which keep rows completable."""

from unmask.constraints.constraint import Constraint
from unmask.constraints.feasible import Automaton, Feasible, Listed
from unmask.core.calls import check_calls

__all__ = ["Automaton", "Constraint", "Feasible", "Listed"]

check_calls(__name__)
