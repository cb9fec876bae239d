"""What the references share: the legal logits, the draw, the plan, and how a step is written down.

Plain numpy, one row at a time; nothing calls the library but for the uniforms.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from tests.golden.world import MASK, VOCAB, logits, uniforms

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
    logprob: dict[int, float]  # of each commit and edit, under the model
    sampling_logprob: dict[int, float]  # of each commit and edit, under what it was drawn from
    edited: dict[int, int] = field(default_factory=dict)  # position -> the token put in place
    forwards: int = 1  # passes of the network
    after: list[int | None] | None = None  # the whole row, None where unknown, where rows grow


def allowed(row_logits):
    """Without the mask id, which is never data."""
    out = np.array(row_logits)
    out[MASK] = -np.inf
    return out


def log_softmax(x):
    top = np.max(x)
    return x - top - np.log(np.sum(np.exp(x - top)))


def entropy(x):
    logp = log_softmax(x)
    return -sum(math.exp(each) * each for each in logp if each > -np.inf)


def margin(x):
    """The largest probability less the second largest."""
    second, first = np.sort(np.exp(log_softmax(x)))[-2:]
    return first - second


def greedy(x):
    """All mass on the best id, the lowest of equals."""
    return np.where(np.arange(len(x)) == np.argmax(x), 0.0, -np.inf)


def nucleus(x, mass):
    """The smallest set of ids that holds this mass, the likeliest first."""
    if mass == 1:
        return x
    p = np.exp(log_softmax(x))
    kept, held = [], 0.0
    for token in sorted(range(len(x)), key=lambda v: -p[v]):
        if held >= mass:
            break
        kept.append(token)
        held += p[token]
    return np.where(np.isin(np.arange(len(x)), kept), x, -np.inf)


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


def draw(x, seed, step, temperature=1.0, top_p=1.0):
    """A token for each position and the logits it was drawn from; temperature 0 takes the best."""
    if temperature < 1e-6:
        shaped = [greedy(row) for row in x]
    else:
        shaped = [nucleus(row / temperature, top_p) for row in x]
    u = uniforms(seed, step, len(x), "DRAW")
    return [invert(row, each) for row, each in zip(shaped, u, strict=True)], shaped


def gumbel(u):
    return -math.log(-math.log(u))


def choice_gumbel(seed, step, length):
    """The noise that is added to scores: one number a position."""
    return [gumbel(u) for u in uniforms(seed, step, length, "CHOICE")[:, 0]]


def planned(unknown, steps, ratio, rounding=1e-9):
    """T and the unknown left after each step: ⌊U·γ(s/T)⌋ between T − s and one less than before."""
    total, left = min(steps, unknown), [unknown]
    for s in range(1, total + 1):
        wanted = math.floor(unknown * ratio(s / total) + rounding)
        left.append(max(total - s, min(wanted, left[-1] - 1)))
    return total, left[1:]


def one_group_after_another(unknown, group_of, plan_of):
    """The steps of a row, the lowest group first: (positions of the group, s, T, left after s).

    plan_of(unknown in the group, group) -> (T, unknown left in the group after each step).
    """
    for group in sorted({group_of(i) for i in unknown}):
        inside = {i for i in unknown if group_of(i) == group}
        total, plan = plan_of(len(inside), group)
        for s, left in enumerate(plan, 1):
            yield inside, s, total, left


def highest(score, candidates, count):
    return set(sorted(candidates, key=lambda i: (-score[i], i))[:count])


def model(tokens, unknown):
    """(N,V) legal logits with the mask id shown at unknown positions."""
    shown = [MASK if i in unknown else t for i, t in enumerate(tokens)]
    return [allowed(row) for row in logits(shown)]


def guided(tokens, unknown, told, weight):
    """(N,V) legal logits u + w·(c − u), c told the class and u not; those of `model` if none is."""
    if told is None:
        return model(tokens, unknown)
    shown = [MASK if i in unknown else t for i, t in enumerate(tokens)]
    c, u = logits(shown, told), logits(shown)
    return [allowed(row) for row in u + weight * (c - u)]


def commit(chosen, drawn, legal, shaped):
    """The Step of committing `chosen`; shaped are the logits drawn from."""
    return Step(
        {i: drawn[i] for i in chosen},
        set(),
        {i: log_softmax(legal[i])[drawn[i]] for i in chosen},
        {i: log_softmax(shaped[i])[drawn[i]] for i in chosen},
    )


def write(step, tokens, unknown):
    """Do to a row, its tokens and the set of its unknown positions, what the step says."""
    for i, token in {**step.committed, **step.edited}.items():
        tokens[i] = token
    unknown.difference_update(step.committed)
    unknown.update(step.remasked)


def choose_then_draw(tokens, editable, seed, plan, score_of):
    """Positions by a score that no draw enters, then their tokens."""
    tokens, unknown = list(tokens), set(editable)
    for s, left in enumerate(plan):
        x = model(tokens, unknown)
        drawn, shaped = draw(x, seed, s)
        step = commit(highest(score_of(s, x), unknown, len(unknown) - left), drawn, x, shaped)
        write(step, tokens, unknown)
        yield step
