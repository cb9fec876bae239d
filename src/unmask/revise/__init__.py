"""Revisers: what happens to committed positions. Derive one from `Revise`."""

from unmask.core.calls import check_calls
from unmask.revise.doubt import Doubt
from unmask.revise.policies import Edit, LeaveOneOut, Never, Remask, Revise, Verify

__all__ = ["Doubt", "Edit", "LeaveOneOut", "Never", "Remask", "Revise", "Verify"]

check_calls(__name__)
