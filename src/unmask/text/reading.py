"""Generated rows as completions: cut at their ends and at stop strings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unmask.core.generation import Generation
from unmask.text.encoding import Encoding
from unmask.text.prompts import Row
from unmask.text.results import Completion, Reason


@dataclass(frozen=True)
class Ends:
    """What ends a text: ids, and texts at which it is cut."""

    ids: tuple[int, ...] = ()
    stops: tuple[str, ...] = ()


def completion(
    encoding: Encoding, row: Row, found: Generation, given: str, suffix: str, ends: Ends
) -> Completion:
    """Return the completion of a row, of its record (1,n)."""
    here = slice(len(row.before), len(row.before) + row.unknown)
    tokens: list[int] = found.tokens[0, here].tolist()
    text, count, reason = cut(encoding, tokens, row.context, ends)
    kept = slice(here.start, here.start + count)
    return Completion(
        text,
        tokens[:count],
        found.logprob[0, kept].tolist(),
        found.commit_step[0, kept].tolist(),
        int(found.forwards),
        reason,
        given,
        suffix,
        encoding.pieces(tokens[:count], row.context),
    )


def cut(
    encoding: Encoding, ids: Sequence[int], context: Sequence[int], ends: Ends
) -> tuple[str, int, Reason]:
    """Return the text of ids up to its end, the ids that it has, and the reason of its end."""
    count = next((i for i, token in enumerate(ids) if token in ends.ids), len(ids))
    reason: Reason = "stop" if count < len(ids) else "length"
    text = encoding.continued(ids[:count], context)
    places = [text.find(stop) for stop in ends.stops if stop and stop in text]
    if places:
        text, reason = text[: min(places)], "stop"
        while count and encoding.continued(ids[: count - 1], context).startswith(text):
            count -= 1
    return text, count, reason
