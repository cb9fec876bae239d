"""Revision: which committed positions compete again, and may become unknown or change."""

from unmask.revision.policies import Amends, Edit, GivenTheRest, Never, Remask, Verify

__all__ = ["Amends", "Edit", "GivenTheRest", "Never", "Remask", "Verify"]
