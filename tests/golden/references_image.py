"""Presets of images, and of tracks and levels that follow one another: see `references`."""

from fractions import Fraction

from tests.golden.rules import (
    choice_gumbel,
    choose_then_draw,
    commit,
    draw,
    entropy,
    guided,
    highest,
    log_softmax,
    model,
    one_group_after_another,
    planned,
    write,
)
from tests.golden.world import uniforms


def maskgit_with(tokens, editable, seed, steps, ratio, scale_of, told, weight_of):
    """MaskGIT's rule (2202.04200) with noise and guidance by step: scale_of(s, T), weight_of."""
    tokens, unknown = list(tokens), set(editable)
    total, plan = planned(len(unknown), steps, ratio)
    for s, left in enumerate(plan, 1):
        x = guided(tokens, unknown, told, weight_of(s, total))
        step = likeliest(x, unknown, seed, s - 1, left, scale_of(s, total))
        write(step, tokens, unknown)
        yield step


def likeliest(x, inside, seed, taken, left, scale):
    """Commit all but `left` of the positions inside, by log p(x̂) + scale·Gumbel."""
    drawn, shaped = draw(x, seed, taken)
    noise = choice_gumbel(seed, taken, len(x))
    score = {i: log_softmax(x[i])[drawn[i]] + scale * noise[i] for i in inside}
    return commit(highest(score, inside, len(inside) - left), drawn, x, shaped)


def muse(tokens, editable, seed, steps, ratio, told=None, guidance=None):
    """2301.00704: the guidance rises linearly, to its full weight at the last step."""

    def scale(s, total):
        return 4.5 * (1 - s / total)

    def weight(s, total):
        return (guidance or 0) * s / total

    return maskgit_with(tokens, editable, seed, steps, ratio, scale, told, weight)


def amused(tokens, editable, seed, steps, ratio, told=None, guidance=None):
    """2401.01808: noise from 2 at the first step to 0 at the last, the same guidance at each."""

    def scale(s, total):
        return 2.0 * (total - s) / (total - 1) if total > 1 else 2.0

    return maskgit_with(
        tokens, editable, seed, steps, ratio, scale, told, lambda s, total: guidance
    )


def radical_inverse(n, base):
    """The digits of n mirrored behind the point."""
    value, weight = Fraction(0), Fraction(1, base)
    while n:
        n, digit = divmod(n, base)
        value, weight = value + digit * weight, weight / base
    return value


def halton(tokens, editable, seed, steps, ratio, height, width):
    """2503.17076, Algorithm 1: a cell's turn is when a Halton point (2, 3) first falls in it."""
    rank, n = {}, 0
    while len(rank) < height * width:
        n += 1
        cell = int(radical_inverse(n, 2) * height) * width + int(radical_inverse(n, 3) * width)
        rank.setdefault(cell, len(rank))
    _, plan = planned(len(editable), steps, ratio)
    return choose_then_draw(
        tokens, editable, seed, plan, lambda s, x: [-rank[i] for i in range(len(tokens))]
    )


def esm3(tokens, editable, seed, steps, ratio, order="random", temperature=1.0, tracks=1):
    """One track after another, random or most certain positions, colder from step to step."""

    def plan_of(n, track):
        return planned(n, steps, ratio, rounding=0.1)

    tokens, unknown = list(tokens), set(editable)
    plan = list(one_group_after_another(unknown, lambda i: i % tracks, plan_of))
    for taken, (track, s, total, left) in enumerate(plan):
        fall = (s - 1) / (total - 1) if total > 1 else 0.0
        x = model(tokens, unknown)
        drawn, shaped = draw(x, seed, taken, max(temperature - fall, 0.001) ** 2)
        if order == "random":
            score = uniforms(seed, taken, len(tokens), "ORDER")[:, 0]
        else:
            score = [-entropy(row) for row in x]
        inside = track & unknown
        step = commit(highest(score, inside, len(inside) - left), drawn, x, shaped)
        write(step, tokens, unknown)
        yield step


def soundstorm(tokens, editable, seed, steps, ratio, levels=4, later_steps=1, **options):
    """2305.09636: codebook level after level, MaskGIT's rule within each."""
    scale = options.get("choice_temperature", 4.5)

    def plan_of(n, level):
        return planned(n, later_steps if level else steps, ratio)

    tokens, unknown = list(tokens), set(editable)
    plan = list(one_group_after_another(unknown, lambda i: i % levels, plan_of))
    for taken, (level, s, total, left) in enumerate(plan):
        x = model(tokens, unknown)
        step = likeliest(x, level & unknown, seed, taken, left, scale * (1 - s / total))
        write(step, tokens, unknown)
        yield step
