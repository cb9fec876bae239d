"""The tokens of prompts, and how likely each is behind those before it. N positions of a prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from unmask.core.generation import Generation
from unmask.decoding import Canvas, Strategy
from unmask.engine import Event
from unmask.errors import InputError
from unmask.groups import Groups
from unmask.scoring import Ordered
from unmask.scoring.ordered import FROM_THE_LEFT
from unmask.server.job import alternatives_of
from unmask.server.likeliest import Pairs
from unmask.server.problems import Problem
from unmask.text import TextModel

ROWS = 64  # of a pass


@dataclass(frozen=True)
class Echo:
    """A prompt. pieces: the text of each token. likeliest: ids at its place, the best first."""

    pieces: Sequence[str]
    logprobs: Sequence[float]
    likeliest: Sequence[Pairs]


def echoes(text: TextModel, prompts: Sequence[str | list[int]], count: int) -> list[Echo]:
    """Return the tokens of prompts with their exact log-probabilities, from left to right.

    Those of the first token are given nothing but what stands around every text, so no token is
    without one. count: likeliest ids of each position. One pass of the network for each token of
    the longest prompt, for 64 prompts at a time.
    """
    encoding, (before, after) = text.encoding, text.encoding.around
    every = [encoding.encode(each) if isinstance(each, str) else each for each in prompts]
    if not any(every):
        return [Echo([], [], []) for _ in every]
    rows = [[*before, *ids, *after] for ids in every]
    scored = [[False] * len(before) + [True] * len(ids) + [False] * len(after) for ids in every]
    found: list[dict[int, Pairs]] = [{} for _ in every]

    def see(event: Event) -> None:
        numbers = event.ids.tolist()
        told = alternatives_of(event.info, range(len(numbers)))
        for number, each in zip(numbers, told, strict=True):
            found[number].update(each)

    record = _record(text, Canvas.ragged(rows, scored), count, see)
    out, begin = list[Echo](), len(before)
    for number, ids in enumerate(every):
        here = slice(begin, begin + len(ids))
        likeliest = [found[number].get(place, ()) for place in range(here.start, here.stop)]
        pieces = encoding.pieces(ids, [])
        logprobs = record.logprob[number, here].tolist()
        # The number of a likeliest token is told twice, and clients ask whether both are equal.
        logprobs = [
            dict(pairs).get(token, logprob)
            for token, logprob, pairs in zip(ids, logprobs, likeliest, strict=True)
        ]
        out.append(Echo(pieces, logprobs, likeliest))
    return out


def _record(
    text: TextModel, canvas: Canvas, count: int, see: Callable[[Event], None]
) -> Generation:
    """Return the record of the prompts, committed one token at a time."""
    spec = text.denoiser.spec
    if spec.observes:
        raise Problem(
            400,
            "this model has no probability of a token that is given: leave logprobs or echo out",
            param="echo",
        )
    groups = None if spec.block_size is None else Groups.blocks(spec.block_size)
    strategy: Strategy = FROM_THE_LEFT.but(alternatives=count, groups=groups)
    try:
        return Ordered(strategy).record(text.denoiser, canvas, batch_size=ROWS, see=see)
    except InputError as error:
        raise Problem(400, str(error), param="prompt") from error
