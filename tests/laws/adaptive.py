"""As many positions a step as the rule accepts: laws of the presets without a plan.

A plan here only says which step is the last that is allowed, at which all that is left is
committed: a step for each unknown position.
"""

import math

from tests.laws.cases import Case, exact
from tests.laws.plain import negative_entropy
from tests.laws.world import (
    ALL,
    best,
    conditionals,
    fills,
    heated,
    only,
    turns,
    unknown_in,
)

from unmask import presets

FOUR_AT_MOST = turns([0] * 4)


def open_block(canvas, block):
    """The positions of the first block that has an unknown one."""
    first = min(unknown_in(canvas)) // block
    return frozenset(i for i in range(4) if i // block == first)


def accepting(accepts, block=32, temperature=1.0):
    """Commit what is accepted of the draws in the open block, or else the likeliest.

    accepts: {position: p of what was drawn there} -> the positions.
    """

    def rule(turn, canvas):
        p = conditionals(canvas)
        running = open_block(canvas, block) & unknown_in(canvas)
        for f, filled in fills(canvas, running, heated(p, temperature)):
            says = {i: float(p[i, filled[i]]) for i in running}
            chosen = accepts(says) or best(says, 1)
            yield f, only(filled, chosen | (ALL - unknown_in(canvas)))

    return rule


def above(least):
    return lambda says: frozenset(i for i, p in says.items() if p >= least)


def by_factor(factor):
    """2505.22618: the k surest, k the largest with (k + 1)(1 − c₍k₎) < factor."""

    def accepts(says):
        ranked = sorted(says, key=lambda i: (-says[i], i))
        passing = [k for k, i in enumerate(ranked, 1) if (k + 1) * (1 - says[i]) < factor]
        return frozenset(ranked[: max(passing, default=0)])

    return accepts


def entropy_bound(bound, temperature=1.0):
    """2505.24857: the largest set, most certain first, with ΣH − max H ≤ bound; then draw."""

    def rule(_turn, canvas):
        p = conditionals(canvas)
        h = {i: -negative_entropy(p[i], i) for i in unknown_in(canvas)}
        ranked = sorted(h, key=lambda i: (h[i], i))
        sizes = [
            k
            for k in range(1, len(ranked) + 1)
            if sum(h[i] for i in ranked[:k]) - max(h[i] for i in ranked[:k]) <= bound
        ]
        # ΣH − max H of one position is 0, up to rounding.
        yield from fills(canvas, ranked[: max([1, *sizes])], heated(p, temperature))

    return rule


def divergence(now, before):
    """KL in nats of two rows."""
    return sum(a * math.log(a / b) for a, b in zip(now, before, strict=True))


def klass(least, limit, history, block=32, temperature=1.0):
    """2511.05664: sure of the token, and moved by less than `limit` at each of the last steps.

    past: the canvases before, of which the conditionals are asked again. Every step of the row
    counts, whichever block was open then.
    """

    def rule(_turn, canvas, past):
        p = conditionals(canvas)
        running = open_block(canvas, block) & unknown_in(canvas)
        states = [*past, canvas][-history - 1 :]
        pairs = list(zip(states[1:], states[:-1], strict=True)) if len(states) > history else []
        calm = {
            i
            for i in running
            if pairs
            and all(
                divergence(conditionals(now)[i], conditionals(before)[i]) < limit
                for now, before in pairs
            )
        }
        for f, filled in fills(canvas, running, heated(p, temperature)):
            says = {i: float(p[i, filled[i]]) for i in running}
            chosen = frozenset(i for i in calm if says[i] > least) or best(says, 1)
            yield f, only(filled, chosen | (ALL - unknown_in(canvas))), (*past, canvas)

    return rule


def llada21(fill, edit, block=32, temperature=1.0):
    """Fill what is sure, and overwrite where another id is surer than `edit`, in the open block."""

    def rule(turn, canvas):
        p, open_ = conditionals(canvas), unknown_in(canvas)
        running = open_block(canvas, block) & open_
        over = {
            i: int(p[i].argmax())
            for i in open_block(canvas, block) & turn.editable - open_
            if p[i].max() > edit and int(p[i].argmax()) != canvas[i]
        }
        for f, filled in fills(canvas, running, heated(p, temperature)):
            says = {i: float(p[i, filled[i]]) for i in running}
            chosen = frozenset(i for i in running if says[i] > fill) or best(says, 1)
            after = only(filled, chosen | (ALL - open_))
            yield f, tuple(over.get(i, token) for i, token in enumerate(after))

    return rule


def wino(fill, verify, block=128, temperature=1.0):
    """2507.18578: commit wide, take back what the rest makes unlikely: the worst, and fewer.

    What is verified was known before the step, and so is the rest it is verified by.
    """

    def rule(turn, canvas):
        p, open_ = conditionals(canvas), unknown_in(canvas)
        running = open_block(canvas, block) & open_
        # The conditional of a visible position is that given all the others.
        rest = {
            i: float(p[i, canvas[i]]) for i in open_block(canvas, block) & turn.editable - open_
        }
        doubted = sorted((i for i in rest if rest[i] < verify), key=lambda i: (rest[i], i))
        for f, filled in fills(canvas, running, heated(p, temperature)):
            says = {i: float(p[i, filled[i]]) for i in running}
            chosen = frozenset(i for i in running if says[i] > fill) or best(says, 1)
            last = turn.s == turn.of
            back = frozenset() if last else frozenset(doubted[: len(chosen) - 1])
            chosen = running if last else chosen
            yield f, only(filled, (chosen | (ALL - open_)) - back)

    return rule


LAWS = {
    "threshold": {
        "0.9": Case(presets.threshold(temperature=1.0), accepting(above(0.9)), FOUR_AT_MOST),
        "0.5": Case(presets.threshold(0.5, temperature=1.0), accepting(above(0.5)), FOUR_AT_MOST),
        "0.3, blocks of two": Case(
            presets.threshold(0.3, block=2, temperature=1.0),
            accepting(above(0.3), 2),
            FOUR_AT_MOST,
        ),
        "0.6, blocks of three, cool": Case(
            presets.threshold(0.6, block=3, temperature=0.7),
            accepting(above(0.6), 3, 0.7),
            FOUR_AT_MOST,
        ),
    },
    "factor": {
        "1": Case(presets.factor(temperature=1.0), accepting(by_factor(1.0)), FOUR_AT_MOST),
        "2": Case(presets.factor(2.0, temperature=1.0), accepting(by_factor(2.0)), FOUR_AT_MOST),
        "1.5, blocks of two": Case(
            presets.factor(1.5, block=2, temperature=1.0),
            accepting(by_factor(1.5), 2),
            FOUR_AT_MOST,
        ),
    },
    "entropy_bound": {
        "0": exact(presets.entropy_bound(bound=0.0)),
        "0.8": Case(presets.entropy_bound(0.8), entropy_bound(0.8), FOUR_AT_MOST),
        "1.3": Case(presets.entropy_bound(1.3), entropy_bound(1.3), FOUR_AT_MOST),
        "2.5, hot": Case(
            presets.entropy_bound(2.5, temperature=1.3), entropy_bound(2.5, 1.3), FOUR_AT_MOST
        ),
    },
    "klass": {
        "two steps back": Case(
            presets.klass(0.3, 0.4, 2, temperature=1.0),
            klass(0.3, 0.4, 2),
            FOUR_AT_MOST,
            memory=((),),
        ),
        "one step back": Case(
            presets.klass(0.3, 0.2, 1, temperature=1.0),
            klass(0.3, 0.2, 1),
            FOUR_AT_MOST,
            memory=((),),
        ),
        "one step back, anything": Case(
            presets.klass(0.2, 50.0, 1, temperature=1.0),
            klass(0.2, 50.0, 1),
            FOUR_AT_MOST,
            memory=((),),
        ),
        "blocks of three": Case(
            presets.klass(0.3, 0.5, 1, block=3, temperature=1.0),
            klass(0.3, 0.5, 1, 3),
            FOUR_AT_MOST,
            memory=((),),
        ),
        "blocks of two, two steps back": Case(
            presets.klass(0.2, 0.1, 2, block=2, temperature=1.0),
            klass(0.2, 0.1, 2, 2),
            FOUR_AT_MOST,
            memory=((),),
        ),
        "blocks of two": Case(
            presets.klass(0.2, 0.1, 1, block=2, temperature=1.0),
            klass(0.2, 0.1, 1, 2),
            FOUR_AT_MOST,
            memory=((),),
        ),
    },
    "llada21": {
        "as published, warm": Case(
            presets.llada21(temperature=1.0), llada21(0.7, 0.5), FOUR_AT_MOST
        ),
        "wide, edited seldom": Case(
            presets.llada21(0.3, 0.8, temperature=1.0), llada21(0.3, 0.8), FOUR_AT_MOST
        ),
        "never edited": Case(
            presets.llada21(0.3, 1.0, temperature=1.0), llada21(0.3, 1.0), FOUR_AT_MOST
        ),
        "blocks of two": Case(
            presets.llada21(0.4, 0.6, block=2, temperature=1.0),
            llada21(0.4, 0.6, 2),
            FOUR_AT_MOST,
        ),
    },
    "wino": {
        "as published, warm": Case(presets.wino(temperature=1.0), wino(0.6, 0.9), FOUR_AT_MOST),
        "wide": Case(presets.wino(0.35, 0.9, temperature=1.0), wino(0.35, 0.9), FOUR_AT_MOST),
        "never doubted": Case(
            presets.wino(0.35, 0.0, temperature=1.0), wino(0.35, 0.0), FOUR_AT_MOST
        ),
        "blocks of three": Case(
            presets.wino(0.4, 0.9, block=3, temperature=1.0),
            wino(0.4, 0.9, 3),
            FOUR_AT_MOST,
        ),
    },
}
