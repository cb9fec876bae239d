"""As many positions a step as the rule accepts: laws of the presets without a plan.

A plan here only says which step is the last that is allowed, at which all that is left is
committed: a step for each unknown position.
"""

import math

import numpy as np
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


def open_block(canvas, block, start=0):
    """The positions of the first block, counted from `start`, that has an unknown one."""
    first = (min(unknown_in(canvas)) - start) // block
    return frozenset(i for i in range(4) if (i - start) // block == first)


def accepting(accepts, block=32, temperature=1.0, absolute=False):
    """Commit what is accepted of the draws in the open block, or else the likeliest.

    accepts: {position: p of what was drawn there} -> the positions. absolute: blocks are counted
    from 0, and not from the first position to generate.
    """

    def rule(turn, canvas):
        p = conditionals(canvas)
        start = 0 if absolute else min(turn.editable)
        running = open_block(canvas, block, start) & unknown_in(canvas)
        for f, filled in fills(canvas, running, heated(p, temperature)):
            says = {i: float(p[i, filled[i]]) for i in running}
            chosen = accepts(says) or best(says, 1)
            yield f, only(filled, chosen | (ALL - unknown_in(canvas)))

    return rule


def leading(rule, block, temperature=1.0):
    """The first of a block alone where it is unknown, and else by a rule."""

    def led(turn, canvas):
        first = min(unknown_in(canvas))
        if first % block:
            yield from rule(turn, canvas)
            return
        p = conditionals(canvas)
        for f, filled in fills(canvas, frozenset({first}), heated(p, temperature)):
            yield f, only(filled, {first} | (ALL - unknown_in(canvas)))

    return led


def strictly_above(least):
    return lambda says: frozenset(i for i, p in says.items() if p > least)


def sure_or_share(least, block, steps, temperature=1.0, own=False):
    """SDAR (2510.06303): what is sure if it makes up the step's share of a block, or the share.

    at: (the open block, how many of its steps are over). own: sure by the model's distribution and
    not by the one drawn from.
    """

    def rule(_turn, canvas, at):
        p, opened = conditionals(canvas), open_block(canvas, block)
        s = at[1] if at[0] == opened else 0
        share = block // steps + (s < block % steps)
        shaped, running = heated(p, temperature), opened & unknown_in(canvas)
        by = p if own else shaped
        for f, filled in fills(canvas, running, shaped):
            says = {i: float(by[i, filled[i]]) for i in running}
            sure = frozenset(i for i in running if least is not None and says[i] > least)
            chosen = sure if len(sure) >= share else best(says, share)
            yield f, only(filled, chosen | (ALL - unknown_in(canvas))), (opened, s + 1)

    return rule


NOT_BEGUN = ((None, 0),)


def above(least):
    return lambda says: frozenset(i for i, p in says.items() if p >= least)


def by_factor(factor):
    """2505.22618: the k surest, k the largest with (k + 1)(1 − c₍k₎) < factor."""

    def accepts(says):
        ranked = sorted(says, key=lambda i: (-says[i], i))
        passing = [k for k, i in enumerate(ranked, 1) if (k + 1) * (1 - says[i]) < factor]
        return frozenset(ranked[: max(passing, default=0)])

    return accepts


def by_profile(bound):
    """2606.02955: the n surest, n the largest with (Σc − (n − 1)) − (1 − c₍n₎) > bound."""

    def accepts(says):
        ranked = sorted(says, key=lambda i: (-says[i], i))
        passing, total = 0, 0.0
        for n, i in enumerate(ranked, 1):
            total += says[i]
            passing = n if total - (n - 1) - (1 - says[i]) > bound else passing
        return frozenset(ranked[:passing])

    return accepts


def near_anchors(least, low, radius):
    """2510.07081: what is sure, and what is nearly so and at most `radius` from that."""

    def accepts(says):
        anchors = frozenset(i for i, p in says.items() if p >= least)
        near = {i for i in says for anchor in anchors if abs(i - anchor) <= radius}
        return anchors | {i for i in near if says[i] >= low}

    return accepts


def best_of_runs(least, low):
    """2510.08666: what is sure, and the surest of every run of unknown positions, if above low."""

    def accepts(says):
        chosen, run = set(), []
        for i in range(5):
            if i in says:
                run.append(i)
            elif run:
                surest = max(run, key=lambda i: (says[i], -i))
                chosen |= {surest} if says[surest] > low else set()
                run = []
        return frozenset(chosen | {i for i, p in says.items() if p > least})

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

    past: the canvases before since the block opened, of which the conditionals are asked again.
    """

    def rule(turn, canvas, past):
        p, start = conditionals(canvas), min(turn.editable)
        opened = open_block(canvas, block, start)
        running = opened & unknown_in(canvas)
        past = tuple(c for c in past if open_block(c, block, start) == opened)
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


def credited(least, alpha=0.7, gamma=0.2, beta=0.8, block=32, temperature=1.0):
    """2510.06133: above(least) of p·(1 + C)^alpha; C fades and grows at the likeliest id."""

    def rule(turn, canvas, credits):
        p, mine = conditionals(canvas), np.array(credits)
        running = open_block(canvas, block, min(turn.editable)) & unknown_in(canvas)
        for i in running:
            mine[i] *= beta
            mine[i, p[i].argmax()] += p[i].max() ** gamma
        fused = p * (1 + mine) ** alpha
        fused /= fused.sum(1, keepdims=True)
        for f, filled in fills(canvas, running, heated(fused, temperature)):
            says = {i: float(fused[i, filled[i]]) for i in running}
            chosen = above(least)(says) or best(says, 1)
            after = tuple(tuple(row) for row in mine.tolist())
            yield f, only(filled, chosen | (ALL - unknown_in(canvas))), after

    return rule


NO_CREDIT = (((0.0,) * 3,) * 4,)


def delimited(delimiters, least_end=0.3, least=0.9, block=32, window=0.25, temperature=0.0):
    """2509.26432: above(least) in blocks, each up to its surest delimiter, if one is sure."""

    def rule(turn, canvas, end):
        p, open_ = conditionals(canvas), unknown_in(canvas)
        for f, filled in fills(canvas, open_, heated(p, temperature)):
            says = {i: float(p[i, filled[i]]) for i in open_}
            now, start = end, min(open_)
            if start >= end:
                inside = range(start, start + int(window * len(turn.editable)))
                ends = [i for i in inside if i in says and filled[i] in delimiters]
                ends = [i for i in ends if says[i] >= least_end]
                now = max(ends, key=lambda i: (says[i], -i)) + 1 if ends else start + block
            running = {i: q for i, q in says.items() if i < now}
            chosen = above(least)(running) or best(running, 1)
            yield f, only(filled, chosen | (ALL - open_)), now

    return rule


NO_BLOCK = (0,)


def edited(canvas, where, edit):
    """The canvas with another id put where one is surer than `edit`."""
    p = conditionals(canvas)
    over = {i: int(p[i].argmax()) for i in where if p[i].max() > edit}
    return tuple(over.get(i, token) for i, token in enumerate(canvas))


def at_rest(canvas, where, edit, passes=16):
    """The canvas edited until a pass changes nothing, at most so many times."""
    for _ in range(passes):
        after = edited(canvas, where, edit)
        if after == canvas:
            break
        canvas = after
    return canvas


def llada21(fill, edit, block=32, temperature=1.0, passes=16):
    """Fill what is sure, and overwrite where another id is surer than `edit`, in the open block.

    A block that is full is edited until it is at rest, in steps that are none of the plan here.
    """

    def rule(turn, canvas):
        p, open_ = conditionals(canvas), unknown_in(canvas)
        opened = open_block(canvas, block) & turn.editable
        running = opened & open_
        over = edited(canvas, opened - open_, edit)
        for f, filled in fills(canvas, running, heated(p, temperature)):
            says = {i: float(p[i, filled[i]]) for i in running}
            chosen = frozenset(i for i in running if says[i] > fill) or best(says, 1)
            after = only(filled, chosen | (ALL - open_))
            after = tuple(over[i] if i in opened - open_ else t for i, t in enumerate(after))
            full = not opened & unknown_in(after)
            yield f, at_rest(after, opened, edit, passes) if full else after

    return rule


def wino(fill, verify, block=128, temperature=1.0):
    """2507.18578: commit wide, take back what the rest makes unlikely: the worst, and fewer.

    What is verified was known before the step, and so is the rest it is verified by.
    """

    def rule(turn, canvas):
        p, open_ = conditionals(canvas), unknown_in(canvas)
        opened = open_block(canvas, block, min(turn.editable))
        running = opened & open_
        # The conditional of a visible position is that given all the others.
        rest = {i: float(p[i, canvas[i]]) for i in opened & turn.editable - open_}
        doubted = sorted((i for i in rest if rest[i] < verify), key=lambda i: (rest[i], i))
        for f, filled in fills(canvas, running, heated(p, temperature)):
            says = {i: float(p[i, filled[i]]) for i in running}
            chosen = frozenset(i for i in running if says[i] > fill) or best(says, 1)
            last = turn.s == turn.of
            back = frozenset() if last else frozenset(doubted[: len(chosen) - 1])
            chosen = running if last else chosen
            yield f, only(filled, (chosen | (ALL - open_)) - back)

    return rule


def doubting(by, bound, fill=0.7, share=0.25, times=3, temperature=1.0):
    """2605.26436: fill what is sure; what is doubted is unknown again, a quarter or one a step."""

    def rule(turn, canvas, often, before):
        p, open_ = conditionals(canvas), unknown_in(canvas)
        doubt = {}
        for i in turn.editable - open_:
            now, top = float(p[i, canvas[i]]), float(p[i].max())
            if by == "probability" and now < bound:
                doubt[i] = -now
            if by == "rival" and top > bound and p[i].argmax() != canvas[i]:
                doubt[i] = top
            if by == "change" and abs(now - before[i]) > bound:
                doubt[i] = abs(now - before[i])
        doubt = {i: worth for i, worth in doubt.items() if often[i] < times}
        last = turn.s == turn.of
        back = frozenset() if last else best(doubt, max(1, int(share * len(turn.editable - open_))))
        for f, filled in fills(canvas, open_, heated(p, temperature)):
            says = {i: float(p[i, filled[i]]) for i in open_}
            chosen = open_ if last else strictly_above(fill)(says) or best(says, 1)
            after = only(filled, (chosen | (ALL - open_)) - back)
            counts = tuple(n + (i in back) for i, n in enumerate(often))
            # What was known and what has become so; the rest is not looked at.
            seen = tuple(float(p[i, t]) if t < 3 else 0.0 for i, t in enumerate(after))
            yield f, after, counts, seen

    return rule


NO_DOUBT = ((0,) * 4, (0.0,) * 4)

LAWS = {
    "token_to_mask": {
        "as published, warm": Case(
            presets.token_to_mask(temperature=1.0),
            doubting("probability", 0.5),
            FOUR_AT_MOST,
            memory=NO_DOUBT,
        ),
        "half, once": Case(
            presets.token_to_mask(doubt=0.7, fill=0.3, share=0.5, times=1, temperature=1.0),
            doubting("probability", 0.7, 0.3, 0.5, 1),
            FOUR_AT_MOST,
            memory=NO_DOUBT,
        ),
        "rivals": Case(
            presets.token_to_mask("rival", 0.5, fill=0.25, temperature=1.0),
            doubting("rival", 0.5, 0.25),
            FOUR_AT_MOST,
            memory=NO_DOUBT,
        ),
        "changes": Case(
            presets.token_to_mask("change", 0.15, fill=0.25, temperature=1.0),
            doubting("change", 0.15, 0.25),
            FOUR_AT_MOST,
            memory=NO_DOUBT,
        ),
    },
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
    "frechet_profile": {
        "as published, warm": Case(
            presets.frechet_profile(temperature=1.0), accepting(by_profile(0.25)), FOUR_AT_MOST
        ),
        "anything": Case(
            presets.frechet_profile(-0.6, temperature=1.0),
            accepting(by_profile(-0.6)),
            FOUR_AT_MOST,
        ),
        "blocks of two": Case(
            presets.frechet_profile(0.0, block=2, temperature=1.0),
            accepting(by_profile(0.0), 2),
            FOUR_AT_MOST,
        ),
    },
    "local_leap": {
        "as published, warm": Case(
            presets.local_leap(temperature=1.0), accepting(near_anchors(0.9, 0.75, 4)), FOUR_AT_MOST
        ),
        "next to one": Case(
            presets.local_leap(0.5, 0.25, 1, temperature=1.0),
            accepting(near_anchors(0.5, 0.25, 1)),
            FOUR_AT_MOST,
        ),
        "blocks of three": Case(
            presets.local_leap(0.5, 0.2, 2, block=3, temperature=1.0),
            accepting(near_anchors(0.5, 0.2, 2), 3),
            FOUR_AT_MOST,
        ),
    },
    "hierarchy": {
        "as published, warm": Case(
            presets.hierarchy(temperature=1.0), accepting(best_of_runs(0.9, 0.4)), FOUR_AT_MOST
        ),
        "low": Case(
            presets.hierarchy(0.6, 0.1, temperature=1.0),
            accepting(best_of_runs(0.6, 0.1)),
            FOUR_AT_MOST,
        ),
        "blocks of three": Case(
            presets.hierarchy(0.5, 0.3, block=3, temperature=1.0),
            accepting(best_of_runs(0.5, 0.3), 3),
            FOUR_AT_MOST,
        ),
    },
    "adablock": {
        "half a row ahead": Case(
            presets.adablock([1], 0.3, 0.5, 3, 0.5, temperature=1.0),
            delimited([1], 0.3, 0.5, 3, 0.5, 1.0),
            FOUR_AT_MOST,
            memory=NO_BLOCK,
        ),
        "all ahead": Case(
            presets.adablock([0, 2], 0.2, 0.4, 1, 1.0, temperature=0.8),
            delimited([0, 2], 0.2, 0.4, 1, 1.0, 0.8),
            FOUR_AT_MOST,
            memory=NO_BLOCK,
        ),
    },
    "credit": {
        "as published, warm": Case(
            presets.credit(temperature=1.0), credited(0.9), FOUR_AT_MOST, memory=NO_CREDIT
        ),
        "much of it": Case(
            presets.credit(0.7, 2.0, 0.5, 1.0, temperature=1.0),
            credited(0.7, 2.0, 0.5, 1.0),
            FOUR_AT_MOST,
            memory=NO_CREDIT,
        ),
        "blocks of three": Case(
            presets.credit(0.6, block=3, temperature=0.8),
            credited(0.6, block=3, temperature=0.8),
            FOUR_AT_MOST,
            memory=NO_CREDIT,
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
        "blocks of three, anything": Case(
            presets.klass(0.2, 50.0, 1, block=3, temperature=1.0),
            klass(0.2, 50.0, 1, 3),
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
            presets.llada21(temperature=1.0), llada21(0.7, 0.5), FOUR_AT_MOST, in_step=False
        ),
        "wide, edited seldom": Case(
            presets.llada21(0.3, 0.8, temperature=1.0),
            llada21(0.3, 0.8),
            FOUR_AT_MOST,
            in_step=False,
        ),
        "never edited": Case(
            presets.llada21(0.3, 1.0, temperature=1.0),
            llada21(0.3, 1.0),
            FOUR_AT_MOST,
            in_step=False,
        ),
        "blocks of two": Case(
            presets.llada21(0.4, 0.6, block=2, temperature=1.0),
            llada21(0.4, 0.6, 2),
            FOUR_AT_MOST,
            in_step=False,
        ),
        "no further passes": Case(
            presets.llada21(0.4, 0.5, temperature=1.0, passes=0),
            llada21(0.4, 0.5, passes=0),
            FOUR_AT_MOST,
        ),
    },
    "sdar": {
        "as published": Case(
            presets.sdar(), sure_or_share(0.9, 4, 4), FOUR_AT_MOST, memory=NOT_BEGUN
        ),
        "half a block at least": Case(
            presets.sdar(0.4, 4, 2), sure_or_share(0.4, 4, 2), FOUR_AT_MOST, memory=NOT_BEGUN
        ),
        "blocks of three, cool": Case(
            presets.sdar(0.7, 3, 2, temperature=0.7),
            sure_or_share(0.7, 3, 2, 0.7),
            FOUR_AT_MOST,
            memory=NOT_BEGUN,
        ),
        "static": Case(
            presets.sdar(None, 4, 3), sure_or_share(None, 4, 3), FOUR_AT_MOST, memory=NOT_BEGUN
        ),
    },
    "llada2": {
        "blocks of two": Case(
            presets.llada2(0.5, 2, 2, temperature=1.0),
            sure_or_share(0.5, 2, 2),
            FOUR_AT_MOST,
            memory=NOT_BEGUN,
        ),
        "one block": Case(
            presets.llada2(0.6, 4, 4, temperature=1.0),
            sure_or_share(0.6, 4, 4),
            FOUR_AT_MOST,
            memory=NOT_BEGUN,
        ),
    },
    "fast_dllm_v2": {
        "sub-blocks of two": Case(
            presets.fast_dllm_v2(0.5, 4, 2, temperature=1.0),
            leading(accepting(strictly_above(0.5), 2, absolute=True), 4),
            FOUR_AT_MOST,
        ),
        "one at a time": Case(presets.fast_dllm_v2(0.5, 2, 2, temperature=1.0), exact=True),
        "one block": Case(
            presets.fast_dllm_v2(0.7, temperature=1.0),
            leading(accepting(strictly_above(0.7), absolute=True), 32),
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
