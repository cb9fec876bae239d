"""Presets whose rows grow: see `references`. A row is a list of ids, None where unknown.

A step says where its positions are after it, and what the whole row is then.
"""

import math

import numpy as np
from tests.golden.references_adaptive import open_block
from tests.golden.rules import Step, commit, draw, highest, log_softmax, model


def filled(row, x, seed, s, start, threshold, block, temperature):
    """What is sure of the open block is committed, or else its likeliest draw; and all its p."""
    unknown = {i for i, token in enumerate(row) if token is None}
    drawn, shaped = draw(x, seed, s, temperature)
    inside = open_block(unknown, block, start)
    p = {i: math.exp(log_softmax(x[i])[drawn[i]]) for i in inside}
    chosen = {i for i in p if p[i] > threshold} or highest(p, p, 1)
    for i in chosen:
        row[i] = drawn[i]
    return commit(chosen, drawn, x, shaped), {i: p[i] for i in inside - chosen}


def put_in(row, step, place, count, most):
    """Unknown positions put in before a place; what is moved past the end is lost."""
    row[place:place] = [None] * count
    del row[most:]
    for name in ("committed", "logprob", "sampling_logprob"):
        moved = {i + count * (i >= place): v for i, v in getattr(step, name).items()}
        setattr(step, name, {i: v for i, v in moved.items() if i < most})


def daedal(tokens, editable, seed, steps, ratio, *, end_id, **options):
    """2508.00819, in the two stages of the authors' code."""
    given = {"initial": 64, "expansion": 8, "window": 32, "enough": 0.5, "complete": 0.9}
    given |= {"threshold": 0.9, "low": 0.1, "block": 32, "temperature": 0.0}
    o, most, start = given | options, len(tokens), min(editable, default=len(tokens))
    row, s = [*tokens[:start], *[None] * min(o["initial"], most - start)], 0
    while None in row:
        x = model(row, {i for i, token in enumerate(row) if token is None})
        ends = [
            log_softmax(x[i]).max() for i in range(start, len(row)) if np.argmax(x[i]) == end_id
        ]
        confidence = sum(map(math.exp, ends[::-1][: o["window"]])) / o["window"]
        room = most - len(row)
        if room and not any(token is not None for token in row[start:]):
            ready = confidence >= o["enough"]
            row += [end_id] * min(o["window"] // 2, room) if ready else []
            row += [] if ready else [None] * min(o["expansion"], room)
            step = Step({}, set(), {}, {})
        else:
            how = (o[name] for name in ("threshold", "block", "temperature"))
            step, rest = filled(row, x, seed, s, start, *how)
            doubtful = [i for i in rest if rest[i] < o["low"]]
            if doubtful and room and confidence < o["complete"]:
                least = min(doubtful, key=lambda i: (rest[i], i))
                put_in(row, step, least, o["expansion"] - 1, most)
        s, step.after = s + 1, list(row)
        yield step


def rho_eos(tokens, editable, seed, steps, ratio, *, end_id, **options):
    """2601.22527, as the authors' code with the exponential factor; known text is never cut."""
    given = {"initial": 64, "expansion": 8, "low": 0.4, "high": 0.6, "adjustments": 64}
    o = given | {"threshold": 0.9, "block": 32, "temperature": 0.0} | options
    most, start = len(tokens), min(editable, default=len(tokens))
    row, s = [*tokens[:start], *[None] * min(o["initial"], most - start)], 0
    while None in row:
        unknown = {i for i, token in enumerate(row) if token is None}
        x, room = model(row, unknown), most - len(row)
        rho = sum(np.argmax(x[i]) == end_id for i in unknown) / len(unknown)
        how = (o[name] for name in ("threshold", "block", "temperature"))
        step, _ = filled(row, x, seed, s, start, *how)
        outside = max(o["low"] - rho, rho - o["high"])
        count = o["expansion"] * 2 ** min(max(math.ceil(round(outside * 10, 6)) - 1, 0), 3)
        if room and s < o["adjustments"] and rho < o["low"]:
            first = next((i for i in range(start, len(row)) if row[i] == end_id), len(row))
            put_in(row, step, first, min(count, room), most)
        elif room and s < o["adjustments"] and rho > o["high"]:
            while count and len(row) > start and row[-1] in (None, end_id):
                row.pop()
                count -= 1
            step.committed = {i: t for i, t in step.committed.items() if i < len(row)}
            for name in ("logprob", "sampling_logprob"):
                setattr(step, name, {i: getattr(step, name)[i] for i in step.committed})
        s, step.after = s + 1, list(row)
        yield step
