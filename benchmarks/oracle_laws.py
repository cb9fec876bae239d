"""How far every sampler is from the truth, on networks that know the truth.

    python benchmarks/oracle_laws.py [--rows 50000] [--chains 2000] [--others 500] [--json]

On a joint of 3**4 sequences: the total variation between the truth and a sampler's law, which
`tests/laws` enumerates from the rule of its paper, and between the truth and what the library
samples. On a Markov chain of 8 states and length 32: KL of the generated bigrams to the true ones,
and the mean negative log-likelihood, by which a sampler that has collapsed looks best. Then laws in
closed form: permutations and parity. Nothing is learnt or timed, and every figure depends on the
seeds alone. The reference figures are those of a prototype on a joint and a chain made alike.
"""

from __future__ import annotations

import argparse
import inspect
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _machine import about
from _report import parsed

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the laws are those of the tests
from tests.laws.cases import generated
from tests.laws.chain import LENGTH, MARKOV, bigram_kl, nats, true_nats
from tests.laws.every import LAWS
from tests.laws.plain import (
    choose_then_draw,
    draw_then_choose,
    in_order,
    largest_probability,
    random_order,
)
from tests.laws.text import ancestral
from tests.laws.world import JOINT, ONE_AT_A_TIME, distance, law_of, turns
from tests.reference.oracles import ParityOracle, PermutationOracle

import unmask
from unmask import Sampling, Strategy, orders, presets

STEPS = (4, 8, 16, 32)
Rows = list[dict[str, Any]]

# Strategy, rule, counts of each step, and the figure of the reference.
PUBLISHED = [
    ("random order, one a step", presets.random_order(4), random_order(), ONE_AT_A_TIME, 0.0),
    (
        "scored by the state, one a step",
        presets.confidence(4),
        choose_then_draw(largest_probability),
        ONE_AT_A_TIME,
        0.0,
    ),
    (
        "drawn, then chosen, one a step",
        presets.maskgit(4, choice_temperature=0),
        draw_then_choose(),
        ONE_AT_A_TIME,
        0.387,
    ),
    ("random order [2,1,1]", presets.random_order(3), random_order(), (2, 1, 1), 0.140),
    ("random order [2,2]", presets.random_order(2), random_order(), (2, 2), 0.247),
    ("random order [4]", presets.random_order(1), random_order(), (4,), 0.618),
    *(
        (f"ancestral T={steps}", presets.mdlm(steps), ancestral(), [0] * steps, figure)
        for steps, figure in ((4, 0.207), (16, 0.057), (64, 0.014), (256, 0.0036))
    ),
]
# KL of the reference at 4, 8, 16 and 32 steps.
ON_THE_CHAIN = {
    "random_order": (presets.random_order, {}, (0.058, 0.016, 0.0035, 0.0002)),
    "mdlm": (presets.mdlm, {}, (0.067, 0.024, 0.008, 0.0031)),
    "confidence": (presets.confidence, {}, (0.153, 0.073, 0.021, 0.0004)),
    "maskgit, no noise": (presets.maskgit, {"choice_temperature": 0}, (0.625, 1.15, 1.36, 1.61)),
    "maskgit, noise 4.5": (presets.maskgit, {}, (0.046, 0.025, 0.037, 0.064)),
}
SHOWN = ("random_order", "mdlm", "confidence", "maskgit")
NEEDED: dict[str, Any] = {"height": 4, "width": 8, "levels": 2, "block": 16}


def published(rows: int) -> Rows:
    return [
        {
            "sampler": name,
            "law": distance(law_of(rule, turns(counts))),
            "sampled": sampled(strategy, rows),
            "reference": figure,
        }
        for name, strategy, rule, counts, figure in PUBLISHED
    ]


def sampled(strategy: Strategy, rows: int) -> float:
    counts = generated(strategy, rows=rows)
    return distance(counts / counts.sum())


def noise(rows: int) -> float:
    """The total variation to expect of samples of the truth itself."""
    return float(np.sqrt(JOINT * (1 - JOINT) / (2 * math.pi * rows)).sum())


def every_preset(rows: int) -> Rows:
    """The variants that the tests hold against their laws."""
    return [
        {
            "sampler": f"{name}: {variant}",
            "law": distance(case.law),
            "sampled": sampled(case.strategy, rows),
        }
        for name in presets.__all__
        for variant, case in LAWS[name].items()
    ]


def chains_of(strategy: Strategy, rows: int) -> dict[str, float]:
    denoiser = unmask.wrap(MARKOV, mask_id=MARKOV.mask_id)
    made = unmask.run(denoiser, unmask.Canvas.blank(rows, LENGTH), strategy, seed=1)
    forwards = float(made.forwards.double().mean())
    return {"forwards": forwards, "kl": bigram_kl(made.tokens), "nats": nats(made.tokens)}


def chance(rows: int) -> str:
    """The KL to expect of chains of the truth itself: 63 free bigrams, 31 of them a chain."""
    return f"{63 / (2 * (LENGTH - 1) * rows):.4f}"


def on_the_chain(rows: int) -> Rows:
    return [
        {
            "sampler": name,
            "steps": steps,
            **chains_of(preset(steps, "linear", **options), rows),
            "reference": figure,
        }
        for name, (preset, options, reference) in ON_THE_CHAIN.items()
        for steps, figure in zip(STEPS, reference, strict=True)
    ]


def others_on_the_chain(rows: int) -> Rows:
    """All else as published, but for draws: as the model says, at temperature 1."""
    table = []
    for name in presets.__all__:
        make = getattr(presets, name)
        known = inspect.signature(make).parameters
        if name in SHOWN or "critic" in known:
            continue
        options = {key: value for key, value in NEEDED.items() if key in known}
        steps = STEPS if "steps" in known else (None,)
        for t in steps:
            if t is not None and t > options.get("block", t):
                continue  # steps of a block, which has no more positions
            strategy = make(**options) if t is None else make(steps=t, **options)
            strategy = strategy.but(sampling=Sampling(gumbel=strategy.sampling.gumbel))
            table.append({"sampler": name, "steps": t, **chains_of(strategy, rows)})
    return table


def closed_forms(rows: int) -> Rows:
    """How many samples are valid, and how many would be."""
    table = []
    for n in (2, 3, 4, 5):
        tokens = all_of(PermutationOracle(n), presets.random_order(1), rows)
        valid = (tokens.sort(1).values == torch.arange(n)).all(1)
        table.append(
            {
                "law": f"permutation of {n} in one step",
                "valid": float(valid.double().mean()),
                "truth": math.factorial(n) / n**n,
            }
        )
    for counts in ((4, 1), (2, 2, 1), (5,), (3, 2)):
        tokens = all_of(ParityOracle(3, 5), in_order(orders.Random(), counts), rows)
        table.append(
            {
                "law": f"parity of five modulo 3, {list(counts)}",
                "valid": float((tokens.sum(1) % 3 == 0).double().mean()),
                "truth": 1.0 if counts[-1] == 1 else 1 / 3,
            }
        )
    return table


def all_of(oracle: Any, strategy: Strategy, rows: int) -> torch.Tensor:
    denoiser = unmask.wrap(oracle, mask_id=oracle.mask_id)
    return unmask.generate(
        denoiser, strategy=strategy, batch_size=rows, length=oracle.length, seed=2
    )


def shown(table: Rows, width: int = 46) -> None:
    """A table, its columns the keys of the first row."""
    names = list(table[0])
    print(f"{names[0]:<{width}}" + "".join(f"{name:>11}" for name in names[1:]))
    for row in table:
        cells = [row[name] for name in names]
        print(f"{cells[0]:<{width}}" + "".join(f"{number(cell):>11}" for cell in cells[1:]))
    print()


def number(cell: float | None) -> str:
    if cell is None:
        return "–"
    return str(cell) if isinstance(cell, int) else f"{cell:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000, help="samples of each law")
    parser.add_argument("--chains", type=int, default=2000, help="chains of each method")
    parser.add_argument("--others", type=int, default=500, help="chains of the other presets")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--quick", action="store_true", help="few samples: does it run?")
    options = parsed(parser, rows=500, chains=20, others=5)
    torch.set_num_threads(1)
    result = {
        "joint": published(options.rows),
        "presets": every_preset(options.rows),
        "chain": on_the_chain(options.chains),
        "other presets on the chain": others_on_the_chain(options.others),
        "closed forms": closed_forms(options.rows),
    }
    if options.json:
        print(json.dumps({"machine": about(), **result}, indent=2))
        return
    print(about("numpy"))
    print(f"\n3^4 joint: total variation to the truth; {options.rows} samples of the truth itself")
    print(f"would be {noise(options.rows):.4f} from it\n")
    shown(result["joint"])
    print("the same of every preset, as the tests hold it against its law\n")
    shown(result["presets"])
    print(f"Markov chain: bigram KL in nats, {chance(options.chains)} of it noise; likelihood of")
    print(f"the truth {true_nats():.3f} (reference: 1.303, and .659 for maskgit without noise)\n")
    shown(result["chain"], 22)
    print(
        f"the other presets, {chance(options.others)} of it noise; –: without a number of steps\n"
    )
    shown(result["other presets on the chain"], 22)
    shown(result["closed forms"])


if __name__ == "__main__":
    main()
