"""What helps on 8×8 digits: guidance, a critic, self-conditioning. Five seeds, one table.

    python benchmarks/digits_study.py [--work FOLDER] [--seeds 0 1 2 3 4] [--quick] [--json FILE]

Every seed trains its own networks, on one thread, and draws its own images. Weights and figures are
kept under --work, so that another call goes on where this one stopped. Lower is better for bits and
for the two-sample accuracy (0.5 is perfect), higher for the class accuracy. A variant helps where
its difference to the baseline, paired by seed, is clear of 0 (Student's t, 95 %).
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path

import torch
from _digits_models import QUICK, Settings, TwoPasses, Workshop
from _machine import about
from rich.console import Console
from rich.table import Table
from torch import Tensor

import unmask
from unmask import Canvas, Guidance, presets
from unmask.core.files import replacing_file
from unmask.core.random import derive
from unmask.evaluation import class_accuracy, real_against_real, two_sample
from unmask.scoring import Bound, score
from unmask.tasks import Task, task

WEIGHTS = (1.5, 2.0, 3.0, 5.0)
CRITIC_STEPS = (8, 16)
NOISES = (4.0, 10.0)  # scales of the token critic's noise beside the published 1
STEPS = 16
CHUNK = 250  # images a batch, which fits the cache
HIGHER_IS_BETTER = {"class accuracy"}
COLUMNS = ("bits", "bits by class", "class accuracy", "two-sample")

Figures = dict[str, float]
Cell = Callable[[], Figures]


@dataclass(frozen=True)
class Row:
    """A line of the table: which cells, and which row it is held against."""

    question: str
    name: str
    baseline: str | None = None


def rows() -> list[Row]:
    """The table, top to bottom. A name is also the key of its cell."""
    plain = f"random order, T={STEPS}"
    lines = [Row("data", "real against real"), Row("bound", "generator")]
    lines += [Row("guidance", plain)]
    lines += [Row("guidance", f"{plain}, weight {w:g}", plain) for w in WEIGHTS]
    for steps in CRITIC_STEPS:
        base = f"random order, T={steps}"
        lines += [Row("critic", base)] if base != plain else []
        for name in ("confidence", "maskgit", "self critic", "token critic"):
            lines.append(Row("critic", f"{name}, T={steps}", base))
    lines += [Row("critic", f"token critic, T={STEPS}, noise {x:g}", plain) for x in NOISES]
    lines += [Row("self-conditioning", "self-conditioned", "generator")]
    lines += [Row("self-conditioning", f"self-conditioned, T={STEPS}", plain)]
    return lines


class Study:
    """The cells of one seed."""

    def __init__(self, settings: Settings, folder: Path, data: Task, seed: int):
        self.at, self.data, self.seed = settings, data, seed
        self.workshop = Workshop(settings, folder, data, seed)
        self.generator = cache(self.workshop.generator)
        self.self_conditioned = cache(lambda: self.workshop.generator(self_conditioned=True))
        self.self_critic = cache(lambda: self.workshop.self_critic(self.generator()))
        self.token_critic = cache(lambda: self.workshop.token_critic(self.generator()))

    def cells(self) -> Iterator[tuple[str, Cell]]:
        """Every measurement by the name of its row."""
        yield "real against real", self._real
        yield "generator", partial(self._bound, self.generator)
        for steps in sorted({*CRITIC_STEPS, STEPS}):
            for name in ("random order", "confidence", "maskgit", "self critic", "token critic"):
                yield f"{name}, T={steps}", partial(self._by_class, name, steps)
        for weight in WEIGHTS:
            name = f"random order, T={STEPS}, weight {weight:g}"
            yield name, partial(self._by_class, "random order", STEPS, weight=weight)
        for noise in NOISES:
            name = f"token critic, T={STEPS}, noise {noise:g}"
            yield name, partial(self._by_class, "token critic", STEPS, noise=noise)
        yield "self-conditioned", partial(self._bound, lambda: TwoPasses(self.self_conditioned()))
        name = f"self-conditioned, T={STEPS}"
        yield name, partial(self._by_class, "random order", STEPS, self.self_conditioned)

    def _real(self) -> Figures:
        """What the judges say of real images."""
        everything = torch.cat([self.data.train, self.data.held_out])
        accuracy = self._accuracy(self.data.held_out, self.data.held_out_labels)
        told_apart = real_against_real(everything, seed=self.seed).accuracy
        return {"class accuracy": accuracy, "two-sample": told_apart}

    def _bound(self, model: Callable[[], unmask.Denoiser]) -> Figures:
        net, data, by = model(), self.data, Bound(self.at.pairs)
        told = score(net, data.held_out, by=by, condition=data.held_out_labels)
        untold = score(net, data.held_out, by=by)
        return {"bits": untold.bits_per_token, "bits by class": told.bits_per_token}

    def _by_class(
        self,
        name: str,
        steps: int,
        model: Callable[[], unmask.Denoiser] | None = None,
        noise: float = 1.0,
        weight: float | None = None,
    ) -> Figures:
        """Images of classes dealt out evenly."""
        strategies = {
            "random order": lambda: presets.random_order(steps),
            "confidence": lambda: presets.confidence(steps),
            "maskgit": lambda: presets.maskgit(steps),
            "self critic": lambda: presets.token_critic(self.self_critic(), steps),
            "token critic": lambda: presets.token_critic(
                self.token_critic(), steps, noise_scale=noise
            ),
        }
        labels = torch.arange(self.at.images) % self.data.classes
        guidance = None if weight is None else Guidance(weight)
        strategy = strategies[name]().but(guidance=guidance)
        images = self._images((model or self.generator)(), strategy, labels)
        return {
            "class accuracy": self._accuracy(images, labels),
            "two-sample": self._two_sample(images),
        }

    def _images(self, model: unmask.Denoiser, strategy: unmask.Strategy, labels: Tensor) -> Tensor:
        parts = []
        for start in range(0, self.at.images, CHUNK):
            size = min(CHUNK, self.at.images - start)
            told = labels[start : start + size]
            canvas = Canvas.blank(size, self.data.train.shape[1], condition=told)
            seeds = derive(self.seed, self.at.images)[start : start + size]
            parts.append(unmask.generate(model, canvas, strategy, seeds=seeds))
        return torch.cat(parts)

    def _two_sample(self, images: Tensor) -> float:
        everything = torch.cat([self.data.train, self.data.held_out])
        generator = torch.Generator().manual_seed(self.seed)
        real = everything[torch.randperm(len(everything), generator=generator)[: len(images)]]
        return two_sample(images, real, self.seed).accuracy

    def _accuracy(self, images: Tensor, labels: Tensor) -> float:
        judged = class_accuracy(
            images,
            labels,
            train_tokens=self.data.train,
            train_labels=self.data.train_labels,
            held_out_tokens=self.data.held_out,
            held_out_labels=self.data.held_out_labels,
        )
        return judged.accuracy


class Ledger:
    """Figures by seed and cell, in one JSON file that is rewritten after every cell."""

    def __init__(self, path: Path, settings: Settings):
        self.path, self.settings = path, asdict(settings)
        self.cells: dict[str, Figures] = {}
        if path.exists():
            kept = json.loads(path.read_text())
            if kept["settings"] != self.settings:
                raise SystemExit(f"{path} is of other settings: pass another --work")
            self.cells = kept["cells"]

    def fill(self, seed: int, name: str, cell: Cell) -> None:
        """Measure, unless it was measured before."""
        key = f"{seed}: {name}"
        if key in self.cells:
            return
        self.cells[key] = cell()
        with replacing_file(self.path) as temporary:
            temporary.write_text(json.dumps({"settings": self.settings, "cells": self.cells}))
        shown = ", ".join(f"{k} {v:.3f}" for k, v in self.cells[key].items())
        print(f"seed {seed}, {name}: {shown}", flush=True)

    def figures(self, name: str, column: str, seeds: list[int]) -> list[float] | None:
        """One number a seed; None unless every seed has it."""
        found = [self.cells.get(f"{seed}: {name}", {}).get(column) for seed in seeds]
        return None if None in found else [x for x in found if x is not None]


def spread(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else float("nan")


def verdict(ours: list[float], baseline: list[float], higher: bool) -> str:
    """helps, hurts, or no clear difference; of pairs (one per seed)."""
    from scipy.stats import t

    gain = [(a - b) * (1 if higher else -1) for a, b in zip(ours, baseline, strict=True)]
    if len(gain) < 2:
        return "one seed"
    margin = t.ppf(0.975, len(gain) - 1) * spread(gain) / len(gain) ** 0.5
    mean = statistics.mean(gain)
    return "helps" if mean > margin else "hurts" if mean < -margin else "no clear difference"


def summary(ledger: Ledger, seeds: list[int]) -> list[dict[str, object]]:
    """A record per row: mean, standard deviation and verdict by column."""
    out = []
    for row in rows():
        record: dict[str, object] = {"question": row.question, "variant": row.name}
        for column in COLUMNS:
            ours = ledger.figures(row.name, column, seeds)
            if ours is None:
                continue
            record[column] = {"mean": statistics.mean(ours), "sd": spread(ours)}
            base = row.baseline and ledger.figures(row.baseline, column, seeds)
            if base:
                record[column]["verdict"] = verdict(ours, base, column in HIGHER_IS_BETTER)
        out.append(record)
    return out


def show(records: list[dict[str, object]], seeds: list[int]) -> None:
    table = Table(title=f"mean ± standard deviation over seeds {seeds}; verdicts on the right")
    table.add_column("question")
    table.add_column("variant")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    table.add_column("class accuracy")
    table.add_column("two-sample or bits")
    for record in records:
        cells = {c: record[c] for c in COLUMNS if c in record}
        numbers = [
            f"{cells[c]['mean']:.3f} ± {cells[c]['sd']:.3f}" if c in cells else "" for c in COLUMNS
        ]
        said = {c: cell.get("verdict", "") for c, cell in cells.items()}
        both = {said.get("two-sample", ""), said.get("bits", "")} - {""}
        table.add_row(
            str(record["question"]),
            str(record["variant"]),
            *numbers,
            said.get("class accuracy", ""),
            ", ".join(sorted(both)),
        )
    Console(width=170).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, help="weights and figures; default runs/digits_study")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--quick", action="store_true", help="hardly any training: does it run?")
    parser.add_argument("--json", type=Path, help="write the table there too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = QUICK if options.quick else Settings()
    folder = options.work or Path("runs") / ("digits_quick" if options.quick else "digits_study")
    head = about("transformers", "scikit-learn")
    print(head, flush=True)
    ledger, data = Ledger(folder / "figures.json", settings), task("digits")
    for seed in options.seeds:
        for name, cell in Study(settings, folder, data, seed).cells():
            ledger.fill(seed, name, cell)
    records = summary(ledger, options.seeds)
    show(records, options.seeds)
    if options.json:
        with replacing_file(options.json) as temporary:
            temporary.write_text(json.dumps({"about": head, "rows": records}, indent=1))


if __name__ == "__main__":
    main()
