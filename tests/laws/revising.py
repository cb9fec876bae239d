"""Committed tokens on trial: laws of critics, P2, ReMDM and DPLM."""

import math
from itertools import product

import numpy as np
import torch
from tests.laws.cases import ROWS, Case
from tests.laws.plain import draw_then_choose
from tests.laws.text import coins, falling, linear
from tests.laws.world import (
    ALL,
    ONE_AT_A_TIME,
    UNKNOWN,
    conditionals,
    fills,
    heated,
    only,
    picked,
    turns,
    unknown_in,
)

from unmask import presets

WRONG = np.random.default_rng(5).normal(size=(3, 3, 3, 3, 4)) * 1.5


def critic(tokens, *, valid, condition):
    """A deterministic critic: a table over all 81 sequences."""
    a, b, c, d = tokens.unbind(1)
    return torch.from_numpy(WRONG)[a, b, c, d]


def criticised(scale, remask=True):
    """2209.04439, Algorithm 2: fill all, keep what looks least wrong, with fading noise."""

    def rule(turn, canvas):
        open_ = unknown_in(canvas)
        running = turn.editable if remask else open_
        for f, filled in fills(canvas, open_, conditionals(canvas)):
            scores = {i: -WRONG[filled][i] for i in running}
            count = len(running - open_) + turn.count
            for q, chosen in picked(scores, count, scale * (1 - turn.r)):
                yield f * q, only(filled, chosen | (ALL - running - open_))

    return rule


def p2(eta, temperature=1.0):
    """2502.03540: drawn and held tokens compete, the held ones' log-probabilities times eta."""
    return draw_then_choose(shaped=lambda p, turn: heated(p, temperature), remask=True, held=eta)


# --- ReMDM -----------------------------------------------------------------------------------


def looping(r):
    """The share known: 0.9 from r = 0.45 to 0.95."""
    if r <= 0.45:
        return 0.9 * r / 0.45
    return 0.9 if r <= 0.95 else 0.9 + 0.1 * (r - 0.95) / 0.05


def taken_back(variant, eta, a, b, held, doubt=-1):
    """(σ of each position in held, σ of the unknown ones): 2503.00307, section 4.

    held: position -> the probability of its token when it was committed. doubt: the sign of the
    softmax over them.
    """
    most = min(1.0, (1 - b) / a) if a > 0 else 1.0
    if variant == "confidence":
        weight = {i: math.exp(doubt * p) for i, p in held.items()}
        return {i: most * w / sum(weight.values()) for i, w in weight.items()}, 0.0
    resting = variant != "loop" or (a == b == 0.9)
    rate = (eta * most if variant == "rescale" else min(eta, most)) * resting
    return dict.fromkeys(held, rate), rate


def remdm(variant, eta, ratio=linear, temperature=1.0, doubt=-1):
    """2503.00307, equation 7: every position known or unknown by a coin of its own."""

    def known_at(r):
        return looping(r) if variant == "loop" else 1 - ratio(r)

    def rule(turn, canvas, stored=None):
        a, b, p = known_at((turn.s - 1) / turn.of), known_at(turn.r), conditionals(canvas)
        held = {i: stored[i] if stored else 0.0 for i in ALL - unknown_in(canvas)}
        lose, slack = taken_back(variant, eta, a, b, held, doubt)
        gain = (b - (1 - slack) * a) / (1 - a)
        if turn.s == turn.of:
            gain, lose = 1.0, dict.fromkeys(held, 0.0)
        drawn = heated(p, temperature)
        outcomes = [
            [(1 - lose[i], token), (lose[i], UNKNOWN)]
            if i in held
            else [(1 - gain, UNKNOWN), *((gain * drawn[i, v], v) for v in range(3))]
            for i, token in enumerate(canvas)
        ]
        for chance, after in coins(canvas, outcomes):
            if stored is None:
                yield chance, after
            elif chance > 0:
                yield chance, after, remembered(canvas, after, stored, p)

    return rule


def remembered(before, after, stored, p):
    """The probability of each known token when it was committed."""
    return tuple(
        0.0 if after[i] == UNKNOWN else float(p[i, after[i]]) if before[i] == UNKNOWN else stored[i]
        for i in range(4)
    )


def remdm_case(steps, variant, eta=0.02, temperature=1.0, schedule="linear", rows=ROWS):
    ratio = {"linear": linear, "cosine": falling}[schedule]
    stored = ((0.0,) * 4,) if variant == "confidence" else ()
    return Case(
        presets.remdm(steps, schedule, variant, eta, temperature),
        remdm(variant, eta, ratio, temperature),
        turns([0] * steps),
        memory=stored,
        whole=True,
        rows=rows,
    )


# --- DPLM: no closed form, so the rule is simulated -------------------------------------------

EVERY_CANVAS = np.array([conditionals(c) for c in product(range(4), repeat=4)])  # (256,4,3)


def dplm(counts, temperature, tracks=1):
    """(rows, generator) -> (4,4,4,4) counts for each step of 2402.18567's rule.

    Logits with Gumbel noise; drawn is the likeliest of them, and every position is scored by the
    log-softmax of the noised logits at the token drawn or held. Interleaved tracks side by side.
    """

    def simulate(rows, random):
        tokens, known = np.full((rows, 4), UNKNOWN), np.zeros((rows, 4), bool)
        stay, seen = 0, []
        for count in counts:
            stay += count
            shown = np.where(known, tokens, UNKNOWN)
            z = np.log(EVERY_CANVAS[shown @ [64, 16, 4, 1]])
            z = z + temperature * random.gumbel(size=z.shape)
            tokens = np.where(known, tokens, z.argmax(2))
            at = np.take_along_axis(z, tokens[..., None], 2)[..., 0]
            score = at - np.log(np.exp(z).sum(2))
            known = np.zeros_like(known)
            for track in range(tracks):
                places = np.arange(track, 4, tracks)
                ranked = places[np.argsort(-score[:, places], 1)]
                np.put_along_axis(known, ranked[:, :stay], True, 1)
            shown = np.where(known, tokens, UNKNOWN) @ [64, 16, 4, 1]
            seen.append(np.bincount(shown, minlength=256).reshape(4, 4, 4, 4))
        return seen

    return simulate


LAWS = {
    "token_critic": {
        "cosine, T=4": Case(
            presets.token_critic(critic, steps=4), criticised(1.0), turns(ONE_AT_A_TIME)
        ),
        "cosine, T=3, loud": Case(
            presets.token_critic(critic, steps=3, noise_scale=3.0),
            criticised(3.0),
            turns((1, 1, 2)),
        ),
        "without noise": Case(
            presets.token_critic(critic, steps=4, noise_scale=0.0),
            criticised(0.0),
            turns(ONE_AT_A_TIME),
        ),
        "without remask": Case(
            presets.token_critic(critic, steps=4, remask=False),
            criticised(1.0, remask=False),
            turns(ONE_AT_A_TIME),
        ),
    },
    "self_critic": {
        "linear, T=3": Case(
            presets.self_critic(critic, steps=3), criticised(1.0), turns((2, 1, 1))
        ),
        "linear, T=3, without remask": Case(
            presets.self_critic(critic, steps=3, remask=False),
            criticised(1.0, remask=False),
            turns((2, 1, 1)),
        ),
    },
    "p2": {
        "eta 1": Case(presets.p2(steps=4), p2(1.0), turns(ONE_AT_A_TIME)),
        "eta 2": Case(presets.p2(steps=4, eta=2.0), p2(2.0), turns(ONE_AT_A_TIME)),
        "eta 1/2, T=3": Case(presets.p2(steps=3, eta=0.5), p2(0.5), turns((2, 1, 1))),
        "eta 0, hot": Case(
            presets.p2(steps=4, eta=0.0, temperature=1.5), p2(0.0, 1.5), turns(ONE_AT_A_TIME)
        ),
    },
    "remdm": {
        "cap": remdm_case(4, "cap", 0.2),
        "cap, cool": remdm_case(4, "cap", 0.6, 0.4),
        "cap, cosine, hot": remdm_case(3, "cap", 0.3, 1.4, "cosine"),
        "rescale, cool": remdm_case(4, "rescale", 0.6, 0.4),
        "confidence": remdm_case(3, "confidence", rows=8 * ROWS),
        "confidence, hot": remdm_case(3, "confidence", temperature=1.4),
        "loop": remdm_case(12, "loop", 0.01),
        "loop, much": remdm_case(8, "loop", 0.9),
    },
    "dplm": {
        "T=4": Case(presets.dplm(steps=4), simulated=dplm(ONE_AT_A_TIME, 1.0)),
        "T=2, cool": Case(presets.dplm(steps=2, temperature=0.5), simulated=dplm((2, 2), 0.5)),
        "two tracks": Case(presets.dplm(steps=2, tracks=2), simulated=dplm((1, 1), 1.0, tracks=2)),
    },
}
