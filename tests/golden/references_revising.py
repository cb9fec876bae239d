"""Presets that take tokens back or replace them: see `references`."""

import math

import numpy as np
from tests.golden.references_adaptive import open_block
from tests.golden.rules import (
    commit,
    draw,
    highest,
    log_softmax,
    model,
    planned,
    write,
)
from tests.golden.world import uniforms


def p2(tokens, editable, seed, steps, ratio, eta=1.0, temperature=1.0):
    """2502.03540: drawn and held tokens compete, the held ones' log-probabilities times η."""
    tokens, unknown, editable = list(tokens), set(editable), set(editable)
    for s, left in enumerate(planned(len(unknown), steps, ratio)[1]):
        x = model(tokens, unknown)
        drawn, shaped = draw(x, seed, s, temperature)
        score = {
            i: log_softmax(x[i])[drawn[i]] if i in unknown else eta * log_softmax(x[i])[tokens[i]]
            for i in editable
        }
        keep = highest(score, editable, len(editable) - left)
        step = commit(keep & unknown, drawn, x, shaped)
        step.remasked = editable - keep - unknown
        write(step, tokens, unknown)
        yield step


def looping(r):
    """The share known: up to 0.9 by r = 0.45, level until 0.95, then the rest."""
    if r <= 0.45:
        return 0.9 * r / 0.45
    return 0.9 if r <= 0.95 else 0.9 + 0.1 * (r - 0.95) / 0.05


def remask_rates(variant, a, b, eta, level, stored):
    """σ of each committed position, and of the unknown ones: 2503.00307, section 4.

    a, b: the share known before and after; level: whether it is held on purpose; stored: the
    probability of each committed token when it was committed.
    """
    most = min(1.0, (1 - b) / a) if a > 0 else 1.0
    if variant == "confidence":
        weights = {i: math.exp(-p) for i, p in stored.items()}
        return {i: most * w / sum(weights.values()) for i, w in weights.items()}, 0.0
    rate = {"cap": min(eta, most), "rescale": eta * most, "loop": min(eta, most) * level}[variant]
    return dict.fromkeys(stored, rate), rate


def remdm(tokens, editable, seed, steps, ratio, variant="cap", eta=0.02, temperature=1.0):
    """2503.00307: all T steps, at each of which a committed token may be lost again."""
    tokens, unknown, stored = list(tokens), set(editable), {}
    for s in range(1, steps + 1 if editable else 0):
        ends = [(s - 1) / steps, s / steps]
        a, b = [looping(r) if variant == "loop" else 1 - ratio(r) for r in ends]
        level = ends[0] >= 0.45 and ends[1] <= 0.95
        lose, slack = remask_rates(variant, a, b, eta, level, stored)
        gain = (b - (1 - slack) * a) / (1 - a)
        v = uniforms(seed, s - 1, len(tokens), "REVEAL")[:, 0]
        chosen = {i for i in unknown if v[i] < gain or s == steps}
        x = model(tokens, unknown)
        step = commit(chosen, *shaped_draw(x, seed, s - 1, temperature))
        step.remasked = {i for i in stored if v[i] < lose[i] and s < steps}
        write(step, tokens, unknown)
        stored |= {i: math.exp(step.logprob[i]) for i in chosen}
        stored = {i: p for i, p in stored.items() if i not in step.remasked}
        yield step


def shaped_draw(x, seed, step, temperature):
    """As `commit` takes them: the tokens, the model's logits, the logits drawn from."""
    drawn, shaped = draw(x, seed, step, temperature)
    return drawn, x, shaped


def filled(x, drawn, inside, fill):
    """Everything surer than `fill`, or else the surest."""
    p = {i: np.exp(log_softmax(x[i])[drawn[i]]) for i in inside}
    return {i for i in inside if p[i] > fill} or highest(p, inside, 1)


def committed_in_block(editable, unknown, block, start=0):
    """What has been committed in the block that is open now."""
    first = min((i - start) // block for i in unknown)
    return {i for i in editable if (i - start) // block == first and i not in unknown}


def llada21(tokens, editable, seed, steps, ratio, fill=0.7, edit=0.5, block=32, passes=16):
    """Fill what is sure, and write over a token whose place is surer of another one; greedy.

    A full block is passed again until nothing changes, at most so many times.
    """
    tokens, unknown, s = list(tokens), set(editable), 0
    while unknown:
        first = min(i // block for i in unknown)
        here, rested, moving = {i for i in editable if i // block == first}, 0, True
        while here & unknown or (moving and rested < passes):
            full = not here & unknown
            x = model(tokens, unknown)
            drawn, _, shaped = shaped_draw(x, seed, s, 0.0)
            chosen = set() if full else filled(x, drawn, here & unknown, fill)
            edits = {
                i
                for i in here - unknown
                if drawn[i] != tokens[i] and np.exp(log_softmax(x[i])[drawn[i]]) > edit
            }
            step = commit(chosen | edits, drawn, x, shaped)
            step.edited = {i: step.committed.pop(i) for i in edits}
            write(step, tokens, unknown)
            s, rested, moving = s + 1, rested + full, bool(edits) or not full
            yield step


def wino(tokens, editable, seed, steps, ratio, fill=0.6, verify=0.9, block=128):
    """2507.18578: accept wide, verify each held token by what the rest of the canvas says; greedy.

    Fewer are taken back than were accepted, the least likely first.
    """
    tokens, unknown, s, start = list(tokens), set(editable), 0, min(editable, default=0)
    while unknown:
        x = model(tokens, unknown)
        drawn, _, shaped = shaped_draw(x, seed, s, 0.0)
        chosen = filled(x, drawn, open_block(unknown, block, start), fill)
        held = committed_in_block(editable, unknown, block, start)
        rest = {i: np.exp(log_softmax(model(tokens, unknown | {i})[i])[tokens[i]]) for i in held}
        doubted = sorted((i for i in held if rest[i] < verify), key=lambda i: (rest[i], i))
        step = commit(chosen, drawn, x, shaped)
        step.remasked = set(doubted[: len(chosen) - 1])
        step.forwards = 1 + (len(held) if len(chosen) > 1 else 0)  # none may be taken back else
        write(step, tokens, unknown)
        s += 1
        yield step
