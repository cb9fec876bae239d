"""Figures of a loop: percentiles of times, rates, and what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from unmask.server.load.client import Answer

PERCENTS = (50, 90, 99)


def figures(label: str, answers: Sequence[Answer], seconds: float) -> dict[str, Any]:
    """Return the figures of the answers to one loop, as JSON values; null where nothing is known.

    Times and tokens are of whole answers.
    """
    whole = [each for each in answers if each.is_whole]
    tokens = [each.tokens for each in whole if each.tokens is not None]
    failed = Counter(str(each.status) for each in answers if not each.is_whole)
    return {
        "load": label,
        "requests": len(answers),
        "whole": len(whole),
        "errors": dict(sorted(failed.items())),
        "seconds": round(seconds, 4),
        "requests_per_second": round(len(whole) / seconds, 4),
        "tokens": sum(tokens) if tokens else None,
        "tokens_per_second": round(sum(tokens) / seconds, 4) if tokens else None,
        "latency": percentiles([each.seconds for each in whole]),
        "first_token": percentiles([each.first for each in whole if each.first is not None]),
        "last_token": percentiles([each.last for each in whole if each.last is not None]),
    }


def percentiles(values: Sequence[float]) -> dict[str, float | None]:
    """Return the percentiles and the largest of some seconds."""
    if not values:
        return {**{f"p{each}": None for each in PERCENTS}, "max": None}
    found = np.percentile(np.array(values), PERCENTS)
    named = {f"p{each}": round(float(v), 4) for each, v in zip(PERCENTS, found, strict=True)}
    return {**named, "max": round(max(values), 4)}


def table_row(found: dict[str, Any]) -> dict[str, Any]:
    """Return the line of a table for the figures of a loop."""
    times = {
        f"{name} {percent}": found[key][percent]
        for key, name in (("first_token", "first"), ("latency", "end"))
        for percent in ("p50", "p90", "p99")
    }
    return {
        "failed": found["requests"] - found["whole"],
        "load": found["load"],
        "tokens/s": found["tokens_per_second"],
        **times,
    }
