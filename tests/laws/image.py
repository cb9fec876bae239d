"""MaskGIT and its family: laws of the image presets."""

from tests.laws.cases import Case, exact
from tests.laws.plain import always, annealing, choose_then_draw, draw_then_choose
from tests.laws.world import ONE_AT_A_TIME, guided, heated, told, turns

from unmask import presets

HALTON = [2, 1, 0, 3]
"""When points 1, 2, 4 and 5 of the Halton sequence fall into a 2×2 grid: its cells in turn."""


def maskgit(scale=4.5, temperature=1.0, model=told):
    """2202.04200: log p of what was drawn, plus noise that falls to 0."""
    return draw_then_choose(
        shaped=lambda p, turn: heated(p, temperature), spread=annealing(scale), model=model
    )


def amused(scale, model=told):
    """2401.01808: noise that is whole at the first step and gone at the last."""
    return draw_then_choose(
        spread=lambda turn: scale * (turn.of - turn.s) / (turn.of - 1) if turn.of > 1 else scale,
        model=model,
    )


def halton_turn(_p, i):
    return -HALTON.index(i)


LAWS = {
    "maskgit": {
        "without noise, T=4": Case(
            presets.maskgit(steps=4, choice_temperature=0), maskgit(0), turns(ONE_AT_A_TIME)
        ),
        "without noise, T=3": Case(
            presets.maskgit(steps=3, choice_temperature=0), maskgit(0), turns((1, 1, 2))
        ),
        "T=4": Case(presets.maskgit(steps=4), maskgit(), turns(ONE_AT_A_TIME)),
        "hot": Case(
            presets.maskgit(steps=3, temperature=1.7, choice_temperature=1.0),
            maskgit(1.0, 1.7),
            turns((1, 1, 2)),
        ),
    },
    "muse": {
        "T=4": Case(
            presets.muse(steps=4, choice_temperature=1.0), maskgit(1.0), turns(ONE_AT_A_TIME)
        ),
        "T=3": Case(presets.muse(steps=3), maskgit(), turns((1, 1, 2))),
        "guided": Case(
            presets.muse(steps=4, guidance=3.0),
            maskgit(model=guided(lambda turn, canvas: 3.0 * turn.r)),
            turns(ONE_AT_A_TIME),
        ),
    },
    "amused": {
        "T=4": Case(presets.amused(steps=4), amused(2.0), turns(ONE_AT_A_TIME)),
        "T=3": Case(presets.amused(steps=3, choice_temperature=0.5), amused(0.5), turns((1, 1, 2))),
        "guided": Case(
            presets.amused(steps=4, guidance=2.0),
            amused(2.0, guided(lambda turn, canvas: 2.0)),
            turns(ONE_AT_A_TIME),
        ),
        "T=1": Case(presets.amused(steps=1), amused(2.0), turns((4,))),
    },
    "halton": {
        "one a step": exact(presets.halton(2, 2, steps=4)),
        "T=2": Case(presets.halton(2, 2, steps=2), choose_then_draw(halton_turn), turns((2, 2))),
        "T=2, hot": Case(
            presets.halton(2, 2, steps=2, temperature=1.5),
            choose_then_draw(halton_turn, warmth=always(1.5)),
            turns((2, 2)),
        ),
    },
}
