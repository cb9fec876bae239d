"""Rows through the engine: each result as soon as it is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from torch import Tensor

from unmask.core.generation import Generation
from unmask.core.network import Denoiser
from unmask.decoding import Strategy
from unmask.engine import Engine
from unmask.text.prompts import Row, canvas_of

ROWS = 64
"""Rows that are open at once where nothing is said."""


def generated(
    denoiser: Denoiser,
    rows: Sequence[Row],
    seeds: Tensor,
    strategy: Strategy,
    asked: Iterable[int],
    max_rows: int | None = None,
    max_tokens: int | None = None,
) -> Iterator[tuple[int, Generation]]:
    """Yield the number and the record (1,n) of each row that is asked for, as they finish.

    Only so many rows as are open at once are in memory; which, changes no result.
    """
    most = max_rows or ROWS
    engine = Engine(denoiser, max_rows=most, max_tokens=max_tokens)
    waiting, number = list(asked)[::-1], dict[int, int]()
    while waiting or len(engine.unfinished):
        if waiting and len(engine.unfinished) <= most // 2:
            part = [waiting.pop() for _ in range(min(most, len(waiting)))]
            canvas = canvas_of([rows[i] for i in part], denoiser.spec)
            ids = engine.submit(canvas, strategy, seeds[part])
            number.update(zip(ids.tolist(), part, strict=True))
        for event in engine.step():
            for row, record in event.results():
                yield number.pop(row), record
