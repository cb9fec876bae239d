"""Answers of texts, in OpenAI's two forms: completions and chat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol

from unmask.core.generation import Generation
from unmask.server.answers import Chunked, Head, Part, Usage, finite, reason
from unmask.server.asking import given_tokens
from unmask.server.echoing import Echo
from unmask.server.likeliest import Likeliest, Pairs
from unmask.server.wire.texts import Texts
from unmask.text.encoding import Encoding
from unmask.text.request import TextRequest
from unmask.text.results import Completion
from unmask.text.streaming import Reader


@dataclass(frozen=True)
class Tokens:
    """Tokens as they are told: their texts, and the likeliest at their place, the best first."""

    pieces: Sequence[str] = ()
    logprobs: Sequence[float] = ()
    likeliest: Sequence[Sequence[tuple[str, float]]] | None = None


class Form(Protocol):
    """The form of an endpoint's answers. whole, part: what its objects and chunks are called."""

    @property
    def whole(self) -> str: ...

    @property
    def part(self) -> str: ...

    def opening(self, given: str, before: Tokens) -> dict[str, Any] | None:
        """Return what a text begins with in a stream, None for nothing.

        before: the tokens of what is given, where they are told.
        """

    def choice(self, found: Completion, before: Tokens, tokens: Tokens) -> dict[str, Any]:
        """Return a text."""

    def piece(self, given: str, part: Part, tokens: Tokens) -> dict[str, Any]:
        """Return a part of a text. given: what stands before it."""


@dataclass(frozen=True)
class TextReply(Chunked):
    """The answer of texts. each: rows of a prompt, of which the n likeliest are told.

    echoed: the tokens of each prompt, where these are told.
    """

    head: Head
    rows: TextRequest
    asked: Texts
    form: Form
    each: int
    likeliest: Likeliest | None = None
    echoed: Sequence[Echo] = ()

    def reader(self, number: int) -> Reader:
        """Return what reads a row."""
        return self.rows.reader(number)

    def shown(self, number: int) -> tuple[int, list[int | None]]:
        """Return where the text begins, and that nothing of it is known."""
        row = self.rows.rows[number]
        return len(row.before), [None] * row.unknown

    def words(self, ids: Sequence[int | None]) -> list[str | None]:
        """Return the text of each id, special tokens by their names."""
        return words_of(self.rows.encoding, ids)

    def completion(self, number: int, record: Generation) -> Completion:
        """Return the text of a row."""
        return self.rows.completion(number, record)

    def record(self, number: int, record: Generation) -> dict[str, Any] | None:
        """Return the step and the log-probability of each token, up to the end of the text."""
        if not self.asked.return_record:
            return None
        found = self.rows.completion(number, record)
        return {
            "commit_step": found.commit_steps,
            "logprob": [finite(each) for each in found.logprobs],
            "forwards": found.forwards,
            "steps": int(record.steps[0]),
        }

    def chunk(self, number: int, part: Part) -> dict[str, Any]:
        """Return a chunk."""
        tokens = self._tokens(number, part.first, part.pieces, part.logprobs)
        piece = self.form.piece(self.rows.given[number], part, tokens)
        return self._chunk([self._choice(number, piece, part.record)])

    def openings(self) -> list[dict[str, Any]]:
        """Return the chunk of each text that begins it."""
        begun = [
            self.form.opening(given, self._before(number))
            for number, given in enumerate(self.rows.given)
        ]
        return [
            self._chunk([self._choice(number, piece, None)])
            for number, piece in enumerate(begun)
            if piece is not None
        ]

    def closings(self, records: Mapping[int, Generation]) -> list[dict[str, Any]]:
        """Return the chunk of the usage, if that was asked for."""
        if not self._tells_usage:
            return []
        return [{**self._chunk([]), "usage": self.usage(records).entries()}]

    def answer(self, records: Mapping[int, Generation]) -> dict[str, Any]:
        """Return the whole answer."""
        texts = [self.completion(number, records[number]) for number in sorted(records)]
        choices = list[dict[str, Any]]()
        for index, number in enumerate(self._best(texts)):
            told, record = self._told(number, texts[number]), self.record(number, records[number])
            choices.append(self._choice(index, told, record))
        usage = self._usage(records, texts).entries()
        return {**self.head.entries(self.form.whole), "choices": choices, "usage": usage}

    def _told(self, number: int, text: Completion) -> dict[str, Any]:
        tokens = self._tokens(number, 0, text.pieces, text.logprobs)
        return self.form.choice(text, self._before(number), tokens)

    def _before(self, number: int) -> Tokens:
        """Return the tokens of what is given before a text, none where they are not told."""
        if not self.echoed:
            return Tokens()
        echo = self.echoed[number // self.each]
        return Tokens(echo.pieces, echo.logprobs, self._named(echo.likeliest))

    def _tokens(
        self, number: int, first: int, pieces: Sequence[str], logprobs: Sequence[float]
    ) -> Tokens:
        """Return tokens of a text, from the first on."""
        if self.likeliest is None:
            return Tokens(pieces, logprobs)
        begin, of = len(self.rows.rows[number].before) + first, self.likeliest.of(number)
        places = range(begin, begin + len(pieces))
        return Tokens(pieces, logprobs, self._named([of.get(place, ()) for place in places]))

    def _named(self, likeliest: Sequence[Pairs]) -> list[list[tuple[str, float]]] | None:
        if self.likeliest is None:
            return None
        return [named(self.rows.encoding, pairs) for pairs in likeliest]

    def _best(self, texts: Sequence[Completion]) -> list[int]:
        """Return the rows that are told: the n of each prompt whose tokens are likeliest."""
        found = list[int]()
        for first in range(0, len(texts), self.each):
            mine = list(range(first, first + self.each))
            if self.each > self.asked.n:
                mine.sort(key=lambda number: -_likely(texts[number]))
            found += mine[: self.asked.n]
        return found

    def usage(self, records: Mapping[int, Generation]) -> Usage:
        """Return what the rows of these records cost."""
        texts = [self.completion(number, found) for number, found in records.items()]
        return self._usage(records, texts)

    def _usage(self, records: Mapping[int, Generation], texts: Sequence[Completion]) -> Usage:
        return Usage(
            prompt=sum(map(given_tokens, self.rows.rows[:: self.each])),
            completion=sum(len(text.tokens) for text in texts),
            steps=sum(int(found.steps[0]) for found in records.values()),
            forwards=sum(text.forwards for text in texts),
        )

    @property
    def _tells_usage(self) -> bool:
        options = self.asked.stream_options
        return options is not None and options.include_usage

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        usage = {"usage": None} if self._tells_usage else {}
        return {**self.head.entries(self.form.part), "choices": choices, **usage}

    @staticmethod
    def _choice(index: int, piece: dict[str, Any], record: dict[str, Any] | None) -> dict[str, Any]:
        return {"index": index, **piece, **({} if record is None else {"record": record})}


def words_of(encoding: Encoding, ids: Sequence[int | None]) -> list[str | None]:
    """Return the text of each id, special tokens by their names."""
    known = {i: encoding.decode([i], special=True) for i in dict.fromkeys(ids) if i is not None}
    return [None if token is None else known[token] for token in ids]


def named(encoding: Encoding, pairs: Pairs) -> list[tuple[str, float]]:
    """Return ids and their log-probabilities as texts and numbers that JSON can write."""
    texts = words_of(encoding, [token for token, _ in pairs])
    return [(text or "", finite(value)) for text, (_, value) in zip(texts, pairs, strict=True)]


def _likely(found: Completion) -> float:
    """Return the mean log-probability of a text's tokens."""
    return finite(sum(found.logprobs) / max(1, len(found.logprobs)))


@dataclass(frozen=True)
class ChatForm:
    """The form of /v1/chat/completions."""

    logprobs: bool = False
    whole: str = "chat.completion"
    part: str = "chat.completion.chunk"

    def opening(self, given: str, before: Tokens) -> dict[str, Any] | None:
        """Return the role."""
        delta = {"role": "assistant", "content": ""}
        return {"delta": delta, "logprobs": None, "finish_reason": None}

    def choice(self, found: Completion, before: Tokens, tokens: Tokens) -> dict[str, Any]:
        """Return the message."""
        return {
            "message": {"role": "assistant", "content": found.text, "refusal": None},
            "logprobs": self._logprobs(tokens),
            "finish_reason": found.finish_reason,
        }

    def piece(self, given: str, part: Part, tokens: Tokens) -> dict[str, Any]:
        """Return a delta."""
        ended = reason(part.ended)
        return {
            "delta": {"content": part.text} if part.text or not ended else {},
            "logprobs": self._logprobs(tokens),
            "finish_reason": ended,
        }

    def _logprobs(self, tokens: Tokens) -> dict[str, Any] | None:
        if not self.logprobs:
            return None
        tops = tokens.likeliest or [()] * len(tokens.pieces)
        content = [
            {**_entry(text, each), "top_logprobs": [_entry(*pair) for pair in top]}
            for text, each, top in zip(tokens.pieces, tokens.logprobs, tops, strict=True)
        ]
        return {"content": content, "refusal": None}


def _entry(text: str, logprob: float) -> dict[str, Any]:
    """Return OpenAI's entry of a token of a message."""
    return {"token": text, "logprob": finite(logprob), "bytes": [*text.encode()]}


@dataclass(frozen=True)
class CompletionForm:
    """The form of /v1/completions. echo: whether what is given stands before each text."""

    logprobs: bool = False
    echo: bool = False
    whole: str = "text_completion"
    part: str = "text_completion"

    def opening(self, given: str, before: Tokens) -> dict[str, Any] | None:
        """Return what is given, if it stands before the text."""
        if not (self.echo and given):
            return None
        return {"text": given, "logprobs": self._logprobs((before, 0)), "finish_reason": None}

    def choice(self, found: Completion, before: Tokens, tokens: Tokens) -> dict[str, Any]:
        """Return the text."""
        given = found.given if self.echo else ""
        return {
            "text": given + found.text,
            "logprobs": self._logprobs((before, 0), (tokens, len(given))),
            "finish_reason": found.finish_reason,
        }

    def piece(self, given: str, part: Part, tokens: Tokens) -> dict[str, Any]:
        """Return a part of the text."""
        offset = part.offset + (len(given) if self.echo else 0)
        return {
            "text": part.text,
            "logprobs": self._logprobs((tokens, offset)),
            "finish_reason": reason(part.ended),
        }

    def _logprobs(self, *parts: tuple[Tokens, int]) -> dict[str, Any] | None:
        """Return the entries of parts, each with the place at which it begins."""
        if not self.logprobs:
            return None
        tops = [
            dict(reversed(top)) for tokens, _ in parts for top in tokens.likeliest or ()
        ]  # of ids with the same text, the likeliest
        return {
            "tokens": [text for tokens, _ in parts for text in tokens.pieces],
            "token_logprobs": [finite(each) for tokens, _ in parts for each in tokens.logprobs],
            "top_logprobs": tops if any(tokens.likeliest for tokens, _ in parts) else None,
            "text_offset": [place for part in parts for place in _places(*part)],
        }


def _places(tokens: Tokens, begin: int) -> list[int]:
    """Return where each token begins."""
    return list(accumulate(map(len, tokens.pieces), initial=begin))[: len(tokens.pieces)]
