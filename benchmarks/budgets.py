"""What a budget of time buys: `unmask train --budget`, its time and its bound.

    python benchmarks/budgets.py --text FILE [--budgets 1m 2m 5m 10m] [--beside] [--work FOLDER]

The command itself is run, as a user runs it, and its clock is that of the whole command, reading
and the last figure included. On the text (BPE of 4,096 ids, windows of 128) each budget is run; on
8×8 digits and on names, one a line, the longest one. With --beside each model of the text has a
left-to-right one beside it, of equal size and compute, as in text.py. With --work, what is trained
already is not trained again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _machine import about
from _report import Report, parsed
from _report import arguments as taken
from names import names

from text import begun, bits, causal, causal_nats, windows
from unmask.data import read
from unmask.models.checkpoint import read_card
from unmask.training.planning import TrainingBudget

TEXT = ("--set", "data.tokenizer=bpe:4096", "--set", "data.length=128")


def trained(folder: Path, data: Path, budget: str, *options: str) -> float:
    """Run the command; return its seconds."""
    clock = folder.with_suffix(".json")
    if clock.exists():
        return float(json.loads(clock.read_text()))
    command = (sys.executable, "-m", "unmask", "train", "--data", str(data), "--budget", budget)
    start = time.perf_counter()
    subprocess.run((*command, *options, "--out", str(folder), "--overwrite"), check=True)
    taken = time.perf_counter() - start
    clock.write_text(json.dumps(taken))
    return taken


def row_of(folder: Path, name: str, budget: str, taken: float) -> list[Any]:
    """The row of a trained model, as its card says it."""
    card = read_card(folder)
    recipe, figures = card.about["recipe"], card.about["figures"]
    shape, seconds = recipe["backbone"], TrainingBudget.of(budget).seconds or 1
    bound, unit = figures["bits_per_token"], "token"
    if "bits_per_character" in figures:
        bound, unit = figures["bits_per_character"], "character"
    return [
        f"{name}, {budget}",
        f"{taken:.0f} s, {taken / seconds:.3f}",
        f"{shape['hidden_size']} wide, {shape['num_hidden_layers']} layers",
        f"{recipe['steps']:,} of {recipe['batch_size']}",
        f"{bound:.3f} a {unit}",
    ]


def beside(folder: Path, text: Path, work: Path) -> tuple[float, float]:
    """Bits per character of the left-to-right model beside one of the text, and their error."""
    card = read_card(folder)
    corpus = read(
        text, tokenizer=folder / "tokenizer", length=card.about["recipe"]["data"]["length"]
    )
    held_out = windows(corpus.split()[1])
    net, _ = causal(corpus, card, card.about["recipe"]["steps"], work)
    return bits(causal_nats(net, begun(held_out, corpus)), held_out, corpus.vocabulary)


def digits(work: Path) -> Path:
    """The 8×8 digits of scikit-learn as an array of ids."""
    from sklearn.datasets import load_digits

    path = work / "digits.npy"
    np.save(path, load_digits().images.astype(np.int64).reshape(-1, 64))
    return path


def main() -> None:
    parser = taken(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--text", type=Path)
    parser.add_argument("--budgets", nargs="+", default=["1m", "2m", "5m", "10m"])
    parser.add_argument("--beside", action="store_true")
    parser.add_argument("--work", type=Path)
    options = parsed(parser, budgets=["20s"])
    if options.text is None:
        print("nothing to do: pass --text FILE")
        return
    if options.threads:
        torch.set_num_threads(options.threads)
    work = options.work or Path(tempfile.mkdtemp(prefix="unmask-budgets-"))
    work.mkdir(parents=True, exist_ok=True)
    columns = ["data, budget", "time, of the budget", "network", "steps", "bits", "left to right"]
    report = Report("budgets", about("transformers"), columns)
    for budget in options.budgets:
        folder = work / f"text-{budget}"
        taken_ = trained(folder, options.text, budget, *TEXT)
        other = "–"
        if options.beside:
            value, error = beside(folder, options.text, folder.with_suffix(".beside"))
            other = f"{value:.3f} ± {error:.3f}"
        report.add(*row_of(folder, "text", budget, taken_), other)
    longest = options.budgets[-1]
    listed = work / "names.txt"
    listed.write_text("\n".join(names(6000)) + "\n")
    for name, data, extra in (
        ("digits", digits(work), ("--set", "data.shape=[8,8]")),
        ("names", listed, ("--set", "data.documents=true")),
    ):
        folder = work / f"{name}-{longest}"
        taken_ = trained(folder, data, longest, *extra)
        report.add(*row_of(folder, name, longest, taken_), "–")
    report.finish(options)


if __name__ == "__main__":
    main()
