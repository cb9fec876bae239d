"""Generated rows as completions: cut at their ends and at stop strings."""

from __future__ import annotations

from collections.abc import Sequence

from unmask.core.generation import Generation
from unmask.text.encoding import Encoding
from unmask.text.prompts import Row
from unmask.text.results import Completion, Reason


def completions(
    encoding: Encoding,
    rows: Sequence[Row],
    found: Generation,
    given: Sequence[str],
    suffix: str,
    end_ids: Sequence[int],
    stops: Sequence[str],
) -> list[Completion]:
    """Return the completion of each row, of the record of all."""
    fields = (found.tokens, found.logprob, found.commit_step)
    tokens, logprobs, steps = (each.tolist() for each in fields)
    forwards, made = found.forwards.tolist(), list[Completion]()
    for i, row in enumerate(rows):
        here = slice(len(row.before), len(row.before) + row.unknown)
        text, count, reason = cut(encoding, tokens[i][here], end_ids, stops)
        kept = slice(here.start, here.start + count)
        made.append(
            Completion(
                text,
                tokens[i][kept],
                logprobs[i][kept],
                steps[i][kept],
                forwards[i],
                reason,
                given[i],
                suffix,
                [encoding.decode([token]) for token in tokens[i][kept]],
            )
        )
    return made


def cut(
    encoding: Encoding, ids: Sequence[int], end_ids: Sequence[int], stops: Sequence[str]
) -> tuple[str, int, Reason]:
    """Return the text of ids up to its end, the ids that it has, and the reason of its end."""
    count = next((i for i, token in enumerate(ids) if token in end_ids), len(ids))
    reason: Reason = "stop" if count < len(ids) else "length"
    text = encoding.decode(ids[:count])
    places = [text.find(stop) for stop in stops if stop and stop in text]
    if places:
        text, reason = text[: min(places)], "stop"
        while count and encoding.decode(ids[: count - 1]).startswith(text):
            count -= 1
    return text, count, reason
