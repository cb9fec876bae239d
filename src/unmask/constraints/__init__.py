"""Constraints: forbidden ids, and feasibility hooks, which keep rows completable."""

from unmask.constraints.automaton import Automaton
from unmask.constraints.constraint import Constraint
from unmask.constraints.feasible import Feasible, Listed
from unmask.core.calls import check_calls

__all__ = ["Automaton", "Constraint", "Feasible", "Listed"]

check_calls(__name__)
