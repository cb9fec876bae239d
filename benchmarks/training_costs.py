"""Which share of a training run goes into samples, held-out rounds and the final figure.

    python benchmarks/training_costs.py [--steps 300] [--images 1000] [--side 28] [--width 64]

Random images of --side × --side pixels with --levels grey levels, from the Python API, a network
of --layers layers of --width. Nothing is learnt; only the clock counts. The goal is a tenth at
most of the whole, from the call of `train` to its return.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch
from _machine import about
from _report import Report, arguments, count, parsed
from _timing import threads

from unmask.data import Corpus, Example, Vocabulary
from unmask.training import Progress, Recipe, train

COLUMNS = ["steps", "whole, s", "measuring, s", "share, %", "rounds", "held-out rows", "samples"]
GOAL = 10.0  # per cent


def corpus(options: argparse.Namespace) -> Corpus:
    """Random images, of which a tenth is held out by `train`."""
    draw = torch.Generator().manual_seed(0)
    length = options.side**2
    pixels = torch.randint(options.levels, (options.images, length), generator=draw)
    everywhere = torch.ones(length, dtype=torch.bool)
    examples = [Example(row, everywhere) for row in pixels]
    return Corpus(examples, Vocabulary.of_ids(options.levels), longest=length)


def measure(report: Report, data: Corpus, options: argparse.Namespace) -> None:
    """Train once, and add a row to the report."""
    recipe = Recipe(
        backbone={
            "model_type": "modernbert",
            "hidden_size": options.width,
            "num_hidden_layers": options.layers,
            "num_attention_heads": 2,
            "intermediate_size": 2 * options.width,
        },
        steps=options.steps,
        batch_size=options.batch,
    )
    seen: list[Progress] = []
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        figures = train(data, Path(folder) / "model", recipe=recipe, report=seen.append)
        whole = time.perf_counter() - begun
    spent = figures["measuring_seconds"]
    rounds = [at for at in seen if at.bound is not None or at.samples is not None]
    samples = sum(len(at.samples) for at in rounds if at.samples is not None)
    report.add(
        options.steps,
        whole,
        spent,
        100 * spent / whole,
        len(rounds),
        figures["held_out_examples"],
        samples,
    )


def main() -> None:
    parser = arguments(argparse.ArgumentParser(description=__doc__), repeats=1)
    parser.add_argument("--steps", type=count, default=300)
    parser.add_argument("--images", type=count, default=1000)
    parser.add_argument("--side", type=count, default=28)
    parser.add_argument("--levels", type=count, default=16)
    parser.add_argument("--batch", type=count, default=16)
    parser.add_argument("--width", type=count, default=64)
    parser.add_argument("--layers", type=count, default=2)
    options = parsed(parser, steps=3, images=20, side=4, width=16, layers=1, batch=2)
    threads(options.threads)
    title = f"{options.steps} steps on {options.images} images of {options.side}×{options.side}"
    report = Report("training_costs", about("transformers"), COLUMNS, title)
    measure(report, corpus(options), options)
    share = report.rows[0]["share, %"]
    report.note(f"goal: measuring takes at most {GOAL:g} % of the run; it takes {share:.2g} %")
    report.finish(options)


if __name__ == "__main__":
    main()
