"""The requests of a text model: texts that go on, answers, and what stands between two texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from unmask.core.checks import check_count
from unmask.decoding import Strategy
from unmask.errors import InputError
from unmask.text.inputs import messages_of, texts_of
from unmask.text.planning import Planning
from unmask.text.prompts import Row, between, continued, in_whole_blocks
from unmask.text.request import TextRequest
from unmask.text.structured import Schema, Structure

Prompts = Sequence[str] | Sequence[Sequence[int]]


@dataclass(frozen=True)
class Options:
    """What the requests of a text model have in common, by the names of `TextModel.complete`."""

    n: int = 1
    stop: str | Sequence[str] = ()
    seed: int = 0
    strategy: Strategy | None = None
    regex: str | None = None
    json_schema: Schema = None
    choices: Sequence[str] | None = None
    likeliest: bool = False

    def __post_init__(self) -> None:
        check_count("n", self.n, InputError)

    @property
    def form(self) -> Structure | None:
        """The form that texts have, None for any."""
        return Structure.of(self.regex, self.json_schema, self.choices, self.likeliest)


@dataclass(frozen=True)
class Requests:
    """Makes requests, each checked whole before any work. template: options of the chat template.

    A request has n rows of each text, one after the other.
    """

    planning: Planning
    template: Mapping[str, Any]

    def continuations(self, prompts: Prompts, max_new_tokens: int, **options: Any) -> TextRequest:
        """Return that of texts, or of the ids of texts, that go on by so many tokens."""
        encoding, spec = self.planning.encoding, self.planning.denoiser.spec
        row_of = partial(continued, encoding, spec, count=max_new_tokens)
        every: list[Any] = texts_of("prompt", prompts) if _are_texts(prompts) else list(prompts)
        given = [each if isinstance(each, str) else encoding.decode(each) for each in every]
        return self._request([row_of(each) for each in every], given, Options(**options))

    def answer(
        self, messages: Sequence[Mapping[str, str]], max_new_tokens: int, **options: Any
    ) -> TextRequest:
        """Return that of an answer to a talk."""
        check_count("max_new_tokens", max_new_tokens, InputError)
        ids = self.planning.encoding.template(messages_of(messages), dict(self.template))
        row = in_whole_blocks(Row(ids, max_new_tokens, []), self.planning.denoiser.spec)
        return self._request([row], [""], Options(**options))

    def between(
        self,
        prefix: str,
        suffix: str,
        *,
        tokens: int | None = None,
        max_tokens: int | None = None,
        **options: Any,
    ) -> TextRequest:
        """Return that of so many tokens, or of the best number up to a most, between two texts.

        The best number takes passes of the network to find.
        """
        if (tokens is None) == (max_tokens is None):
            raise InputError("pass tokens=, how many are between them, or max_tokens=, not both")
        asked, encoding = Options(**options), self.planning.encoding
        if max_tokens is not None:
            check_count("max_tokens", max_tokens, InputError)
            row = between(encoding, prefix, suffix, 1)
            parts = (row, max_tokens, asked.strategy, asked.seed, asked.form)
            tokens = self.planning.best_length(*parts)
        row = between(encoding, prefix, suffix, tokens or 0)
        return self._request([row], [prefix], asked, suffix)

    def _request(
        self, rows: Sequence[Row], given: Sequence[str], asked: Options, suffix: str = ""
    ) -> TextRequest:
        """Return n rows of each."""
        many = [row for row in rows for _ in range(asked.n)]
        texts = [text for text in given for _ in range(asked.n)]
        return self.planning.request(
            many,
            texts,
            suffix,
            closed=bool(suffix),
            strategy=asked.strategy,
            form=asked.form,
            stop=asked.stop,
            seed=asked.seed,
        )


def _are_texts(prompts: Any) -> bool:
    """Return whether these are texts, or nothing that could be ids."""
    listed = isinstance(prompts, Sequence) and not isinstance(prompts, str)
    return not (listed and len(prompts) and all(isinstance(p, list | tuple) for p in prompts))
