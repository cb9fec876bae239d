"""Samples of a model that is trained further: what it says behind held-out prompts.

n positions of an example.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unmask.data import Example
from unmask.text.opening import Beside
from unmask.text.planning import Planning, never_generated
from unmask.text.prompts import Row, in_whole_blocks

SHOWN = 200  # characters of a prompt, its last ones
ARROW = "\u2192 "


def answers(
    model: Any, beside: Beside, examples: Sequence[Example], stream: bool = False
) -> list[str]:
    """Return prompts of examples, each with what the model generates in place of what is learnt.

    Of a talk that is its first answer, of a window of a stream its second half. Examples whose
    answer would not fit into the network are left out.
    """
    encoding, most = beside.encoding, model.spec.max_length
    every = [in_whole_blocks(_row(example, stream), model.spec) for example in examples]
    asked = [row for row in every if most is None or len(row) <= most]
    found = dict[int, str]()
    for closed in (False, True):
        rows = [row for row in asked if bool(row.after) == closed]
        never = never_generated(model, encoding)
        planning = Planning(model, encoding, beside.strategy, beside.end_ids, never)
        if not rows:
            continue
        request = planning.request(rows, [""] * len(rows), closed=closed)
        for i, made in request.each():
            before = encoding.decode(rows[i].before)[-SHOWN:]
            found[id(rows[i])] = before + ARROW + made.text
    return [found[id(row)] for row in asked]


def _row(example: Example, stream: bool) -> Row:
    """Return the row of an example: what is given, and so many unknown positions behind."""
    ids, flags = example.tokens.tolist(), example.maskable.tolist()
    if stream and all(flags):
        half = len(ids) // 2
        return Row(ids[:half], len(ids) - half, [], context=ids[:half])
    first = flags.index(True)
    last = next((n for n in range(first, len(ids)) if not flags[n]), len(ids))
    after = ids[last:] if not any(flags[last:]) else []
    return Row(ids[:first], last - first, after, context=ids[:first])
