"""The three kinds of streams: text that is final, whole snapshots, and every step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from unmask.core.generation import Generation
from unmask.server.answers import Chunked, Part, Reading, Reply, finite
from unmask.server.job import Step
from unmask.server.likeliest import entries
from unmask.server.posting import Ended, Finished
from unmask.server.problems import Problem, problem_of
from unmask.server.rendering import rendered
from unmask.server.stretches import Stretch
from unmask.server.wire.decoding import Decoding
from unmask.text.streaming import TextState

Event = dict[str, str]
"""An event as sse-starlette takes it."""
DONE: Event = {"data": "[DONE]"}


class Stream(ABC):
    """Makes events of what a worker posts. Called on any thread, one call at a time.

    over: whether nothing follows. error: what ended it before all rows were finished.
    """

    def __init__(self, reply: Reply):
        self.reply = reply
        self.records: dict[int, Generation] = {}
        self.over = False
        self.error: Exception | None = None

    def begin(self) -> list[Event]:
        """Return the events before the first step."""
        return self._told([self.opened])

    def take(self, mail: Sequence[Step | Finished | Ended]) -> list[Event]:
        """Return the events of what came; the last ones once it is over."""
        return self._told([partial(self._taken, item) for item in mail])

    def _taken(self, item: Step | Finished | Ended) -> list[Event]:
        if self.over:
            return []
        if isinstance(item, Step):
            if self.reply.likeliest is not None:
                self.reply.likeliest.take(item)
            return self.step(item)
        if isinstance(item, Finished):
            self.records[item.number] = item.record
            return self.row(item.number, item.record)
        if item.error is not None:
            raise item.error
        self.over = True
        return [*self.closed(), DONE]

    def _told(self, makers: Iterable[Callable[[], list[Event]]]) -> list[Event]:
        """Return the events that are made, up to an error, which ends the stream."""
        told = list[Event]()
        for make in makers:
            try:
                told += make()
            except Exception as error:
                self.over, self.error = True, error
                return [*told, *failed(error)]
        return told

    @abstractmethod
    def opened(self) -> list[Event]:
        """Return the events before the first step."""

    @abstractmethod
    def step(self, step: Step) -> list[Event]:
        """Return the events of a step."""

    @abstractmethod
    def row(self, number: int, record: Generation) -> list[Event]:
        """Return the events of a row that is finished."""

    @abstractmethod
    def closed(self) -> list[Event]:
        """Return the events behind all rows."""


def event(data: dict[str, Any], name: str | None = None) -> Event:
    """Return the event of an object."""
    text = rendered(data)
    return {"data": text} if name is None else {"event": name, "data": text}


def failed(error: Exception) -> list[Event]:
    """Return the events of an error, and the end behind it."""
    return [event(problem_of(error).body), DONE]


def state_of(reader: Reading, step: Step) -> TextState:
    """Return what is read of a row after a step."""
    given = (step.tokens.tolist(), step.masked.tolist(), step.drafted)
    return reader.read(step.step, *given, step.finished)


class FinalText(Stream):
    """OpenAI's chunks: the text that is final, contiguous from the left, a token at a time."""

    reply: Chunked

    def __init__(self, reply: Chunked):
        super().__init__(reply)
        self._texts: dict[int, tuple[Reading, Stretch]] = {}

    def opened(self) -> list[Event]:
        """Return what each text begins with."""
        return [event(chunk) for chunk in self.reply.openings()]

    def _text(self, number: int) -> tuple[Reading, Stretch]:
        if number not in self._texts:
            reader = self.reply.reader(number)
            self._texts[number] = reader, Stretch(reader.encoding, reader.context)
        return self._texts[number]

    def step(self, step: Step) -> list[Event]:
        """Return the text that became final; that of the last step comes with the record."""
        if step.finished:
            return []
        reader, stretch = self._text(step.number)
        state = state_of(reader, step)
        logprobs = step.logprob[reader.here].tolist()
        return self._events(step.number, stretch.grown(state.piece, state.tokens, logprobs))

    def row(self, number: int, record: Generation) -> list[Event]:
        """Return the rest of a text, and why it ended."""
        _, stretch = self._text(number)
        found = self.reply.completion(number, record)
        parts = stretch.ended(found)
        last = Part("", len(stretch.sent), ended=found, record=self.reply.record(number, record))
        return self._events(number, [*parts, last])

    def closed(self) -> list[Event]:
        """Return the usage, if that was asked for."""
        return [event(chunk) for chunk in self.reply.closings(self.records)]

    def _events(self, number: int, parts: Sequence[Part]) -> list[Event]:
        return [event(self.reply.chunk(number, part)) for part in parts]


class Snapshots(Stream):
    """OpenAI's chunks whose content is the whole text after a step, in place of the last."""

    reply: Chunked

    def __init__(self, reply: Chunked):
        super().__init__(reply)
        self._readers: dict[int, Reading] = {}

    def opened(self) -> list[Event]:
        """Return nothing: a snapshot is whole."""
        return []

    def step(self, step: Step) -> list[Event]:
        """Return the snapshot; that of the last step is the text itself."""
        if step.finished:
            return []
        if step.number not in self._readers:
            self._readers[step.number] = self.reply.reader(step.number)
        state = state_of(self._readers[step.number], step)
        return [event(self.reply.chunk(step.number, Part(state.snapshot)))]

    def row(self, number: int, record: Generation) -> list[Event]:
        """Return the text, and why it ended."""
        found = self.reply.completion(number, record)
        told = self.reply.record(number, record)
        part = Part(found.text, 0, found.pieces, found.logprobs, ended=found, record=told)
        return [event(self.reply.chunk(number, part))]

    def closed(self) -> list[Event]:
        """Return the usage, if that was asked for."""
        return [event(chunk) for chunk in self.reply.closings(self.records)]


@dataclass(frozen=True)
class Seen:
    """What a client has of a row. reader: None for rows that are no text."""

    first: int
    ids: list[int | None]
    reader: Reading | None


class Denoising(Stream):
    """Every step: the positions that changed, with their tokens.

    Whoever puts the tokens of `positions` in, and takes out those of `remasked`, has the row.
    `edited` are the positions among these at which another token was.
    """

    def __init__(self, reply: Reply):
        super().__init__(reply)
        self._seen: dict[int, Seen] = {}

    def opened(self) -> list[Event]:
        """Return the rows before the first step."""
        reply, rows = self.reply, list[dict[str, Any]]()
        for number in range(len(reply.rows.lengths)):
            first, ids = reply.shown(number)
            self._seen[number] = Seen(first, ids, reply.reader(number))
            told = {"tokens": ids, "text": reply.words(ids)}
            rows.append({"index": number, "length": len(ids), **told})
        head = reply.head
        names = {"id": head.id, "model": head.model, "seed": head.seed, "preset": head.preset}
        return [event({"type": "start", **names, "rows": rows}, "denoise")]

    def step(self, step: Step) -> list[Event]:
        """Return what changed at a step."""
        seen = self._seen[step.number]
        here = slice(seen.first, seen.first + len(seen.ids))
        pairs = zip(step.tokens[here].tolist(), step.masked[here].tolist(), strict=True)
        now: list[int | None] = [None if unknown else token for token, unknown in pairs]
        changed = [
            i for i, pair in enumerate(zip(seen.ids, now, strict=True)) if pair[0] != pair[1]
        ]
        put = [i for i in changed if now[i] is not None]
        self._seen[step.number] = replace(seen, ids=now)
        logprobs = step.logprob[here].tolist()
        data = {
            "type": "step",
            "index": step.number,
            "step": step.step,
            "forwards": step.forwards,
            "positions": put,
            "tokens": [now[i] for i in put],
            "text": self.reply.words([now[i] for i in put]),
            "logprobs": [finite(logprobs[i]) for i in put],
            "remasked": [i for i in changed if now[i] is None],
            "edited": [i for i in put if seen.ids[i] is not None],
            "snapshot": None if seen.reader is None else state_of(seen.reader, step).snapshot,
        }
        if self.reply.likeliest is not None:
            pairs_at = step.alternatives
            others = [pairs_at.get(seen.first + i, ()) for i in put]
            data["alternatives"] = [entries(pairs, self.reply.words) for pairs in others]
        return [event(data, "denoise")]

    def row(self, number: int, record: Generation) -> list[Event]:
        """Return nothing: the row is in the answer."""
        return []

    def closed(self) -> list[Event]:
        """Return the whole answer."""
        return [event({"type": "end", "response": self.reply.answer(self.records)}, "denoise")]


def stream_of(reply: Reply, asked: Decoding) -> Stream:
    """Return the stream that a body asks for. Raises a Problem for rows that it cannot show."""
    if asked.stream_mode == "denoise":
        return Denoising(reply)
    if not isinstance(reply, Chunked):
        raise Problem(
            400,
            "rows of this model are no text: pass stream_mode='denoise', or stream=false",
            param="stream_mode",
        )
    return Snapshots(reply) if asked.diffusing else FinalText(reply)
