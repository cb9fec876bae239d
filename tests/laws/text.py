"""Masked language models: laws of Mask-Predict, MDLM, LLaDA and Dream."""

import math
from itertools import product

import numpy as np
from tests.laws.cases import Case, exact
from tests.laws.plain import (
    always,
    choose_then_draw,
    draw_then_choose,
    gap,
    negative_entropy,
)
from tests.laws.world import (
    ONE_AT_A_TIME,
    best,
    conditionals,
    fills,
    heated,
    in_turn,
    nucleus,
    only,
    turns,
    unknown_in,
)

from unmask import Sampling, presets
from unmask.commit import OneAtATime, TopK

LEFT_HALF, RIGHT_HALF = {0, 1}, {2, 3}
NOTHING_STORED = (0.0,) * 4


def mask_predict(temperature):
    """1904.09324, section 3: a token keeps the probability it was predicted with."""

    def rule(turn, canvas, stored):
        p, open_ = conditionals(canvas), unknown_in(canvas)
        count = len(turn.editable - open_) + turn.count
        given = frozenset(range(4)) - turn.editable
        for f, filled in fills(canvas, open_, heated(p, temperature)):
            now = [float(p[i, filled[i]]) if i in open_ else stored[i] for i in range(4)]
            keep = best({i: now[i] for i in turn.editable}, count)
            after = tuple(now[i] if i in keep else 0.0 for i in range(4))
            yield f, only(filled, keep | given), after

    return rule


def coins(canvas, outcomes):
    """Every position by a coin of its own; outcomes: for each, a list of (probability, id)."""
    for each in product(*outcomes):
        yield math.prod(q for q, _ in each), tuple(token for _, token in each)


def linear(t):
    return 1 - t


def ancestral(ratio=linear, drawn=lambda p: p):
    """2406.07524: an unknown one is revealed with (m_t − m_s)/m_t, whatever becomes of the others.

    Of a position whose reveal time is uniform that is the chance that it falls within the step.
    """

    def rule(turn, canvas):
        m_t, m_s = ratio((turn.s - 1) / turn.of), ratio(turn.s / turn.of)
        reveal, p = (m_t - m_s) / m_t, drawn(conditionals(canvas))
        outcomes = [
            [(1.0, token)]
            if token != 3
            else [(1 - reveal, 3), *((reveal * p[i, v], v) for v in range(3))]
            for i, token in enumerate(canvas)
        ]
        yield from coins(canvas, outcomes)

    return rule


def llada(temperature=1.0):
    return draw_then_choose(shaped=lambda p, turn: heated(p, temperature))


def dream_drawn(temperature, top_p):
    return lambda p, _turn=None: nucleus(heated(p, temperature), top_p)


def dream_judged(temperature, top_p):
    """The model's distribution over what may be drawn."""

    def judged(p, _turn=None):
        kept = p * (nucleus(heated(p, temperature), top_p) > 0)
        return kept / kept.sum(1, keepdims=True)

    return judged


def nearly_linear(t):
    """Time that ends a thousandth before 1, and all that is left then."""
    return 1 - 0.999 * t if t < 1 else 0.0


def falling(t):
    """MaskGIT's cosine."""
    return math.cos(math.pi * t / 2) if t < 1 else 0.0


def in_own_time(strategy, steps, *rule):
    """Steps that reveal nothing are planned here and not taken by the library."""
    return Case(strategy, ancestral(*rule), turns([0] * steps), in_step=False)


def prophet(early, middle, late, temperature=1.0):
    """2508.19982: LLaDA's rule, until the likeliest ids lead by enough on average."""
    usual = draw_then_choose(shaped=lambda p, _turn: heated(p, temperature))

    def rule(turn, canvas):
        p, open_ = conditionals(canvas), unknown_in(canvas) & turn.inside
        lead = [np.log(np.sort(p[i])[-1] / np.sort(p[i])[-2]) for i in open_]
        share = (turn.s - 1) / turn.of
        enough = early if share < 1 / 3 else middle if share < 2 / 3 else late
        if not open_ or np.mean(lead) >= enough:
            yield from fills(canvas, open_, heated(p, temperature))
        else:
            yield from usual(turn, canvas)

    return rule


LAWS = {
    "mask_predict": {
        "T=3": Case(
            presets.mask_predict(steps=3, temperature=1.0),
            mask_predict(1.0),
            turns((2, 1, 1)),
            memory=(NOTHING_STORED,),
        ),
        "T=4, warm": Case(
            presets.mask_predict(steps=4, temperature=0.7),
            mask_predict(0.7),
            turns(ONE_AT_A_TIME),
            memory=(NOTHING_STORED,),
        ),
    },
    "mdlm": {
        "in the limit": exact(presets.mdlm(steps=256)),
        "T=1": in_own_time(presets.mdlm(steps=1), 1),
        "T=3": in_own_time(presets.mdlm(steps=3), 3),
        "T=3, cosine": in_own_time(presets.mdlm(steps=3, schedule="cosine"), 3, falling),
        "hot": in_own_time(
            presets.mdlm(steps=4, temperature=1.4), 4, linear, lambda p: heated(p, 1.4)
        ),
    },
    "prophet": {
        "early": Case(
            presets.prophet(early=1.0, middle=0.8, late=0.6, temperature=1.0),
            prophet(1.0, 0.8, 0.6),
            turns(ONE_AT_A_TIME),
        ),
        "late": Case(
            presets.prophet(early=1.5, middle=1.4, late=0.3, temperature=0.8),
            prophet(1.5, 1.4, 0.3, 0.8),
            turns(ONE_AT_A_TIME),
        ),
        "blocks of two": Case(
            presets.prophet(block=2, early=0.8, middle=0.8, late=0.8, temperature=1.0),
            prophet(0.8, 0.8, 0.8),
            in_turn((LEFT_HALF, (1, 1)), (RIGHT_HALF, (1, 1))),
            in_step=False,
        ),
    },
    "llada": {
        "blocks of two, two steps each": Case(
            presets.llada(steps=2, block=2, temperature=1.0),
            llada(),
            in_turn((LEFT_HALF, (1, 1)), (RIGHT_HALF, (1, 1))),
        ),
        "blocks of two, one step each": Case(
            presets.llada(steps=1, block=2, temperature=1.0),
            llada(),
            in_turn((LEFT_HALF, (2,)), (RIGHT_HALF, (2,))),
        ),
        "blocks of three": Case(
            presets.llada(steps=2, block=3, temperature=0.8),
            llada(0.8),
            in_turn(({0, 1, 2}, (2, 1)), ({3}, (1,))),
        ),
        "one block, T=3": Case(presets.llada(steps=3, temperature=1.0), llada(), turns((2, 1, 1))),
    },
    "dream": {
        "maskgit_plus": Case(
            presets.dream(4, "maskgit_plus", temperature=1.0), draw_then_choose(), turns((1, 1, 2))
        ),
        "maskgit_plus, choices sampled": Case(
            presets.dream(2, "maskgit_plus", temperature=1.0, choice_temperature=0.2),
            draw_then_choose(score=float, spread=always(0.2)),
            turns((1, 3)),
        ),
        "maskgit_plus, cool": Case(
            presets.dream(4, "maskgit_plus", temperature=0.8, top_p=0.9),
            draw_then_choose(shaped=dream_drawn(0.8, 0.9), judged=dream_judged(0.8, 0.9)),
            turns((1, 1, 2)),
        ),
        "origin": in_own_time(presets.dream(3, temperature=1.0), 3, nearly_linear),
        "origin, cool": in_own_time(
            presets.dream(3, temperature=0.8, top_p=0.9), 3, nearly_linear, dream_drawn(0.8, 0.9)
        ),
        "topk_margin, one a step": exact(
            presets.dream(algorithm="topk_margin", temperature=1.0).but(commit=TopK(OneAtATime()))
        ),
        "topk_margin, T=2": Case(
            presets.dream(2, "topk_margin", temperature=1.0), choose_then_draw(gap), turns((1, 3))
        ),
        "entropy, one a step": exact(
            presets.dream(algorithm="entropy").but(commit=TopK(OneAtATime()), sampling=Sampling())
        ),
        "entropy, T=3, choices sampled": Case(
            presets.dream(3, "entropy", temperature=1.0, choice_temperature=0.3),
            choose_then_draw(negative_entropy, spread=always(0.3)),
            turns((1, 1, 2)),
        ),
    },
}
