"""The likeliest ids of the positions of rows, as a job tells them step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from unmask.server.job import Step

Pairs = Sequence[tuple[int, float]]
"""Ids and their log-probabilities, the likeliest first."""
Words = Callable[[Sequence[int | None]], list[str | None]]


class Likeliest:
    """So many ids of each position, by the step that committed its token last.

    Filled while rows are generated, on one thread at a time.
    """

    def __init__(self, count: int):
        self.count = count
        self._rows: dict[int, dict[int, Pairs]] = {}

    def take(self, step: Step) -> None:
        """Take what a step tells."""
        row = self._rows.setdefault(step.number, {})
        for place in step.remasked.tolist():
            row.pop(place, None)
        row.update(step.alternatives)

    def of(self, number: int) -> Mapping[int, Pairs]:
        """Return those of the positions of a row."""
        return self._rows.get(number, {})


def entries(pairs: Pairs, words: Words) -> list[dict[str, Any]]:
    """Return ids with their texts and log-probabilities."""
    texts = words([token for token, _ in pairs])
    return [
        {"token": token, "text": text, "logprob": value}
        for (token, value), text in zip(pairs, texts, strict=True)
    ]
