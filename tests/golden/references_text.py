"""Presets of text and proteins, as their papers state them: see `references`."""

import numpy as np
from tests.golden.references import token_critic
from tests.golden.rules import (
    RATIOS,
    choice_gumbel,
    choose_then_draw,
    commit,
    draw,
    entropy,
    gumbel,
    highest,
    log_softmax,
    margin,
    model,
    nucleus,
    one_group_after_another,
    planned,
    write,
)
from tests.golden.world import VOCAB, uniforms

self_critic = token_critic  # the same rule, its critic a head on the generator's own embeddings


def mask_predict(tokens, editable, seed, steps, ratio, temperature=0.0):
    """The probability of a token is the one it had when it was predicted (1904.09324, 3.2)."""
    tokens, unknown, editable = list(tokens), set(editable), set(editable)
    _, plan = planned(len(unknown), steps, ratio)
    stored = {}
    for s, left in enumerate(plan):
        x = model(tokens, unknown)
        drawn, shaped = draw(x, seed, s, temperature)
        stored |= {i: log_softmax(x[i])[drawn[i]] for i in unknown}
        keep = highest(stored, editable, len(editable) - left)
        step = commit(keep & unknown, drawn, x, shaped)
        step.remasked = editable - keep - unknown
        write(step, tokens, unknown)
        yield step


def ancestral(tokens, editable, seed, steps, ratio, shape, epsilon=0.0):
    """A position is revealed by time t with probability 1 − γ(t), whatever the others do.

    Times that reveal nothing cost nothing. shape: how `draw` draws. epsilon: what the last time is
    short of 1; all is revealed then.
    """
    tokens, unknown, taken = list(tokens), set(editable), 0
    reveal = uniforms(seed, 0, len(tokens), "REVEAL")[:, 0]
    for s in range(1, steps + 1):
        hidden = ratio(s / steps * (1 - epsilon)) if s < steps else 0.0
        chosen = {i for i in unknown if reveal[i] >= hidden}
        if chosen:
            x = model(tokens, unknown)
            drawn, shaped = draw(x, seed, taken, **shape)
            step = commit(chosen, drawn, x, shaped)
            write(step, tokens, unknown)
            taken += 1
            yield step


def mdlm(tokens, editable, seed, steps, ratio, temperature=1.0):
    return ancestral(tokens, editable, seed, steps, ratio, {"temperature": temperature})


def llada(tokens, editable, seed, steps, ratio, block=32, temperature=0.0, ends=None):
    """Block after block, as many positions at each step of a block, the odd ones at its first.

    Blocks are counted from the first position to generate. ends(x, s, total): whether the block is
    filled at once, by the logits of its unknown positions at step s of total.
    """
    start = min(editable, default=0)

    def even(n, group):
        total = min(steps, n)
        counts = [n // total + (s < n % total) for s in range(total)]
        return total, [n - sum(counts[: s + 1]) for s in range(total)]

    tokens, unknown = list(tokens), set(editable)
    plan = list(one_group_after_another(unknown, lambda i: (i - start) // block, even))
    still_open = (turn for turn in plan if turn[0] & unknown)
    for taken, (group, s, total, left) in enumerate(still_open):
        x = model(tokens, unknown)
        drawn, shaped = draw(x, seed, taken, temperature)
        score = {i: log_softmax(x[i])[drawn[i]] for i in group & unknown}
        full = ends and ends([x[i] for i in score], s, total)
        count = len(score) - (0 if full else left)
        step = commit(highest(score, score, count), drawn, x, shaped)
        write(step, tokens, unknown)
        yield step


def prophet(tokens, editable, seed, steps, ratio, early=7.5, middle=5.0, late=2.5, **options):
    """2508.19982: as LLaDA, until the best logit leads the second by enough on average."""

    def ends(x, s, total):
        lead = np.mean([np.sort(row)[-1] - np.sort(row)[-2] for row in x])
        share = (s - 1) / total
        return lead >= (early if share < 1 / 3 else middle if share < 2 / 3 else late)

    options["block"] = options.get("block") or len(tokens)
    return llada(tokens, editable, seed, steps, ratio, ends=ends, **options)


def what_is_left(unknown, steps, epsilon=1e-3):
    """⌊n·(1 − s/t)⌋ of the n unknown at each time t, all at the last; no step takes nothing."""
    times = np.linspace(1, epsilon, steps + 1, dtype=np.float32)
    left, plan = unknown, []
    for i in range(steps):
        share = int(left * (np.float32(1) - times[i + 1] / times[i]))
        count = left if i == steps - 1 else share
        left -= count
        plan += [left] if count else []
    return plan


def kept_by_nucleus(row, temperature, top_p):
    """The logits of what may be drawn."""
    return np.where(nucleus(row / temperature, top_p) > -np.inf, row, -np.inf)


def dream(tokens, editable, seed, steps, ratio, algorithm="origin", **options):
    """2508.15487: four orders, of which `origin` is the ancestral one; scores after the filter."""
    temperature, top_p = options.get("temperature", 0.0), options.get("top_p") or 1.0
    shape = {"temperature": temperature, "top_p": top_p}
    if algorithm == "origin":
        linear = RATIOS["linear"]
        yield from ancestral(tokens, editable, seed, steps, linear, shape, epsilon=1e-3)
        return
    choice = options.get("choice_temperature") or 0.0
    score_of = {
        "maskgit_plus": lambda row, token: np.exp(log_softmax(row)[token]),
        "topk_margin": lambda row, token: margin(row),
        "entropy": lambda row, token: -entropy(row),
    }[algorithm]
    tokens, unknown = list(tokens), set(editable)
    for s, left in enumerate(what_is_left(len(unknown), steps)):
        x = model(tokens, unknown)
        drawn, shaped = draw(x, seed, s, **shape)
        kept = [kept_by_nucleus(row, temperature, top_p) for row in x]
        noise = choice_gumbel(seed, s, len(tokens))
        score = {i: score_of(kept[i], drawn[i]) + choice * noise[i] for i in unknown}
        step = commit(highest(score, unknown, len(unknown) - left), drawn, x, shaped)
        write(step, tokens, unknown)
        yield step


def top_margin(tokens, editable, seed, steps, ratio, choice_temperature=0.0):
    _, plan = planned(len(editable), steps, ratio)

    def score(s, x):
        noise = choice_gumbel(seed, s, len(tokens))
        return [margin(row) + choice_temperature * g for row, g in zip(x, noise, strict=True)]

    return choose_then_draw(tokens, editable, seed, plan, score)


def noised(x, seed, step, temperature):
    """Gumbel noise on every logit, the uniforms by position and id."""
    noise = [uniforms(seed, step, len(x), "NOISE", lane=v)[:, 0] for v in range(VOCAB)]
    return [
        row + temperature * np.array([gumbel(noise[v][i]) for v in range(VOCAB)])
        for i, row in enumerate(x)
    ]


def dplm(tokens, editable, seed, steps, ratio, temperature=1.0, tracks=1):
    """2402.18567: every position has its score from the noised logits, held tokens as well.

    Interleaved tracks run side by side, each by its own plan (2410.13782).
    """
    tokens, unknown, editable = list(tokens), set(editable), set(editable)
    members = [{i for i in editable if i % tracks == track} for track in range(tracks)]
    plans = [planned(len(each), steps, ratio)[1] for each in members]
    for s in range(max(map(len, plans))):
        x = model(tokens, unknown)
        z = noised(x, seed, s, temperature)
        held = [int(np.argmax(z[i])) if i in unknown else t for i, t in enumerate(tokens)]
        score = {i: log_softmax(z[i])[held[i]] for i in editable}
        keep = set()
        for each, plan in zip(members, plans, strict=True):
            keep |= highest(score, each, len(each) - (plan[s] if s < len(plan) else 0))
        # The best of logits + τ·Gumbel is a draw from softmax(logits / τ).
        step = commit(keep & unknown, held, x, [row / temperature for row in x])
        step.remasked = editable - keep - unknown
        write(step, tokens, unknown)
        yield step
