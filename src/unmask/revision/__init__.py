"""Revision: which committed positions compete again, and may become unknown."""

from unmask.revision.policies import Never, Remask

__all__ = ["Never", "Remask"]
