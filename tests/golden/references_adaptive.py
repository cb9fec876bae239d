"""Presets that commit as many positions as their rule accepts: see `references`.

None has a plan, so steps and ratio are not read. A rule that accepts nothing commits one position.
"""

import numpy as np
from tests.golden.rules import (
    commit,
    draw,
    entropy,
    highest,
    log_softmax,
    model,
    write,
)
from tests.golden.world import VOCAB


def open_block(unknown, block, start=0):
    """The unknown positions of the first block that has one, counted from `start`."""
    first = min((i - start) // block for i in unknown)
    return {i for i in unknown if (i - start) // block == first}


def accepting(tokens, editable, seed, block, temperature, rule, start=None):
    """Commit what the rule accepts of the open block, or else the likeliest draw in it.

    rule(p, x) -> the positions accepted: p the model's probability of each draw of the open block,
    x the logits of every unknown position of the row. start: where blocks are counted from, the
    first position to generate if none is given.
    """
    start = min(editable, default=0) if start is None else start
    tokens, unknown, s = list(tokens), set(editable), 0
    while unknown:
        x = model(tokens, unknown)
        drawn, shaped = draw(x, seed, s, temperature)
        inside = open_block(unknown, block, start)
        p = {i: np.exp(log_softmax(x[i])[drawn[i]]) for i in inside}
        chosen = rule(p, {i: x[i] for i in unknown}) or highest(p, inside, 1)
        step = commit(chosen, drawn, x, shaped)
        write(step, tokens, unknown)
        s += 1
        yield step


def threshold(tokens, editable, seed, steps, ratio, threshold=0.9, block=32, temperature=0.0):
    """2505.22618, Algorithm 1 with a threshold."""

    def rule(p, x):
        return {i for i in p if p[i] >= threshold}

    return accepting(tokens, editable, seed, block, temperature, rule)


def factor(tokens, editable, seed, steps, ratio, factor=1.0, block=32, temperature=0.0):
    """2505.22618: the largest k with (k + 1)(1 − c₍k₎) < f."""

    def rule(p, x):
        ranked = sorted(p, key=lambda i: (-p[i], i))
        passing = [k for k, i in enumerate(ranked, 1) if (k + 1) * (1 - p[i]) < factor]
        return set(ranked[: max(passing, default=1)])

    return accepting(tokens, editable, seed, block, temperature, rule)


def frechet_profile(tokens, editable, seed, steps, ratio, delta=0.25, block=32, temperature=0.0):
    """2606.02955: the largest n with (Σ₁ⁿc − (n − 1)) − (1 − c₍n₎) > δ."""

    def rule(p, x):
        ranked = sorted(p, key=lambda i: (-p[i], i))
        c = [p[i] for i in ranked]
        numbers = range(1, len(c) + 1)
        passing = [n for n in numbers if sum(c[:n]) - (n - 1) - (1 - c[n - 1]) > delta]
        return set(ranked[: max(passing, default=1)])

    return accepting(tokens, editable, seed, block, temperature, rule)


def local_leap(tokens, editable, seed, steps, ratio, threshold=0.9, low=0.75, radius=4, **options):
    """2510.07081: anchors, and what is near one and nearly as sure."""

    def rule(p, x):
        anchors = {i for i in p if p[i] >= threshold}
        return {
            i
            for i in p
            if p[i] >= threshold
            or (p[i] >= low and any(abs(i - anchor) <= radius for anchor in anchors))
        }

    return accepting(tokens, editable, seed, rule=rule, **{"block": 32, "temperature": 0} | options)


def runs_of(places):
    """Places in runs of neighbours."""
    runs = []
    for i in sorted(places):
        if runs and runs[-1][-1] == i - 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    return runs


def hierarchy(tokens, editable, seed, steps, ratio, threshold=0.9, low=0.4, **options):
    """2510.08666: the surest of every run if it is sure enough, and all that are sure."""

    def rule(p, x):
        surest = {max(run, key=lambda i: (p[i], -i)) for run in runs_of(p)}
        return {i for i in p if p[i] > threshold or (i in surest and p[i] > low)}

    return accepting(tokens, editable, seed, rule=rule, **{"block": 32, "temperature": 0} | options)


def adablock(tokens, editable, seed, steps, ratio, delimiters, **options):
    """2509.26432: a threshold in blocks that end behind the surest delimiter, if it is sure."""
    usual = {"delimiter_threshold": 0.3, "threshold": 0.9, "block": 32, "window": 0.25}
    usual |= {"temperature": 0.0} | options
    tokens, unknown, s, end = list(tokens), set(editable), 0, 0
    while unknown:
        x = model(tokens, unknown)
        drawn, shaped = draw(x, seed, s, usual["temperature"])
        p = {i: np.exp(log_softmax(x[i])[drawn[i]]) for i in unknown}
        start = min(unknown)
        if start >= end:
            ahead = start + int(usual["window"] * len(editable))
            ends = {i for i in p if i < ahead and drawn[i] in delimiters}
            ends = {i for i in ends if p[i] >= usual["delimiter_threshold"]}
            end = min(highest(p, ends, 1)) + 1 if ends else start + usual["block"]
        inside = {i for i in p if i < end}
        chosen = {i for i in inside if p[i] >= usual["threshold"]} or highest(p, inside, 1)
        step = commit(chosen, drawn, x, shaped)
        write(step, tokens, unknown)
        s += 1
        yield step


def credit(tokens, editable, seed, steps, ratio, threshold=0.9, **options):
    """2510.06133: C fades, grows at the likeliest id, and log(1 + C) is added before the draw."""
    block, temperature = options.get("block", 32), options.get("temperature", 0.0)
    alpha, gamma, beta = (
        options.get(*each) for each in [("alpha", 0.7), ("gamma", 0.2), ("beta", 0.8)]
    )
    tokens, unknown, s = list(tokens), set(editable), 0
    credits = np.zeros((len(tokens), VOCAB))
    while unknown:
        x = model(tokens, unknown)
        inside = open_block(unknown, block, min(editable))
        for i in inside:
            credits[i] *= beta
            credits[i, np.argmax(x[i])] += np.exp(log_softmax(x[i]).max()) ** gamma
        fused = [row + alpha * np.log1p(c) for row, c in zip(x, credits, strict=True)]
        drawn, shaped = draw(fused, seed, s, temperature)
        p = {i: np.exp(log_softmax(fused[i])[drawn[i]]) for i in inside}
        chosen = {i for i in p if p[i] >= threshold} or highest(p, p, 1)
        step = commit(chosen, drawn, x, shaped)
        write(step, tokens, unknown)
        s += 1
        yield step


def token_to_mask(tokens, editable, seed, steps, ratio, by="probability", **options):
    """2605.26436: fill what is sure; what is doubted of the block's tokens is unknown again."""
    bound = options.get("doubt") or {"probability": 0.5, "rival": 0.9, "change": 0.3}[by]
    fill, share, times = (options.get(*x) for x in [("fill", 0.7), ("share", 0.25), ("times", 3)])
    block, temperature = options.get("block", 32), options.get("temperature", 0.0)
    tokens, unknown, taken = list(tokens), set(editable), 0
    often, before, opened, s = dict.fromkeys(editable, 0), {}, None, 0
    while unknown:
        here = min(unknown) // block
        opened, s = here, (s + 1 if here == opened else 1)
        inside = {i for i in editable if i // block == here}
        x = model(tokens, unknown)
        drawn, shaped = draw(x, seed, taken, temperature)
        running, last = inside & unknown, s == len(inside)
        token = {i: drawn[i] if i in running else tokens[i] for i in inside}
        p = {i: np.exp(log_softmax(x[i])[token[i]]) for i in inside}
        doubt = {}
        for i in inside - running:
            top = np.exp(log_softmax(x[i]).max())
            if by == "probability" and p[i] < bound:
                doubt[i] = -p[i]
            if by == "rival" and top > bound and np.argmax(x[i]) != tokens[i]:
                doubt[i] = top
            if by == "change" and abs(p[i] - before[i]) > bound:
                doubt[i] = abs(p[i] - before[i])
        sure = {i for i in running if p[i] > fill} or highest(p, running, 1)
        step = commit(running if last else sure, drawn, x, shaped)
        may = [i for i in doubt if often[i] < times]
        most = max(1, int(len(inside - running) * share))
        step.remasked = set() if last else highest(doubt, may, most)
        for i in step.remasked:
            often[i] += 1
        write(step, tokens, unknown)
        before, taken = before | p, taken + 1
        yield step


def entropy_bound(tokens, editable, seed, steps, ratio, bound=0.1, temperature=1.0):
    """2505.24857: the largest set, most certain first, with ΣH − max H ≤ γ."""

    def rule(p, x):
        h = {i: entropy(row) for i, row in x.items()}
        ranked = sorted(h, key=lambda i: (h[i], i))
        prefixes = [[h[i] for i in ranked[:k]] for k in range(1, len(ranked) + 1)]
        within = [len(each) for each in prefixes if sum(each) - max(each) <= bound]
        return set(ranked[: max(within)])

    return accepting(tokens, editable, seed, len(tokens), temperature, rule)


def fast_dllm_v2(
    tokens, editable, seed, steps, ratio, threshold=0.9, block=32, sub_block=8, temperature=0.0
):
    """2509.26328: the first of a block alone, then strictly above the threshold in sub-blocks."""
    tokens, unknown, s = list(tokens), set(editable), 0
    while unknown:
        x = model(tokens, unknown)
        drawn, shaped = draw(x, seed, s, temperature)
        first = min(unknown)
        inside = {first} if first % block == 0 else open_block(unknown, sub_block)
        p = {i: np.exp(log_softmax(x[i])[drawn[i]]) for i in inside}
        chosen = {i for i in p if p[i] > threshold} or highest(p, inside, 1)
        step = commit(chosen, drawn, x, shaped)
        write(step, tokens, unknown)
        s += 1
        yield step


def sdar(tokens, editable, seed, steps, ratio, threshold=0.9, block=4, temperature=1.0, **options):
    """2510.06303: what is sure if it makes up the step's share of a whole block, or the share.

    Sure by the distribution drawn from; greedily, by the model's.
    """
    tokens, unknown, taken = list(tokens), set(editable), 0
    while unknown:
        opened, s = open_block(unknown, block), 0
        while opened & unknown:
            share = block // steps + (s < block % steps)
            x = model(tokens, unknown)
            drawn, shaped = draw(x, seed, taken, temperature)
            by = shaped if temperature > 0 else x
            p = {i: np.exp(log_softmax(by[i])[drawn[i]]) for i in opened & unknown}
            sure = {i for i in p if threshold is not None and p[i] > threshold}
            chosen = sure if len(sure) >= share else highest(p, p, share)
            step = commit(chosen, drawn, x, shaped)
            write(step, tokens, unknown)
            s, taken = s + 1, taken + 1
            yield step


def llada2(tokens, editable, seed, steps, ratio, threshold=0.95, block=32, temperature=0.0):
    return sdar(tokens, editable, seed, steps, ratio, threshold, block, temperature)


def divergence_of(now, before):
    """KL(now ‖ before) in nats, both logits."""
    p, q = log_softmax(now), log_softmax(before)
    return sum(np.exp(a) * (a - b) for a, b in zip(p, q, strict=True) if a > -np.inf)


def klass(tokens, editable, seed, steps, ratio, threshold=0.9, **options):
    """2511.05664: sure of the token, and of the same distribution for some steps of its block."""
    least, divergence = threshold, options.get("divergence", 0.001)
    past, history, opened = [], options.get("history", 2), []
    block, temperature = options.get("block", 32), options.get("temperature", 0.0)

    def rule(p, x):
        here = (min(p) - min(editable)) // block
        if opened != [here]:
            opened[:] = [here]
            past.clear()
        past.append(x)
        recent = past[-history - 1 :]
        if len(recent) <= history:
            return set()
        pairs = list(zip(recent[1:], recent[:-1], strict=True))
        return {
            i
            for i in p
            if p[i] > least
            and all(divergence_of(now[i], before[i]) < divergence for now, before in pairs)
        }

    return accepting(tokens, editable, seed, block, temperature, rule)
