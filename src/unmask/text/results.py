"""Results of a text model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Reason = Literal["stop", "length"]


@dataclass(frozen=True)
class Completion:
    """Text that was generated, without what was given.

    The lists have one entry a token up to the end of the text, and `tokens` the ids. logprobs: of
    the model, in nats, when the token was committed. commit_steps: the step that committed it,
    counted from 0. forwards: network passes of the row. finish_reason: "stop" at an end of sequence
    or a stop string, "length" at the last position.
    """

    text: str
    tokens: list[int]
    logprobs: list[float]
    commit_steps: list[int]
    forwards: int
    finish_reason: Reason
    given: str = field(default="", repr=False)
    suffix: str = field(default="", repr=False)
    pieces: list[str] = field(default_factory=list, repr=False)

    @property
    def whole(self) -> str:
        """The text with what was given before and behind it."""
        return self.given + self.text + self.suffix

    def _repr_html_(self) -> str:
        from unmask.text.notebook import replay

        return replay(self)


@dataclass(frozen=True)
class Filling:
    """A text whose masks are filled in: the ids at the masks, and their joint probability.

    logprob: in nats, of all of them together. token_strs: the text of each id. sequence: the whole
    text.
    """

    sequence: str
    tokens: list[int]
    token_strs: list[str]
    logprob: float

    @property
    def score(self) -> float:
        """The joint probability."""
        from math import exp

        return exp(self.logprob)

    def to_dict(self) -> dict[str, Any]:
        """Return the entries of transformers' fill-mask pipeline; lists where masks are several."""
        one = len(self.tokens) == 1
        return {
            "score": self.score,
            "token": self.tokens[0] if one else self.tokens,
            "token_str": self.token_strs[0] if one else self.token_strs,
            "sequence": self.sequence,
        }
