"""Answers of rows that were filled in. N positions of a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unmask.core.generation import Generation
from unmask.server.answers import Head, Reply, Usage, finite
from unmask.server.canvas_rows import CanvasRows
from unmask.server.likeliest import Likeliest, entries
from unmask.server.served import Served
from unmask.text.encoding import Encoding
from unmask.text.streaming import TextState, snapshot


@dataclass
class Whole:
    """Reads a whole row of a text model after each of its steps; pieces are empty."""

    encoding: Encoding
    length: int
    context: Sequence[int] = ()

    @property
    def here(self) -> slice:
        """All positions."""
        return slice(0, self.length)

    def read(
        self,
        step: int,
        ids: Sequence[int],
        unknown: Sequence[bool],
        drafted: Sequence[int | None],
        last: bool,
    ) -> TextState:
        """Return the state of the row: its ids after a step, (N,), and which are unknown."""
        given = zip(ids[self.here], unknown[self.here], strict=True)
        tokens = [None if hidden else token for token, hidden in given]
        shown = [
            known if known is not None else other
            for known, other in zip(tokens, drafted[self.here], strict=True)
        ]
        return TextState(step, "", snapshot(self.encoding, shown, ()), tokens, last)


@dataclass(frozen=True)
class InfillReply(Reply):
    """The answer of rows that are filled in."""

    head: Head
    rows: CanvasRows
    served: Served
    return_record: bool
    likeliest: Likeliest | None = None

    def reader(self, number: int) -> Whole | None:
        """Return what reads a row, None where it is no text."""
        text = self.served.text
        return None if text is None else Whole(text.encoding, self.rows.lengths[number])

    def shown(self, number: int) -> tuple[int, list[int | None]]:
        """Return the whole row."""
        ids, unknown = self.rows.canvas.tokens[number], self.rows.canvas.editable[number]
        pairs = zip(ids.tolist(), unknown.tolist(), strict=True)
        return 0, [None if hidden else token for token, hidden in pairs]

    def words(self, ids: Sequence[int | None]) -> list[str | None]:
        """Return the text of each id, or its symbol on a board."""
        text, layout = self.served.text, self.served.layout
        if text is not None:
            known = {i: text.encoding.decode([i], special=True) for i in ids if i is not None}
        elif layout is not None and layout.symbols:
            known = {i: layout.symbol(i) for i in ids if i is not None and i < len(layout.symbols)}
        else:
            known = {}
        return [None if token is None else known.get(token) for token in ids]

    def usage(self, records: Mapping[int, Generation]) -> Usage:
        """Return what the rows of these records cost."""
        unknown = int(self.rows.canvas.editable[0].sum())
        return Usage(
            prompt=self.rows.lengths[0] - unknown,
            completion=unknown * len(records),
            steps=sum(int(each.steps[0]) for each in records.values()),
            forwards=sum(int(each.forwards[0]) for each in records.values()),
        )

    def answer(self, records: Mapping[int, Generation]) -> dict[str, Any]:
        """Return the whole answer."""
        found = [records[number] for number in sorted(records)]
        choices = [self._choice(number, record) for number, record in enumerate(found)]
        named = {**self.head.entries("infill"), "preset": self.head.preset}
        return {**named, "choices": choices, "usage": self.usage(records).entries()}

    def _choice(self, number: int, record: Generation) -> dict[str, Any]:
        ids, text, layout = record.tokens[0].tolist(), self.served.text, self.served.layout
        grid = None
        if layout is not None and layout.height and not layout.offset:
            grid = [ids[i : i + layout.width] for i in range(0, len(ids), layout.width)]
        choice: dict[str, Any] = {
            "index": number,
            "tokens": ids,
            "text": None if text is None else text.encoding.decode(ids),
            "grid": grid,
            "logprob": finite(float(record.logprob[0].double().sum())),
            "finish_reason": "stop",
        }
        if self.likeliest is not None:
            of = self.likeliest.of(number)
            choice["alternatives"] = [
                entries(of[i], self.words) if i in of else None for i in range(len(ids))
            ]
        if self.return_record:
            choice["record"] = {
                "commit_step": record.commit_step[0].tolist(),
                "logprob": [finite(each) for each in record.logprob[0].tolist()],
                "forwards": int(record.forwards[0]),
                "steps": int(record.steps[0]),
            }
        return choice
