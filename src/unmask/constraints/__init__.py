"""Constraints: forbidden ids, and feasibility hooks, which keep rows completable."""

from unmask.constraints.constraint import (
    Constraint,
    check_drawable,
    check_legal,
    check_required,
    check_vocabulary,
    illegal_at,
)
from unmask.constraints.feasible import Automaton, Feasible, Listed
from unmask.core.calls import check_calls

__all__ = [
    "Automaton",
    "Constraint",
    "Feasible",
    "Listed",
    "check_drawable",
    "check_legal",
    "check_required",
    "check_vocabulary",
    "illegal_at",
]

check_calls(__name__)
