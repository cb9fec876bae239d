"""How the cost of a sequence grows with its length N, with the steps T, and with the batch B.

    python benchmarks/scaling.py [--lengths 64 256 ...] [--steps 1 4 ...] [--batches 1 2 ...]

One of them varies at a time, the others stay at --at (N T B). The network is a small x-transformers
Encoder with random weights. The exponent is the slope of log cost over log of what varies, by least
squares: 1 is a straight line through 0. For T the line of milliseconds over T is told too: what a
step costs, and what is paid once. Beside the cost stands its ratio to T full forwards of the same
network: where it is flat, the network grows and not the loop.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from _machine import about
from _networks import Size, encoder, passes
from _plots import curve, logarithmic
from _report import Report, arguments, count, parsed
from _timing import Times, measured, threads

import unmask
from unmask import presets, schedules

# Linear, so that T steps are T forwards: a step that would commit nothing is not taken.
PRESETS = {
    "annealed": partial(presets.annealed, schedule=schedules.linear, keep=None),
    "maskgit": partial(presets.maskgit, schedule=schedules.linear),
    "random_order": partial(presets.random_order, schedule=schedules.linear),
}
TOGETHER = 8  # at most, bare forwards timed as one call: a single small one is mostly chance
COLUMNS = ["varies", "N", "T", "B", "ms a sequence", "time / T full forwards"]


@dataclass(frozen=True)
class Point:
    """One measurement: N positions, T steps, B rows."""

    N: int
    T: int
    B: int


@dataclass(frozen=True)
class Cost:
    """Milliseconds of a sequence, and the time of the whole in units of T full forwards."""

    milliseconds: Times
    ratio: Times


def cost(point: Point, options: argparse.Namespace) -> Cost:
    size = Size(options.vocab, point.B, point.N, options.dim, options.depth, options.heads)
    net = encoder(size, options.device, attn_flash=True)
    tokens = size.tokens(options.device)
    denoiser = unmask.wrap(net, mask_id=size.mask_id)
    strategy = PRESETS[options.preset](point.T)

    def generate() -> object:
        return unmask.generate(denoiser, size.blank(), strategy, seed=0)

    forwards = passes(net, point.B, generate)
    together = min(point.T, TOGETHER)
    calls = {"bare": lambda: [net(tokens) for _ in range(together)], "generate": generate}
    times = measured(calls, options.repeats, options.device)
    floor = forwards * times["bare"].median / together
    return Cost(times["generate"].over(point.B / 1000), times["generate"].over(floor))


def exponent(costs: Mapping[int, float]) -> float:
    """The slope of log cost over log of what varies."""
    return line({np.log(at): np.log(value) for at, value in costs.items()})[0]


def line(costs: Mapping[Any, float]) -> tuple[float, float]:
    """Slope and intercept of the straight line of least squares."""
    slope, intercept = np.polyfit(list(costs), list(costs.values()), 1)
    return float(slope), float(intercept)


def points(options: argparse.Namespace) -> dict[str, list[Point]]:
    """What varies -> where it is measured. SystemExit where there are more steps than positions."""
    at = Point(*options.at)
    varied = {"N": options.lengths, "T": options.steps, "B": options.batches}
    found = {name: [replace(at, **{name: v}) for v in sorted(set(varied[name]))] for name in varied}
    for point in (point for places in found.values() for point in places):
        if point.T > point.N:
            raise SystemExit(
                f"T={point.T} steps end after {point.N} with N={point.N} positions: pass fewer "
                "--steps, or longer --lengths and --at"
            )
    return found


def fit(report: Report, found: Mapping[str, Mapping[int, Cost]]) -> None:
    """Fill the table of exponents, and a note on the line of T."""
    fits = report.table("exponents", ["varies", "of a sequence's cost", "of the ratio"])
    for name, costs in found.items():
        if len(costs) > 1:
            middle = {at: each.milliseconds.median for at, each in costs.items()}
            ratio = {at: each.ratio.median for at, each in costs.items()}
            fits.add(name, exponent(middle), exponent(ratio))
    if len(found["T"]) > 1:
        slope, once = line({at: each.milliseconds.median for at, each in found["T"].items()})
        report.note(f"a sequence's milliseconds over T: {slope:.3g} a step and {once:.3g} once")


def draw(figure: Any, found: Mapping[str, Mapping[int, Cost]]) -> None:
    """A panel each for N, T and B."""
    figure.set_size_inches(13, 4)
    words = {"N": "positions N", "T": "steps T", "B": "rows B"}
    for axis, (name, costs) in zip(figure.subplots(1, 3), found.items(), strict=True):
        curve(axis, {at: each.milliseconds for at, each in costs.items()}, "ms a sequence")
        curve(axis, {at: each.ratio for at, each in costs.items()}, "time / T full forwards")
        logarithmic(axis, list(costs))
        axis.set(xlabel=words[name])
        axis.legend(frameon=False)


def sizes(parser: argparse.ArgumentParser, **defaults: Sequence[int]) -> None:
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=count, nargs="+", default=default)


def options_of() -> argparse.Namespace:
    parser = arguments(argparse.ArgumentParser(description=__doc__), repeats=3)
    sizes(parser, lengths=[64, 128, 256, 512, 1024, 2048, 4096])
    sizes(parser, steps=[1, 2, 4, 8, 16, 32, 64, 128, 256], batches=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument(
        "--at", type=count, nargs=3, metavar=("N", "T", "B"), default=[256, 8, 2], help="256 8 2"
    )
    parser.add_argument("--preset", choices=list(PRESETS), default="maskgit")
    parser.add_argument("--vocab", type=count, default=1024)
    parser.add_argument("--dim", type=count, default=64)
    parser.add_argument("--depth", type=count, default=2)
    parser.add_argument("--heads", type=count, default=2)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    tiny = {"lengths": [8, 16], "steps": [1, 2], "batches": [1, 2], "at": [8, 2, 2]}
    return parsed(parser, repeats=1, vocab=32, dim=16, depth=1, **tiny)


def main() -> None:
    options = options_of()
    threads(options.threads)
    title = f"{options.preset}, V={options.vocab:,}: median (least–most)"
    report = Report("scaling", about("x-transformers"), COLUMNS, title)
    found: dict[str, dict[int, Cost]] = {}
    for name, places in points(options).items():
        found[name] = {getattr(place, name): cost(place, options) for place in places}
        for place, each in zip(places, found[name].values(), strict=True):
            report.add(name, place.N, place.T, place.B, each.milliseconds, each.ratio)
        print(f"measured by {name}", flush=True)
    fit(report, found)
    report.finish(options, lambda figure: draw(figure, found))


if __name__ == "__main__":
    main()
