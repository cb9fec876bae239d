"""The preset that draws a whole canvas anew at each step: see `references`."""

import numpy as np
from tests.golden.references_adaptive import open_block
from tests.golden.rules import Step, allowed, draw, entropy, log_softmax, write
from tests.golden.world import MASK, VOCAB, logits, uniforms

DATA = [i for i in range(VOCAB) if i != MASK]


def diffusion_gemma(tokens, editable, seed, steps, ratio, block=256, bound=0.1, **options):
    """transformers' DiffusionGemma: what is accepted of a canvas is shown, the rest is random ids.

    The canvas of the last step's likeliest ids is what is known in the end.
    """
    tokens, unknown, s = list(tokens), set(editable), 0
    t_max, t_min = options.get("t_max", 0.8), options.get("t_min", 0.4)
    start = min(editable, default=0)
    while unknown:
        opened, accepted, past = open_block(unknown, block, start), {}, []
        for left in range(steps, 0, -1):
            fresh = [
                DATA[int(u * len(DATA))] for u, _ in uniforms(seed, s, len(tokens), "NOISE_IDS")
            ]
            shown = [
                accepted.get(i, fresh[i]) if i in unknown else token
                for i, token in enumerate(tokens)
            ]
            x = [allowed(row) for row in logits(shown)]
            drawn, shaped = draw(x, seed, s, t_min + (t_max - t_min) * left / steps)
            accepted = cheapest(bound, {i: entropy(shaped[i]) for i in opened}, drawn)
            past.append({i: int(np.argmax(x[i])) for i in opened})
            calm = past[-1 - options.get("stability", 1) :]
            calm = len(calm) > options.get("stability", 1) and all(each == calm[0] for each in calm)
            mean = np.mean([entropy(shaped[i]) for i in opened])
            last = left == 1 or (calm and mean < options.get("confidence", 0.005))
            said = past[-1] if last else {}
            logprob = {i: log_softmax(x[i])[token] for i, token in said.items()}
            step = Step(said, set(), logprob, dict.fromkeys(said, 0.0))
            s += 1
            write(step, tokens, unknown)
            yield step
            if last:
                break


def cheapest(bound, h, drawn):
    """The draws of least entropy, of which all but the last cost at most `bound` together."""
    accepted, spent = {}, 0.0
    for i in sorted(h, key=lambda i: (h[i], i)):
        if spent > bound:
            break
        accepted[i] = drawn[i]
        spent += h[i]
    return accepted
