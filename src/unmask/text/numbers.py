"""Regular expressions of integers between two bounds, as JSON writes them."""

from __future__ import annotations


def integers_between(least: int | None, most: int | None) -> str:
    """Return the expression of the integers from least to most; None for no bound."""
    if least is None and most is None:
        return "-?(?:0|[1-9][0-9]*)"
    parts = list[str]()
    if most is None or most >= 0:
        parts.append(_from(max(least or 0, 0), most))
    if least is None or least < 0:
        upper = None if least is None else -least
        parts.append(f"-(?:{_from(1 if most is None or most >= 0 else -most, upper)})")
    return f"(?:{'|'.join(parts)})"


def _from(least: int, most: int | None) -> str:
    """The integers from least ≥ 0 to most."""
    first = str(least)
    if most is None:
        more = f"[1-9][0-9]{{{len(first)},}}"
        return f"{_same(first, '9' * len(first))}|{more}"
    parts, last = list[str](), str(most)
    for length in range(len(first), len(last) + 1):
        low = first if length == len(first) else "1" + "0" * (length - 1)
        high = last if length == len(last) else "9" * length
        parts.append(_same(low, high))
    return "|".join(parts)


def _same(low: str, high: str) -> str:
    """The numbers between two of as many digits."""
    if low == high:
        return low
    if set(low) == {"0"} and set(high) == {"9"}:
        return f"[0-9]{{{len(low)}}}"
    rest = len(low) - 1
    if low[0] == high[0]:
        return f"{low[0]}(?:{_same(low[1:], high[1:])})"
    if not rest:
        return f"[{low}-{high}]"
    parts = [f"{low[0]}(?:{_same(low[1:], '9' * rest)})"]
    if int(high[0]) - int(low[0]) > 1:
        parts.append(f"[{int(low[0]) + 1}-{int(high[0]) - 1}][0-9]{{{rest}}}")
    parts.append(f"{high[0]}(?:{_same('0' * rest, high[1:])})")
    return "|".join(parts)
