"""The body of /v1/completions and of /v1/fim/completions."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from unmask.core.checks import is_integer
from unmask.server.wire.fields import MOST, Count, refused
from unmask.server.wire.texts import Texts


def prompts_of(given: Any) -> list[str] | list[list[int]]:
    """Return the prompts of a text, of ids, or of a list of either."""
    many = [given] if isinstance(given, str) else given
    if isinstance(many, list) and many and all(map(is_integer, many)):
        many = [many]
    if isinstance(many, list) and many and all(isinstance(each, str) for each in many):
        return many
    if isinstance(many, list) and many and all(_are_ids(each) for each in many):
        return many
    raise refused(None, "prompt is a text, a list of texts, ids, or a list of lists of ids")


def _are_ids(given: Any) -> bool:
    return isinstance(given, list) and bool(given) and all(map(is_integer, given))


Prompts = str | list[str] | list[int] | list[list[int]]


class CompletionRequest(Texts):
    """Texts that go on, or between a prompt and a suffix.

    best_of: rows of each prompt, of which the n with the likeliest tokens are returned. echo: the
    prompt stands before each text. logprobs: those of the tokens, and of so many likeliest at each
    place; with echo those of the prompt's tokens, too, exactly, each behind the tokens before it.
    max_tokens: 0 with echo, to score prompts alone.
    """

    prompt: Annotated[
        list[str] | list[list[int]], BeforeValidator(prompts_of, json_schema_input_type=Prompts)
    ]
    suffix: str | None = None
    max_tokens: int | None = Field(None, ge=0, le=MOST)
    best_of: Count | None = None
    echo: bool = False
    logprobs: int | None = Field(None, ge=0, le=20)

    @model_validator(mode="after")
    def _check_rows(self) -> CompletionRequest:
        if self.best_of is not None and self.best_of < self.n:
            raise refused("best_of", f"best_of={self.best_of} of n={self.n}: pass {self.n} or more")
        if self.stream and self.rows_each > self.n:
            raise refused("best_of", "best_of is known at the end: leave it out, or stream=true")
        if self.suffix and (len(self.prompt) > 1 or not isinstance(self.prompt[0], str)):
            raise refused("suffix", "suffix goes with one prompt, a text")
        if self.most == 0:
            self._check_scoring()
        return self

    def _check_scoring(self) -> None:
        """Raise for fields that are about tokens, where none is generated."""
        if not self.echo:
            what = "max_tokens=0 scores a prompt: pass echo=true and logprobs, or 1 or more"
            raise refused("max_tokens", what)
        given = {"stream": self.stream, "suffix": self.suffix, "return_record": self.return_record}
        for name in (*self.forms, *(name for name, there in given.items() if there)):
            raise refused(name, f"{name} is about tokens, of which max_tokens=0 has none")

    @property
    def rows_each(self) -> int:
        """Rows of each prompt."""
        return self.n if self.best_of is None else self.best_of
