"""Rows that a call asks an engine for, and how their records are read."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from torch import Tensor

from unmask.core.checks import check_count
from unmask.core.generation import Generation
from unmask.core.network import Denoiser
from unmask.decoding import Strategy, init
from unmask.engine import Begun, Engine, adopted, stream
from unmask.errors import InputError
from unmask.text.encoding import Encoding
from unmask.text.prompts import Row, canvas_of
from unmask.text.reading import Ends, completion
from unmask.text.results import Completion
from unmask.text.streaming import Reader, TextState, states

ROWS = 64
"""Rows that are open at once where nothing is said."""


@dataclass(frozen=True)
class Planned:
    """Rows that one strategy generates. numbers: which of all rows they are."""

    strategy: Strategy
    numbers: list[int]


@dataclass(frozen=True)
class TextRequest:
    """Texts to be generated: B rows, of one call.

    plans: each row is in one of them. seeds: (B,) int64. given: the text before each row. suffix:
    the text behind all of them. ends: what ends a text.
    """

    denoiser: Denoiser
    encoding: Encoding
    rows: Sequence[Row]
    plans: Sequence[Planned]
    seeds: Tensor = field(repr=False)
    given: Sequence[str]
    suffix: str = ""
    ends: Ends = field(default_factory=Ends)

    @cached_property
    def lengths(self) -> list[int]:
        """Positions of each row."""
        return [len(row) for row in self.rows]

    def begin(self, numbers: Sequence[int]) -> list[Begun]:
        """Return these rows before their first step. Raises what `init` raises."""
        found = list[Begun]()
        for plan in self.plans:
            mine = [number for number in numbers if number in plan.numbers]
            if mine:
                canvas = canvas_of([self.rows[number] for number in mine], self.denoiser.spec)
                state = init(self.denoiser, canvas, plan.strategy, self.seeds[mine])
                found.append(Begun(mine, state, plan.strategy))
        return found

    def submit(self, engine: Engine, numbers: Sequence[int]) -> np.ndarray:
        """Hand these rows to an engine of the same network; return their ids there, (b,) int64.

        Raises what `Engine.submit` raises.
        """
        return adopted(engine, self.begin(numbers), numbers)

    def strategy(self, number: int) -> Strategy:
        """Return what generates a row."""
        return next(plan.strategy for plan in self.plans if number in plan.numbers)

    def completion(self, number: int, found: Generation) -> Completion:
        """Return what a row has become, of its record (1,n)."""
        row, given = self.rows[number], self.given[number]
        return completion(self.encoding, row, found, given, self.suffix, self.ends)

    def reader(self, number: int) -> Reader:
        """Return what reads a row after each of its steps."""
        return Reader(self.encoding, self.rows[number], self.ends, self.strategy(number))

    def each(
        self,
        done: Container[int] = (),
        max_rows: int | None = None,
        max_tokens: int | None = None,
    ) -> Iterator[tuple[int, Completion]]:
        """Yield the number and the completion of each row that is not done, as they finish.

        Only so many rows as are open at once are in memory; which, changes no result.
        """
        for name, limit in (("max_rows", max_rows), ("max_tokens", max_tokens)):
            if limit is not None:
                check_count(name, limit, InputError)
        most = max_rows or ROWS
        engine = Engine(self.denoiser, max_rows=most, max_tokens=max_tokens)
        waiting = [i for i in reversed(range(len(self.rows))) if i not in done]
        number = dict[int, int]()
        while waiting or len(engine.unfinished):
            if waiting and len(engine.unfinished) <= most // 2:
                part = [waiting.pop() for _ in range(min(most, len(waiting)))]
                number.update(zip(self.submit(engine, part).tolist(), part, strict=True))
            for event in engine.step():
                for row, record in event.results():
                    nth = number.pop(row)
                    yield nth, self.completion(nth, record)

    def states(self) -> Iterator[TextState]:
        """Yield the state of the only row after each of its steps."""
        canvas = canvas_of(self.rows, self.denoiser.spec)
        infos = stream(self.denoiser, canvas, self.strategy(0), seeds=self.seeds)
        return states(infos, self.reader(0))
