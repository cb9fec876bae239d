"""Requests of many lengths, the same for the same seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

WORDS = (
    "and the of to in that with which was for on as his from they were there when all one who "
    "night morning river letter answer window summer country nothing question little against"
)


@dataclass(frozen=True)
class Ask:
    """A request for a completion."""

    prompt: str
    max_tokens: int
    seed: int

    def body(self, model: str | None) -> dict[str, Any]:
        """The body of the request. model: None for the server's own choice."""
        named = {} if model is None else {"model": model}
        streamed = {"stream": True, "stream_options": {"include_usage": True}}
        asked = {"prompt": self.prompt, "max_tokens": self.max_tokens, "seed": self.seed}
        return {**named, **asked, **streamed}


def asks(number: int, longest: int, max_tokens: int, seed: int) -> list[Ask]:
    """Return requests. Lengths are drawn evenly: prompts from 1 to `longest` words, answers from a
    quarter of max_tokens to all of it.
    """
    draw, words = random.Random(seed), WORDS.split()
    return [
        Ask(
            prompt=" ".join(draw.choice(words) for _ in range(draw.randint(1, longest))),
            max_tokens=draw.randint(max(1, max_tokens // 4), max_tokens),
            seed=draw.randrange(2**31),
        )
        for _ in range(number)
    ]
