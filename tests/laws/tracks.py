"""Levels, tracks and spans: laws of ESM3, SoundStorm and MAGNeT."""

from tests.laws.cases import Case, exact
from tests.laws.image import maskgit
from tests.laws.plain import always, annealing, choose_then_draw, negative_entropy, nothing
from tests.laws.world import (
    ALL,
    ONE_AT_A_TIME,
    best,
    conditionals,
    fills,
    guided,
    heated,
    in_turn,
    nucleus,
    only,
    told,
    turns,
    unknown_in,
)

from unmask import Sampling, presets

EVEN, ODD = {0, 2}, {1, 3}


def squared_fall(start):
    """max(T₀ − i/(n − 1), 0.001)², i the step from 0 and n the steps of the track."""

    def warmth(turn):
        fall = (turn.s - 1) / (turn.of - 1) if turn.of > 1 else 0.0
        warm = max(start - fall, 0.001) ** 2
        return 0.0 if warm < 1e-5 else warm

    return warmth


def esm3_random(start=1.0):
    return choose_then_draw(nothing, always(1.0), squared_fall(start))


def esm3_entropy(start=1.0):
    return choose_then_draw(negative_entropy, warmth=squared_fall(start))


def drawn_from(warmth, top_p):
    return lambda p, turn: nucleus(heated(p, warmth(turn)), top_p)


def magnet(span, levels, warmth, top_p=0.9, model=told):
    """2401.04577: spans of neighbouring times of a level, as likely as their likeliest token.

    turn.count is how many spans. The probability is the one the token was drawn with.
    """

    def span_of(i):
        return i // levels // span, i % levels

    def rule(turn, canvas):
        open_ = unknown_in(canvas) & turn.inside
        p = drawn_from(warmth, top_p)(model(turn, canvas), turn)
        for f, filled in fills(canvas, open_, p):
            spans = {span_of(i) for i in open_}
            score = {at: max(p[i, filled[i]] for i in open_ if span_of(i) == at) for at in spans}
            kept = best(score, turn.count)
            known = frozenset(i for i in open_ if span_of(i) in kept)
            yield f, only(filled, known | (ALL - unknown_in(canvas)))

    return rule


def overlapping(span, warmth, top_p=0.9):
    """Spans start everywhere, and the least likely by the product of their tokens stay unknown.

    As many of them as leave no more unknown than planned; those with fewer known tokens come first.
    """

    def rule(turn, canvas):
        open_ = unknown_in(canvas)
        p = drawn_from(warmth, top_p)(conditionals(canvas), turn)
        left = turn.count
        for f, filled in fills(canvas, open_, p):

            def rank(start, filled=filled):
                free = [i for i in range(start, start + span) if i in open_]
                product = 1.0
                for i in free:
                    product *= p[i, filled[i]]
                return span - len(free), product, start

            again = frozenset()
            for start in sorted(range(4 - span + 1), key=rank):
                more = again | (frozenset(range(start, start + span)) & open_)
                if len(more) > min(left, len(open_) - 1):
                    break
                again = more
            yield f, only(filled, ALL - again)

    return rule


def by_unknown(most):
    """γ·most + (1 − γ)·1, γ the share of the level that is unknown."""

    def weight(turn, canvas):
        share = len(unknown_in(canvas) & turn.inside) / len(turn.inside)
        return share * most + (1 - share)

    return weight


LAWS = {
    "esm3": {
        "random, one a step, constant": exact(presets.esm3(steps=4).but(sampling=Sampling())),
        "entropy, one a step, constant": exact(
            presets.esm3(steps=4, order="entropy").but(sampling=Sampling())
        ),
        "random, two tracks, constant": exact(presets.esm3(tracks=2).but(sampling=Sampling())),
        "random": Case(presets.esm3(steps=4), esm3_random(), turns(ONE_AT_A_TIME)),
        "random, hot, T=3": Case(
            presets.esm3(steps=3, temperature=1.5), esm3_random(1.5), turns((1, 1, 2))
        ),
        "entropy": Case(
            presets.esm3(steps=4, order="entropy"), esm3_entropy(), turns(ONE_AT_A_TIME)
        ),
        "entropy, hot, two tracks": Case(
            presets.esm3(steps=2, order="entropy", temperature=1.5, tracks=2),
            esm3_entropy(1.5),
            in_turn((EVEN, (1, 1)), (ODD, (1, 1))),
        ),
    },
    "soundstorm": {
        "two levels": Case(
            presets.soundstorm(levels=2, choice_temperature=0.5),
            maskgit(0.5),
            in_turn((EVEN, (1, 1)), (ODD, (2,))),
        ),
        "two levels, two steps each": Case(
            presets.soundstorm(levels=2, steps=2, later_steps=2, choice_temperature=0.0),
            maskgit(0.0),
            in_turn((EVEN, (1, 1)), (ODD, (1, 1))),
        ),
        "one level": Case(presets.soundstorm(levels=1, steps=3), maskgit(), turns((1, 1, 2))),
    },
    "magnet": {
        "spans of two": Case(
            presets.magnet(levels=1, steps=2, span=2),
            magnet(2, 1, annealing(3.0)),
            turns((1, 1)),
        ),
        "spans of three": Case(
            presets.magnet(levels=1, span=3),
            magnet(3, 1, annealing(3.0)),
            turns((1, 1)),
        ),
        "two levels": Case(
            presets.magnet(levels=2, steps=2, later_steps=2, span=1),
            magnet(1, 2, annealing(3.0)),
            in_turn((EVEN, (1, 1)), (ODD, (1, 1))),
        ),
        "spans of two, warm throughout": Case(
            presets.magnet(levels=1, steps=2, span=2).but(sampling=Sampling()),
            magnet(2, 1, always(1.0), 1.0),
            turns((1, 1)),
        ),
        "two levels, guided, warm throughout": Case(
            presets.magnet(2, steps=2, later_steps=2, span=1, guidance=4.0).but(
                sampling=Sampling()
            ),
            magnet(1, 2, always(1.0), 1.0, guided(by_unknown(4.0))),
            in_turn((EVEN, (1, 1)), (ODD, (1, 1))),
        ),
        "overlapping, T=3": Case(
            presets.magnet(levels=1, steps=3, span=2, overlapping=True),
            overlapping(2, annealing(3.0)),
            [t._replace(count=left) for t, left in zip(turns((1, 1, 2)), (3, 2, 0), strict=True)],
        ),
        "overlapping, warm throughout": Case(
            presets.magnet(levels=1, steps=3, span=2, overlapping=True).but(sampling=Sampling()),
            overlapping(2, always(1.0), 1.0),
            [t._replace(count=left) for t, left in zip(turns((1, 1, 2)), (3, 2, 0), strict=True)],
        ),
    },
}
