"""Rules that choose from the state, or draw and then choose, and the plain presets' laws."""

import math

import numpy as np
from tests.laws.cases import Case, exact
from tests.laws.world import (
    ALL,
    ONE_AT_A_TIME,
    best_tokens,
    conditionals,
    fills,
    heated,
    only,
    picked,
    told,
    turns,
    unknown_in,
)

from unmask import Sampling, orders, presets
from unmask.commit import Explicit, TopK

# --- scores of a position, from its conditional ----------------------------------------------


def largest_probability(p, _i):
    return math.log(p.max())


def negative_entropy(p, _i):
    return float((p * np.log(p)).sum())


def gap(p, _i):
    return float(np.sort(p)[-1] - np.sort(p)[-2])


def leftness(_p, i):
    return -i


def nothing(_p, _i):
    return 0.0


def always(value):
    return lambda turn: value


QUIET, PLAIN = always(0.0), always(1.0)  # no noise; the model's own temperature


def annealing(start):
    """start·(T − s)/T."""
    return lambda turn: start * (1 - turn.r)


# --- rules -----------------------------------------------------------------------------------


def choose_then_draw(score, spread=QUIET, warmth=PLAIN, drawn=lambda p: p):
    """Positions by a score of each conditional, then their tokens."""

    def rule(turn, canvas):
        p = conditionals(canvas)
        scores = {i: score(p[i], i) for i in unknown_in(canvas) & turn.inside}
        for q, chosen in picked(scores, turn.count, spread(turn)):
            for f, filled in fills(canvas, chosen, drawn(heated(p, warmth(turn)))):
                yield q * f, filled

    return rule


def random_order():
    return choose_then_draw(nothing, spread=always(1.0))


def draw_then_choose(
    shaped=lambda p, turn: p,
    judged=lambda p, turn: p,
    score=math.log,
    spread=QUIET,
    remask=False,
    held=1.0,
    model=told,
):
    """A token everywhere, then the positions whose tokens are likeliest.

    shaped: what is drawn from; judged: what says how likely, through `score`. With remask committed
    tokens compete as well, their scores times `held`.
    """

    def rule(turn, canvas):
        p, open_ = model(turn, canvas), unknown_in(canvas) & turn.inside
        running = turn.editable & turn.inside if remask else open_
        known = ALL - unknown_in(canvas)
        kept, says = known - running, judged(p, turn)
        for f, filled in fills(canvas, open_, shaped(p, turn)):
            # A held token that was filtered out has no mass; 1e-300 ranks it last, finitely.
            scores = {i: score(max(says[i, filled[i]], 1e-300)) for i in running}
            scores |= {i: held * scores[i] for i in known & running}
            count = len(known & running) + turn.count
            for q, chosen in picked(scores, count, spread(turn)):
                yield f * q, only(filled, chosen | kept)

    return rule


def annealed_rule(start, keep=3, remask=False):
    """The reference method: filter, anneal, judge by what the filter leaves."""
    return draw_then_choose(
        shaped=lambda p, turn: heated(best_tokens(p, keep), annealing(start)(turn)),
        judged=lambda p, turn: best_tokens(p, keep),
        remask=remask,
    )


# --- laws ------------------------------------------------------------------------------------


def in_order(order, counts=ONE_AT_A_TIME):
    return presets.random_order(steps=4).but(order=order, commit=TopK(Explicit(counts)))


LAWS = {
    "random_order": {
        "one a step": exact(presets.random_order(steps=4)),
        "more steps than positions": exact(presets.random_order(steps=9)),
        "left to right": exact(in_order(orders.LeftToRight())),
        "noise on top": exact(in_order(orders.ChoiceNoise(orders.Random(), 2.0))),
        "T=3": Case(presets.random_order(steps=3), random_order(), turns((2, 1, 1))),
        "T=2": Case(presets.random_order(steps=2), random_order(), turns((2, 2))),
        "T=1": Case(presets.random_order(steps=1), random_order(), turns((4,))),
        "entropy, [1,3]": Case(
            in_order(orders.Entropy(), (1, 3)),
            choose_then_draw(negative_entropy),
            turns((1, 3)),
        ),
    },
    "first_hitting": {
        "one a step": exact(presets.first_hitting()),
        "blocks of two": exact(presets.first_hitting(block=2)),
        "hot": Case(
            presets.first_hitting(temperature=1.5),
            choose_then_draw(nothing, always(1.0), always(1.5)),
            turns(ONE_AT_A_TIME),
        ),
    },
    "confidence": {
        "one a step": exact(presets.confidence(steps=4)),
        "noise": exact(in_order(orders.ChoiceNoise(orders.Probability(), 1.0))),
        "T=2": Case(
            presets.confidence(steps=2), choose_then_draw(largest_probability), turns((2, 2))
        ),
    },
    "top_margin": {
        "one a step": exact(presets.top_margin(steps=4)),
        "one a step, noise": exact(presets.top_margin(steps=4, choice_temperature=0.5)),
        "T=2": Case(presets.top_margin(steps=2), choose_then_draw(gap), turns((2, 2))),
        "T=2, noise": Case(
            presets.top_margin(steps=2, choice_temperature=0.5),
            choose_then_draw(gap, spread=always(0.5)),
            turns((2, 2)),
        ),
    },
    "annealed": {
        "T=4": Case(presets.annealed(steps=4, keep=None), annealed_rule(1.0), turns(ONE_AT_A_TIME)),
        "T=3, hot": Case(
            presets.annealed(steps=3, temperature=2.5, keep=None),
            annealed_rule(2.5),
            turns((2, 1, 1)),
        ),
        "best two": Case(
            presets.annealed(steps=4, keep=0.5), annealed_rule(1.0, 2), turns(ONE_AT_A_TIME)
        ),
        "remask": Case(
            presets.annealed(steps=4, keep=None, remask=True),
            annealed_rule(1.0, remask=True),
            turns(ONE_AT_A_TIME),
        ),
        "remask, best two": Case(
            presets.annealed(steps=4, temperature=2.0, keep=0.5, remask=True),
            annealed_rule(2.0, 2, remask=True),
            turns(ONE_AT_A_TIME),
        ),
        "constant temperature": Case(
            presets.annealed(steps=4, keep=None).but(sampling=Sampling()),
            draw_then_choose(),
            turns(ONE_AT_A_TIME),
        ),
    },
}
