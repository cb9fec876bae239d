"""Presets that are greedy as published are deterministic: what they make of every canvas.

Of each of the canvases with something unknown the rule makes one sequence (two tokens that are
equally likely aside), and the library must make the same.
"""

import inspect
from itertools import pairwise, product

import pytest
import torch
from tests.golden.references_text import what_is_left
from tests.laws.adaptive import (
    NO_BLOCK,
    NO_CREDIT,
    NO_DOUBT,
    NOT_BEGUN,
    above,
    accepting,
    best_of_runs,
    by_factor,
    by_profile,
    credited,
    delimited,
    doubting,
    klass,
    leading,
    llada21,
    near_anchors,
    strictly_above,
    sure_or_share,
    wino,
)
from tests.laws.cases import Told
from tests.laws.growing import NOT_BEGUN as NO_LENGTH
from tests.laws.growing import daedal, rho_eos
from tests.laws.plain import choose_then_draw, draw_then_choose, gap, negative_entropy
from tests.laws.text import NOTHING_STORED, mask_predict, prophet
from tests.laws.world import UNKNOWN, heated, law_of, turns, unknown_in

import unmask
from unmask import presets

STARTS = [canvas for canvas in product(range(4), repeat=4) if UNKNOWN in canvas]


def in_blocks(size, canvas, count):
    """As many unknown positions of each block at a step as count, in turn."""
    plan = []
    for first in range(0, 4, size):
        inside = frozenset(range(first, first + size)) & unknown_in(canvas)
        steps = [count] * (len(inside) // count) + [len(inside) % count] * (len(inside) % count > 0)
        plan += [t._replace(editable=unknown_in(canvas)) for t in turns(steps, inside)]
    return plan


def from_the_prompt(size, canvas, count):
    """The same in blocks that are counted from the first unknown position."""
    start, plan = min(unknown_in(canvas)), []
    for first in range(start, 4, size):
        inside = frozenset(range(first, min(first + size, 4))) & unknown_in(canvas)
        steps = [count] * (len(inside) // count) + [len(inside) % count] * (len(inside) % count > 0)
        plan += [t._replace(editable=unknown_in(canvas)) for t in turns(steps, inside)]
    return plan


def one_at_a_time(canvas):
    return in_blocks(4, canvas, 1)


def as_many_as_unknown(canvas):
    return turns([0] * len(unknown_in(canvas)), unknown_in(canvas))


def many(canvas):
    """More steps than a row that grows takes."""
    return turns([0] * 12, unknown_in(canvas))


def what_is_left_of_it(canvas):
    """Dream's counts in four steps."""
    left = [len(unknown_in(canvas)), *what_is_left(len(unknown_in(canvas)), 4)]
    counts = [before - after for before, after in pairwise(left)]
    return turns(counts, unknown_in(canvas))


def certain(p, _turn=None):
    return heated(p, 0)


likeliest = draw_then_choose(shaped=certain)
NO_PAST, STORED = ((),), (NOTHING_STORED,)
# Strategy, rule, the plan of a canvas, what the rule remembers at first.
GREEDY = {
    "threshold": [
        (presets.threshold(), accepting(above(0.9), temperature=0), as_many_as_unknown, ()),
        (presets.threshold(0.5, block=2), accepting(above(0.5), 2, 0), as_many_as_unknown, ()),
    ],
    "factor": [
        (presets.factor(), accepting(by_factor(1.0), temperature=0), as_many_as_unknown, ()),
        (presets.factor(1.5, block=2), accepting(by_factor(1.5), 2, 0), as_many_as_unknown, ()),
    ],
    "frechet_profile": [
        (
            presets.frechet_profile(),
            accepting(by_profile(0.25), temperature=0),
            as_many_as_unknown,
            (),
        ),
        (
            presets.frechet_profile(0.0, block=2),
            accepting(by_profile(0.0), 2, 0),
            as_many_as_unknown,
            (),
        ),
    ],
    "local_leap": [
        (
            presets.local_leap(),
            accepting(near_anchors(0.9, 0.75, 4), temperature=0),
            as_many_as_unknown,
            (),
        ),
        (
            presets.local_leap(0.6, 0.45, 1),
            accepting(near_anchors(0.6, 0.45, 1), temperature=0),
            as_many_as_unknown,
            (),
        ),
    ],
    "hierarchy": [
        (
            presets.hierarchy(),
            accepting(best_of_runs(0.9, 0.4), temperature=0),
            as_many_as_unknown,
            (),
        ),
        (
            presets.hierarchy(0.7, 0.35, block=3),
            accepting(best_of_runs(0.7, 0.35), 3, 0),
            as_many_as_unknown,
            (),
        ),
    ],
    "credit": [
        (presets.credit(), credited(0.9, temperature=0), as_many_as_unknown, NO_CREDIT),
        (
            presets.credit(0.7, 3.0, block=2),
            credited(0.7, 3.0, block=2, temperature=0),
            as_many_as_unknown,
            NO_CREDIT,
        ),
    ],
    "adablock": [
        (presets.adablock([1]), delimited([1]), as_many_as_unknown, NO_BLOCK),
        (
            presets.adablock([0, 2], 0.4, 0.6, 2, 0.75),
            delimited([0, 2], 0.4, 0.6, 2, 0.75),
            as_many_as_unknown,
            NO_BLOCK,
        ),
    ],
    "token_to_mask": [
        (
            presets.token_to_mask(),
            doubting("probability", 0.5, temperature=0),
            as_many_as_unknown,
            NO_DOUBT,
        ),
        (
            presets.token_to_mask("rival", 0.5, 0.4),
            doubting("rival", 0.5, 0.4, temperature=0),
            as_many_as_unknown,
            NO_DOUBT,
        ),
    ],
    "klass": [
        (presets.klass(), klass(0.9, 0.001, 2, temperature=0), as_many_as_unknown, NO_PAST),
        (presets.klass(0.4, 0.3, 1), klass(0.4, 0.3, 1, 32, 0), as_many_as_unknown, NO_PAST),
    ],
    "llada21": [
        (presets.llada21(), llada21(0.7, 0.5, temperature=0), as_many_as_unknown, ()),
        (presets.llada21(0.4, 0.5, block=2), llada21(0.4, 0.5, 2, 0), as_many_as_unknown, ()),
    ],
    "daedal": [
        (
            presets.daedal(initial=2, expansion=2, window=2, end_id=2),
            daedal(0.9, 0.1, 2, 2, 0.5, 0.9, 2, 32, 0),
            many,
            NO_LENGTH,
        ),
        (
            presets.daedal(0.6, 0.5, 1, 2, 0.3, 0.9, 2, 2, block=3),
            daedal(0.6, 0.5, 1, 2, 0.3, 0.9, 2, 3, 0),
            many,
            NO_LENGTH,
        ),
    ],
    "rho_eos": [
        (
            presets.rho_eos(initial=2, expansion=1, end_id=2),
            rho_eos(0.9, 0.4, 0.6, 2, 1, 32, 0),
            many,
            NO_LENGTH,
        ),
        (
            presets.rho_eos(0.5, 0.3, 0.4, 3, 1, end_id=2, block=2),
            rho_eos(0.5, 0.3, 0.4, 3, 1, 2, 0),
            many,
            NO_LENGTH,
        ),
    ],
    "wino": [
        (presets.wino(), wino(0.6, 0.9, temperature=0), as_many_as_unknown, ()),
        (presets.wino(0.3, 0.9, block=3), wino(0.3, 0.9, 3, 0), as_many_as_unknown, ()),
    ],
    "llada": [
        (presets.llada(), likeliest, one_at_a_time, ()),
        (presets.llada(block=2), likeliest, lambda canvas: from_the_prompt(2, canvas, 1), ()),
        (
            presets.llada(steps=1, block=2),
            likeliest,
            lambda canvas: from_the_prompt(2, canvas, 2),
            (),
        ),
    ],
    "prophet": [
        (presets.prophet(), prophet(7.5, 5.0, 2.5, 0), one_at_a_time, ()),
        (
            presets.prophet(early=1.5, middle=1.0, late=0.5),
            prophet(1.5, 1.0, 0.5, 0),
            one_at_a_time,
            (),
        ),
    ],
    "mask_predict": [(presets.mask_predict(), mask_predict(0), one_at_a_time, STORED)],
    "dream": [
        (presets.dream(4, "maskgit_plus"), likeliest, what_is_left_of_it, ()),
        (
            presets.dream(4, "topk_margin"),
            choose_then_draw(gap, drawn=certain),
            what_is_left_of_it,
            (),
        ),
        (
            presets.dream(4, "entropy"),
            choose_then_draw(negative_entropy, drawn=certain),
            what_is_left_of_it,
            (),
        ),
    ],
    "llada2": [
        (
            presets.llada2(block=2, steps=2),
            sure_or_share(0.95, 2, 2, 0, own=True),
            as_many_as_unknown,
            NOT_BEGUN,
        ),
        (
            presets.llada2(0.5, 4, 2),
            sure_or_share(0.5, 4, 2, 0, own=True),
            as_many_as_unknown,
            NOT_BEGUN,
        ),
    ],
    "fast_dllm_v2": [
        (
            presets.fast_dllm_v2(0.5, 4, 4),
            leading(accepting(strictly_above(0.5), 4, 0, absolute=True), 4, 0),
            as_many_as_unknown,
            (),
        ),
    ],
}
GROWING = ("daedal", "rho_eos")
"""Of these a canvas ends with what is to be generated."""
RULES = [(name, n) for name, rules in GREEDY.items() for n in range(len(rules))]


def starts_of(name):
    """The canvases that a preset is made for."""
    behind = [c for c in STARTS if set(c[min(unknown_in(c)) :]) == {UNKNOWN}]
    return behind if name in GROWING else STARTS


def possible(rule, plan_of, memory, start):
    """The sequences that the rule may make of a canvas: one, unless tokens tie."""
    law = law_of(rule, plan_of(start), start=start, memory=memory)
    return [tuple(map(int, sequence)) for sequence in zip(*law.nonzero(), strict=True)]


def made(strategy, starts, seed=0):
    """The sequences that the library makes of canvases."""
    tokens = torch.tensor(starts)
    canvas = unmask.Canvas.infill(tokens.clamp(max=2), tokens == UNKNOWN)
    return list(map(tuple, unmask.generate(Told(), canvas, strategy, seed=seed).tolist()))


@pytest.mark.parametrize("name", presets.__all__)
def test_every_preset_that_is_greedy_as_published_is_here(name):
    needed = {"critic": None, "delimiters": [1], "height": 2, "width": 2}
    make = getattr(presets, name)
    names = inspect.signature(make).parameters
    strategy = make(**{key: needed[key] for key in names if key in needed})
    greedy = strategy.sampling.temperature == 0
    assert greedy == (name in GREEDY), (
        f"put presets.{name} and its rule into GREEDY, or take it out"
    )


@pytest.mark.parametrize(("name", "n"), RULES)
def test_every_canvas_becomes_what_the_rule_makes_of_it(name, n):
    strategy, rule, plan_of, memory = GREEDY[name][n]
    starts = starts_of(name)
    wanted = [possible(rule, plan_of, memory, start) for start in starts]
    assert sum(len(each) > 1 for each in wanted) < 3
    for seed in (0, 1):
        found = made(strategy, starts, seed)
        wrong = [
            f"{start} became {got}, not {want}"
            for start, got, want in zip(starts, found, wanted, strict=True)
            if got not in want
        ]
        assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("name", "n"), RULES)
def test_another_rule_makes_something_else(name, n):
    """Negative control: left to right, each token the likeliest, is none of these."""
    strategy = GREEDY[name][n][0]
    other = choose_then_draw(lambda p, i: -i, drawn=certain)
    starts = starts_of(name)
    wanted = [possible(other, one_at_a_time, (), start) for start in starts]
    found = made(strategy, starts)
    assert any(got not in want for got, want in zip(found, wanted, strict=True))
