"""Each preset as its paper states it, in plain numpy, one row at a time.

Nothing here calls the library but for the uniforms. A reference takes the row's tokens, where it
may write, its seed and steps T, and yields a `Step` for each network pass.
"""

import math
from dataclasses import dataclass

import numpy as np
from tests.golden.world import MASK, VOCAB, logits, uniforms, wrong

RATIOS = {
    "linear": lambda t: 1 - t,
    "cosine": lambda t: math.cos(math.pi * t / 2),
    "arccos": lambda t: 2 * math.acos(t) / math.pi,
    "power(3)": lambda t: 1 - t**3,
}


@dataclass
class Step:
    """What one step did to a row."""

    committed: dict[int, int]  # position -> token
    remasked: set[int]
    logprob: dict[int, float]  # of each commit, under the model
    drawn_logprob: dict[int, float]  # of each commit, under what it was drawn from


def allowed(row_logits):
    """Without the mask id, which is never data."""
    out = np.array(row_logits)
    out[MASK] = -np.inf
    return out


def log_softmax(x):
    top = np.max(x)
    return x - top - np.log(np.sum(np.exp(x - top)))


def best_third(x):
    """All but the best three of the ten legal ids dropped: keep = 0.3."""
    return np.where(x >= np.sort(x)[-3], x, -np.inf)


def invert(x, u):
    """Two-level inversion: a block of ⌊√V⌋ ids by its mass, then an id inside it."""
    mass = np.exp(log_softmax(x))
    width = math.isqrt(VOCAB)
    blocks = [mass[i : i + width] for i in range(0, VOCAB, width)]
    block = pick([b.sum() for b in blocks], u[0])
    return block * width + pick(blocks[block], u[1])


def pick(masses, u):
    running = np.cumsum(masses)
    return next(i for i, total in enumerate(running) if total > u * running[-1])


def gumbel(u):
    return -math.log(-math.log(u))


def planned(unknown, steps, ratio):
    """T and the unknown left after each step: ⌊U·γ(s/T)⌋ between T − s and one less than before."""
    total, left = min(steps, unknown), [unknown]
    for s in range(1, total + 1):
        wanted = math.floor(unknown * ratio(s / total) + 1e-9)
        left.append(max(total - s, min(wanted, left[-1] - 1)))
    return total, left[1:]


def highest(score, candidates, count):
    return set(sorted(candidates, key=lambda i: (-score[i], i))[:count])


def model(tokens, unknown):
    """(N,V) legal logits with the mask id shown at unknown positions."""
    shown = [MASK if i in unknown else t for i, t in enumerate(tokens)]
    return [allowed(row) for row in logits(shown)]


def commit(chosen, drawn, legal, shaped):
    """The Step of committing `chosen`; shaped are the logits drawn from."""
    return Step(
        {i: drawn[i] for i in chosen},
        set(),
        {i: log_softmax(legal[i])[drawn[i]] for i in chosen},
        {i: log_softmax(shaped[i])[drawn[i]] for i in chosen},
    )


def maskgit(tokens, editable, seed, steps, ratio, choice_temperature=4.5):
    tokens, unknown = list(tokens), set(editable)
    total, left = planned(len(unknown), steps, ratio)
    for s in range(1, total + 1):
        x = model(tokens, unknown)
        u = uniforms(seed, s - 1, len(tokens), "DRAW")
        noise = uniforms(seed, s - 1, len(tokens), "CHOICE")[:, 0]
        drawn = {i: invert(x[i], u[i]) for i in unknown}
        score = {
            i: log_softmax(x[i])[drawn[i]] + choice_temperature * (1 - s / total) * gumbel(noise[i])
            for i in unknown
        }
        step = commit(highest(score, unknown, len(unknown) - left[s - 1]), drawn, x, x)
        for i, token in step.committed.items():
            tokens[i] = token
        unknown -= step.committed.keys()
        yield step


def annealed(tokens, editable, seed, steps, ratio, remask=False, start=1.0):
    tokens, unknown, editable = list(tokens), set(editable), set(editable)
    total, left = planned(len(unknown), steps, ratio)
    for s in range(1, total + 1):
        x = model(tokens, unknown)
        kept = [best_third(row) for row in x]
        warmth = start * (1 - s / total)
        u = uniforms(seed, s - 1, len(tokens), "DRAW")
        if warmth > 0:
            shaped = [row / warmth for row in kept]
            drawn = {i: invert(shaped[i], u[i]) for i in unknown}
        else:
            shaped = [np.where(row == row.max(), 0.0, -np.inf) for row in x]
            drawn = {i: int(np.argmax(x[i])) for i in unknown}
        held = {i: drawn.get(i, tokens[i]) for i in editable}
        score = {i: log_softmax(kept[i])[held[i]] for i in editable}
        running = editable if remask else unknown
        keep = highest(score, running, len(running) - left[s - 1])
        step = commit(keep & unknown, drawn, x, shaped)
        step.remasked = running - keep - unknown
        for i, token in step.committed.items():
            tokens[i] = token
        unknown = running - keep
        yield step


def token_critic(tokens, editable, seed, steps, ratio, remask=True, noise_scale=1.0):
    tokens, unknown, editable = list(tokens), set(editable), set(editable)
    total, left = planned(len(unknown), steps, ratio)
    for s in range(1, total + 1):
        x = model(tokens, unknown)
        u = uniforms(seed, s - 1, len(tokens), "DRAW")
        noise = uniforms(seed, s - 1, len(tokens), "CHOICE")[:, 0]
        drawn = {i: invert(x[i], u[i]) for i in unknown}
        doubt = wrong([drawn.get(i, token) for i, token in enumerate(tokens)])
        score = {i: -doubt[i] + noise_scale * (1 - s / total) * gumbel(noise[i]) for i in editable}
        running = editable if remask else unknown
        keep = highest(score, running, len(running) - left[s - 1])
        step = commit(keep & unknown, drawn, x, x)
        step.remasked = running - keep - unknown
        for i, token in step.committed.items():
            tokens[i] = token
        unknown = running - keep
        yield step


def choose_then_draw(tokens, editable, seed, plan, score_of):
    """Positions by a score that no draw enters, then their tokens."""
    tokens, unknown = list(tokens), set(editable)
    for s, left in enumerate(plan):
        x = model(tokens, unknown)
        u = uniforms(seed, s, len(tokens), "DRAW")
        chosen = highest(score_of(s, x), unknown, len(unknown) - left)
        step = commit(chosen, {i: invert(x[i], u[i]) for i in chosen}, x, x)
        for i, token in step.committed.items():
            tokens[i] = token
        unknown -= chosen
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
