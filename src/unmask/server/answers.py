"""Answers: what an endpoint says of the rows that were generated. N positions of a row."""

from __future__ import annotations

import math
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from unmask.core.generation import Generation
from unmask.server.likeliest import Likeliest
from unmask.server.posting import Rows
from unmask.text.encoding import Encoding
from unmask.text.results import Completion, Reason
from unmask.text.streaming import TextState

LEAST = -9999.0
"""The log-probability that stands for those that JSON cannot write, as OpenAI's does."""


@dataclass(frozen=True)
class Head:
    """What all parts of an answer begin with."""

    id: str
    model: str
    seed: int
    preset: str
    created: int = field(default_factory=lambda: int(time.time()))

    @classmethod
    def of(cls, kind: str, model: str, seed: int, preset: str) -> Head:
        """Return that of a new answer. kind: of its id, such as "cmpl"."""
        return cls(f"{kind}-{uuid.uuid4().hex}", model, seed, preset)

    def entries(self, kind: str) -> dict[str, Any]:
        """Return its entries in an object of a kind."""
        made = {"id": self.id, "object": kind, "created": self.created, "model": self.model}
        return {**made, "seed": self.seed}


@dataclass(frozen=True)
class Part:
    """A part of a text that is streamed.

    offset: where the first of its tokens begins. pieces, logprobs: of its tokens, in nats. first:
    the number of the first of them in the text. ended: the text, once nothing follows. record: what
    is told of how it came about.
    """

    text: str
    offset: int = 0
    pieces: Sequence[str] = ()
    logprobs: Sequence[float] = ()
    first: int = 0
    ended: Completion | None = None
    record: dict[str, Any] | None = None


@dataclass(frozen=True)
class Usage:
    """What rows cost. steps, forwards: of all of them."""

    prompt: int
    completion: int
    steps: int
    forwards: int

    def entries(self) -> dict[str, Any]:
        """Return OpenAI's entries, and what they cost."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "denoising_steps": self.steps,
            "forwards": self.forwards,
            "tokens_per_forward": self.completion / self.forwards if self.forwards else 0.0,
        }


class Reading(Protocol):
    """Reads a row after each of its steps, such as a `Reader`."""

    encoding: Encoding

    @property
    def here(self) -> slice:
        """The positions that are read."""

    @property
    def context(self) -> Sequence[int]:
        """The ids that the text continues."""

    def read(
        self,
        step: int,
        ids: Sequence[int],
        unknown: Sequence[bool],
        drafted: Sequence[int | None],
        last: bool,
    ) -> TextState:
        """Return the text of a row after a step."""


class Reply(ABC):
    """What becomes of a request: rows for a worker, and the answer that is made of them.

    Rows have numbers; that of a row is the index of its choice in all streams. likeliest: takes the
    likeliest ids of each position, where they are asked for.
    """

    head: Head
    rows: Rows
    likeliest: Likeliest | None = None

    @abstractmethod
    def reader(self, number: int) -> Reading | None:
        """Return what reads a row after each of its steps; None for rows that are no text."""

    @abstractmethod
    def shown(self, number: int) -> tuple[int, list[int | None]]:
        """Return the first position of a row that is shown, and the ids from there, None unknown.

        They are those before the first step.
        """

    @abstractmethod
    def words(self, ids: Sequence[int | None]) -> list[str | None]:
        """Return the text of each id, None for None and where ids are no text."""

    @abstractmethod
    def usage(self, records: Mapping[int, Generation]) -> Usage:
        """Return what the rows of these records cost; the prompts are those of all rows."""

    @abstractmethod
    def answer(self, records: Mapping[int, Generation]) -> dict[str, Any]:
        """Return the whole answer, of the record (1,n) of each row."""


class Chunked(Reply):
    """A reply whose rows are texts that may be sent in chunks."""

    @abstractmethod
    def reader(self, number: int) -> Reading:
        """Return what reads a row after each of its steps."""

    @abstractmethod
    def completion(self, number: int, record: Generation) -> Completion:
        """Return the text of a row, of its record (1,n)."""

    @abstractmethod
    def record(self, number: int, record: Generation) -> dict[str, Any] | None:
        """Return what is told of how a row came about; None where that was not asked for."""

    @abstractmethod
    def chunk(self, number: int, part: Part) -> dict[str, Any]:
        """Return a chunk of a stream."""

    @abstractmethod
    def openings(self) -> list[dict[str, Any]]:
        """Return the chunks that come before all others."""

    @abstractmethod
    def closings(self, records: Mapping[int, Generation]) -> list[dict[str, Any]]:
        """Return the chunks that come behind all others."""


def finite(value: float) -> float:
    """Return a log-probability that JSON can write."""
    return value if math.isfinite(value) else LEAST


def reason(found: Completion | None) -> Reason | None:
    """Return why a text ended, None where it has not."""
    return None if found is None else found.finish_reason
