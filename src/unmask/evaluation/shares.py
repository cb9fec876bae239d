"""The error of a share of rows."""

from __future__ import annotations


def share_error(share: float, count: int) -> float:
    """Return the standard error of a share of `count` rows, which is binomial.

    Where all rows or none hit, the error is not 0 but 1/(count + 1): a share beyond the last one
    that `count` rows can tell from it.
    """
    if share in (0, 1):
        return 1 / (count + 1)
    error: float = (share * (1 - share) / count) ** 0.5
    return error
