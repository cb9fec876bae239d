"""A canvas drawn anew at each step: the law of DiffusionGemma's sampler."""

import numpy as np
from tests.laws.cases import Case
from tests.laws.plain import negative_entropy
from tests.laws.world import ALL, conditionals, fills, heated, turns

from unmask import presets

NOTHING = (None, None)


def diffusion_gemma(bound, t_max, t_min, confidence):
    """Show random ids but for what is accepted; known in the end: the likeliest of the last step.

    shown: what the network is shown at the step, None before the first. before: the likeliest ids
    of the step before.
    """
    uniform = np.full((4, 3), 1 / 3)

    def rule(turn, canvas, shown, before):
        if shown is None:
            for f, first in fills(canvas, ALL, uniform):
                yield from ((f * g, *rest) for g, *rest in rule(turn, canvas, first, before))
            return
        p = conditionals(shown)
        q = heated(p, t_min + (t_max - t_min) * (turn.of - turn.s + 1) / turn.of)
        h = [-negative_entropy(q[i], i) for i in range(4)]
        likeliest = tuple(p.argmax(1).tolist())
        if turn.s == turn.of or (likeliest == before and sum(h) / 4 < confidence):
            yield 1.0, likeliest, *NOTHING
            return
        accepted, spent = np.zeros(4, bool), 0.0
        for i in sorted(range(4), key=lambda i: (h[i], i)):
            accepted[i] = spent <= bound
            spent += h[i]
        for f, after in fills(canvas, ALL, np.where(accepted[:, None], q, uniform)):
            yield f, canvas, after, likeliest

    return rule


def case(steps, bound, t_max=0.8, t_min=0.4, confidence=0.005):
    options = {"bound": bound, "t_max": t_max, "t_min": t_min, "confidence": confidence}
    strategy = presets.diffusion_gemma(steps, **options)
    return Case(strategy, diffusion_gemma(**options), turns([0] * steps), memory=NOTHING)


LAWS = {
    "diffusion_gemma": {
        "T=1": case(1, 0.1),
        "T=3": case(3, 0.1),
        "T=2, high bound, hot": case(2, 3.0, 1.5, 1.0),
        "T=4, until it is calm": case(4, 2.0, confidence=0.8),
    },
}
