"""Revisers: what happens to committed positions. Derive one from `Revise`."""

from unmask.revise.policies import Edit, LeaveOneOut, Never, Remask, Revise, Verify

__all__ = ["Edit", "LeaveOneOut", "Never", "Remask", "Revise", "Verify"]
