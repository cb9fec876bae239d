"""Each preset as its paper states it, in plain numpy, one row at a time: the first six.

A reference takes the row's tokens, where it may write, its seed and steps T and the mask ratio, and
yields a `Step` for each network pass.
"""

import numpy as np
from tests.golden.rules import (
    choice_gumbel,
    choose_then_draw,
    commit,
    draw,
    greedy,
    highest,
    invert,
    log_softmax,
    model,
    planned,
    write,
)
from tests.golden.world import uniforms, wrong


def best_third(x):
    """All but the best three of the ten legal ids dropped: keep = 0.3."""
    return np.where(x >= np.sort(x)[-3], x, -np.inf)


def maskgit(tokens, editable, seed, steps, ratio, choice_temperature=4.5):
    tokens, unknown = list(tokens), set(editable)
    total, plan = planned(len(unknown), steps, ratio)
    for s, left in enumerate(plan, 1):
        x = model(tokens, unknown)
        drawn, shaped = draw(x, seed, s - 1)
        noise = choice_gumbel(seed, s - 1, len(tokens))
        score = {
            i: log_softmax(x[i])[drawn[i]] + choice_temperature * (1 - s / total) * noise[i]
            for i in unknown
        }
        step = commit(highest(score, unknown, len(unknown) - left), drawn, x, shaped)
        write(step, tokens, unknown)
        yield step


def annealed(tokens, editable, seed, steps, ratio, remask=False, start=1.0):
    tokens, unknown, editable = list(tokens), set(editable), set(editable)
    total, plan = planned(len(unknown), steps, ratio)
    for s, left in enumerate(plan, 1):
        x = model(tokens, unknown)
        kept = [best_third(row) for row in x]
        warmth = start * (1 - s / total)
        u = uniforms(seed, s - 1, len(tokens), "DRAW")
        shaped = [row / warmth if warmth > 0 else greedy(row) for row in kept]
        drawn = [invert(row, each) for row, each in zip(shaped, u, strict=True)]
        held = {i: drawn[i] if i in unknown else tokens[i] for i in editable}
        score = {i: log_softmax(kept[i])[held[i]] for i in editable}
        running = editable if remask else set(unknown)
        keep = highest(score, running, len(running) - left)
        step = commit(keep & unknown, drawn, x, shaped)
        step.remasked = running - keep - unknown
        write(step, tokens, unknown)
        yield step


def token_critic(tokens, editable, seed, steps, ratio, remask=True, noise_scale=1.0):
    tokens, unknown, editable = list(tokens), set(editable), set(editable)
    total, plan = planned(len(unknown), steps, ratio)
    for s, left in enumerate(plan, 1):
        x = model(tokens, unknown)
        drawn, shaped = draw(x, seed, s - 1)
        noise = choice_gumbel(seed, s - 1, len(tokens))
        doubt = wrong([drawn[i] if i in unknown else token for i, token in enumerate(tokens)])
        score = {i: -doubt[i] + noise_scale * (1 - s / total) * noise[i] for i in editable}
        running = editable if remask else set(unknown)
        keep = highest(score, running, len(running) - left)
        step = commit(keep & unknown, drawn, x, shaped)
        step.remasked = running - keep - unknown
        write(step, tokens, unknown)
        yield step


def random_order(tokens, editable, seed, steps, ratio):
    _, plan = planned(len(editable), steps, ratio)

    def score(s, x):
        return uniforms(seed, s, len(tokens), "ORDER")[:, 0]

    return choose_then_draw(tokens, editable, seed, plan, score)


def first_hitting(tokens, editable, seed, steps, ratio):
    """Neither steps nor ratio: one uniformly chosen position a pass."""

    def score(s, x):
        return uniforms(seed, s, len(tokens), "ORDER")[:, 0]

    return choose_then_draw(tokens, editable, seed, range(len(editable) - 1, -1, -1), score)


def confidence(tokens, editable, seed, steps, ratio):
    _, plan = planned(len(editable), steps, ratio)

    def score(s, x):
        return [log_softmax(row).max() for row in x]

    return choose_then_draw(tokens, editable, seed, plan, score)
