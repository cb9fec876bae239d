"""The 3**4 joint, its conditionals by summing, and how a law is enumerated from a rule.

Plain Python and numpy; nothing of the library. A canvas is a tuple of four ids, 3 where unknown.

A rule says what one step does: `rule(turn, canvas, *memory)` yields (probability, canvas, *memory)
for everything that can come of it. What it remembers beside the canvas, if anything, is a value
that can be compared.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from itertools import permutations, product
from typing import Any, NamedTuple

import numpy as np
import pytest
from tests.reference.oracles import joint_3_4

JOINT = joint_3_4()
UNTOLD = joint_3_4(concentration=0.4, seed=1)  # what a network says that is not told the class
UNKNOWN = 3
BLANK = (UNKNOWN,) * 4
ALL = frozenset(range(4))
ONE_AT_A_TIME = (1, 1, 1, 1)

Canvas = tuple[int, ...]
Rule = Callable[..., Iterator[tuple[Any, ...]]]


class Turn(NamedTuple):
    """A planned step."""

    inside: frozenset[int]  # the positions of the open group
    count: int  # how many more are known after it
    s: int  # the step within the group, from 1
    of: int  # the steps of the group
    editable: frozenset[int] = ALL

    @property
    def r(self) -> float:
        return self.s / self.of


def turns(counts, inside=ALL):
    """As many more known after each step as counts say."""
    return [Turn(inside, count, s, len(counts), inside) for s, count in enumerate(counts, 1)]


def in_turn(*groups):
    """(positions, counts) of groups that follow one another; every position is editable."""
    return [
        turn._replace(editable=ALL)
        for inside, counts in groups
        for turn in turns(counts, frozenset(inside))
    ]


# --- the truth about a canvas ----------------------------------------------------------------


@cache
def conditionals(canvas: Canvas, untold: bool = False) -> np.ndarray:
    """(4,3): p(x_i | the other visible tokens), by summing the joint."""
    rows = []
    for i in range(4):
        part = UNTOLD if untold else JOINT
        for j, token in enumerate(canvas):
            if j != i and token != UNKNOWN:
                part = part.take([token], axis=j)
        mass = part.sum(axis=tuple(j for j in range(4) if j != i))
        rows.append(mass / mass.sum())
    return np.array(rows)


def told(_turn: Turn, canvas: Canvas) -> np.ndarray:
    """What a network says at a step, without guidance."""
    return conditionals(canvas)


def guided(weight):
    """Logits u + w·(c − u), c told the class and u not; weight: (turn, canvas) -> w."""

    def says(turn, canvas):
        w = weight(turn, canvas)
        p = conditionals(canvas) ** w * conditionals(canvas, untold=True) ** (1 - w)
        return p / p.sum(1, keepdims=True)

    return says


def unknown_in(canvas: Canvas) -> frozenset[int]:
    return frozenset(i for i in range(4) if canvas[i] == UNKNOWN)


def fills(canvas, places, p):
    """Every way to draw the places independently from p (4,3): (probability, canvas)."""
    places = sorted(places)
    for tokens in product(range(3), repeat=len(places)):
        filled = list(canvas)
        for i, token in zip(places, tokens, strict=True):
            filled[i] = token
        chance = math.prod(p[i, filled[i]] for i in places)
        if chance > 0:
            yield chance, tuple(filled)


def only(filled, known):
    """The canvas that keeps `known` of what is filled in, unknown elsewhere."""
    return tuple(token if i in known else UNKNOWN for i, token in enumerate(filled))


# --- how a distribution is shaped ------------------------------------------------------------


def heated(p, temperature):
    """softmax(log p / temperature); at 0 the likeliest ids, which are one unless they tie."""
    if temperature == 0:
        best = p >= p.max(1, keepdims=True) - 1e-12
        return best / best.sum(1, keepdims=True)
    hot = (p / p.max(1, keepdims=True)) ** (1 / temperature)
    return hot / hot.sum(1, keepdims=True)


def best_tokens(p, keep):
    """The `keep` likeliest ids, renormalised."""
    kept = np.where(p >= np.sort(p, 1)[:, -keep][:, None], p, 0.0)
    return kept / kept.sum(1, keepdims=True)


def nucleus(p, mass):
    """The smallest set of ids that holds `mass`, the likeliest first, renormalised."""
    kept = np.zeros_like(p)
    for row, out in zip(p, kept, strict=True):
        held = 0.0
        for token in np.argsort(-row):
            if held >= mass:
                break
            out[token] = row[token]
            held += row[token]
    return kept / kept.sum(1, keepdims=True)


# --- how positions are picked by score: (probability, set) -----------------------------------


def best(score, count):
    """The highest scores; ties go to the lower position."""
    return frozenset(sorted(score, key=lambda i: (-score[i], i))[:count])


def picked(score, count, spread=0.0):
    """Best of score + spread·Gumbel: without replacement, in proportion to exp(score/spread)."""
    if spread == 0:
        yield 1.0, best(score, count)
        return
    peak = max(score.values())
    weight = {i: math.exp((s - peak) / spread) for i, s in score.items()}
    for order in permutations(score, count):
        left, probability = sum(weight.values()), 1.0
        for i in order:
            probability *= weight[i] / left
            left -= weight[i]
        yield probability, frozenset(order)


# --- the law ---------------------------------------------------------------------------------


def laws_of(rule, plan, start=BLANK, memory=(), whole=False):
    """(4,4,4,4) for each step: the law of the canvas after it.

    A canvas without unknown positions is finished, unless the rule takes the whole plan.
    """
    law = {(start, *memory): 1.0}
    for turn in plan:
        after = defaultdict(float)
        for state, mass in law.items():
            if UNKNOWN not in state[0] and not whole:
                after[state] += mass
                continue
            for chance, *then in rule(turn, *state):
                if chance > 0:
                    after[tuple(then)] += mass * chance
        law = after
        out = np.zeros((4, 4, 4, 4))
        for (canvas, *_), mass in law.items():
            out[canvas] += mass
        yield out


def finished(law):
    """(4,4,4,4) of canvases -> (3,3,3,3), all of which must be known."""
    assert law[:3, :3, :3, :3].sum() == pytest.approx(law.sum()), "the rule leaves some unfinished"
    return law[:3, :3, :3, :3]


def law_of(rule, plan, **options):
    """(3,3,3,3): the law of the finished canvas."""
    *_, last = laws_of(rule, plan, **options)
    return finished(last)


def distance(law, truth=JOINT):
    """Total variation."""
    return float(np.abs(law - truth).sum() / 2)
