"""Generation against its bare forward passes and against x-transformers' wrapper, by vocabulary.

    python benchmarks/speed.py [--vocab 256 8192] [--steps 18] [--repeats 5] [--memory]

Times are in units of T full forwards, logits at every position included, where T is how many passes
of the whole batch were counted: below 1, the loop costs less than calling the network. "trunk" is
the same of passes without the head, the least that a generation can take. The network is
x-transformers' Encoder with random weights. `annealed` is the rule of the reference, the wrapper's
own defaults; with keep=None, nothing is sorted; the others do other work.

With --memory, nothing is timed: the largest tensor that head, draw and bookkeeping make, at the
largest of the vocabularies, and the operation of torch that made it. What a kernel or numpy (the
sorting of `annealed`, in slices of 4 MiB) holds for itself is not seen.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from _machine import about
from _memory import MIB, outside_the_trunk
from _networks import Size, encoder, passes
from _plots import curve, logarithmic
from _report import Report, arguments, count, parsed
from _timing import Times, measured, threads

import unmask
from unmask import presets

BATCH = {256: 8, 1024: 8, 8192: 8, 32_000: 4, 128_000: 1}
MEMORY_BATCH, GOAL_MIB = 4, 64
FORWARD, TRUNK, REFERENCE = "forward", "trunk", "reference"


def strategies(steps: int) -> dict[str, unmask.Strategy]:
    return {
        "annealed": presets.annealed(steps),
        "annealed, keep=None": presets.annealed(steps, keep=None),
        "maskgit": presets.maskgit(steps),
        "random_order": presets.random_order(steps),
    }


def generations(
    denoiser: unmask.Denoiser, size: Size, steps: int
) -> dict[str, Callable[[], object]]:
    return {
        name: lambda strategy=strategy: unmask.generate(denoiser, size.blank(), strategy, seed=0)
        for name, strategy in strategies(steps).items()
    }


def ratios(size: Size, steps: int, options: argparse.Namespace) -> tuple[Times, dict[str, Times]]:
    """Seconds of a full forward, and everything else in units of its own number of them."""
    from x_transformers import NonAutoregressiveWrapper

    net = encoder(size, options.device)
    tokens = size.tokens(options.device)
    reference = NonAutoregressiveWrapper(net, mask_id=size.mask_id, steps=steps).eval()
    calls: dict[str, Callable[[], object]] = {
        FORWARD: lambda: net(tokens),
        TRUNK: lambda: net(tokens, return_embeddings=True),
        REFERENCE: lambda: reference.generate(size.batch),
    }
    calls |= generations(unmask.wrap(net, mask_id=size.mask_id), size, steps)
    forwards = {name: passes(net, size.batch, call) for name, call in calls.items()}
    fewer = {REFERENCE: min(options.reference_repeats, options.repeats)}
    times = measured(calls, options.repeats, options.device, fewer)
    floor = times.pop(FORWARD)
    return floor, {name: t.over(forwards[name] * floor.median) for name, t in times.items()}


def compare(report: Report, sizes: list[Size], options: argparse.Namespace) -> Any:
    """Fill the tables; what draws them."""
    gains = report.table("reference / ours", ["V", "B", *strategies(1)])
    found: dict[int, dict[str, Times]] = {}
    for size in sizes:
        floor, times = ratios(size, options.steps, options)
        found[size.vocab] = times
        report.add(size.vocab, size.batch, floor.median, *times.values())
        ours = [times[name] for name in strategies(1)]
        gain = [times[REFERENCE].median / each.median for each in ours]
        gains.add(size.vocab, size.batch, *gain)
        print(f"measured V = {size.vocab:,}", flush=True)
    return lambda figure: draw(figure, found)


def draw(figure: Any, found: dict[int, dict[str, Times]]) -> None:
    """Ratio by vocabulary, with the least and the most."""
    axis = figure.subplots()
    for name in next(iter(found.values())):
        curve(axis, {vocab: times[name] for vocab, times in found.items()}, name)
    axis.axhline(1, color="0.45", lw=1, ls="--")
    logarithmic(axis, list(found))
    axis.set(xlabel="vocabulary", ylabel="time / T full forwards")
    axis.legend(frameon=False)


def memory(report: Report, size: Size, options: argparse.Namespace) -> None:
    """Fill the table: a row for each preset."""
    net = encoder(size, options.device)
    denoiser = unmask.wrap(net, mask_id=size.mask_id)
    whole = 4 * size.batch * size.length * size.vocab / MIB
    for name, strategy in strategies(options.steps).items():
        seen = outside_the_trunk(
            denoiser,
            lambda watched, s=strategy: unmask.generate(watched, size.blank(), s, seed=0),
        )
        report.add(name, seen.bytes / MIB, seen.operation, whole)
    report.note(f"goal: no tensor over {GOAL_MIB} MiB")


def options_of() -> argparse.Namespace:
    parser = arguments(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--vocab", type=count, nargs="+", default=list(BATCH))
    parser.add_argument("--batch", type=count, help="default: by vocabulary, 8 to 1")
    parser.add_argument("--length", type=count, default=256)
    parser.add_argument("--dim", type=count, default=256)
    parser.add_argument("--depth", type=count, default=6)
    parser.add_argument("--heads", type=count, default=8)
    parser.add_argument("--steps", type=count, default=18)
    parser.add_argument("--reference-repeats", type=count, default=2, help="it is slow; default: 2")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--memory", action="store_true", help="measure memory instead of time")
    tiny = {"vocab": [64, 96], "batch": 2, "length": 16, "dim": 16, "depth": 1, "heads": 2}
    return parsed(parser, repeats=1, steps=3, **tiny)


def main() -> None:
    options = options_of()
    threads(options.threads)
    machine = about("x-transformers")
    shape = {name: getattr(options, name) for name in ("length", "dim", "depth", "heads")}
    sizes = [Size(v, options.batch or BATCH.get(v, 4), **shape) for v in options.vocab]
    if options.memory:
        big = max(sizes, key=lambda size: size.vocab)
        big = replace(big, batch=options.batch or MEMORY_BATCH)
        columns = ["preset", "largest tensor, MiB", "made by", "B·N·V logits would be, MiB"]
        title = f"largest tensor outside the trunk: B={big.batch}, N={big.length}, V={big.vocab:,}"
        report = Report("speed_memory", machine, columns, title)
        memory(report, big, options)
        report.finish(options)
        return
    columns = ["V", "B", "forward, s", TRUNK, REFERENCE, *strategies(1)]
    report = Report("speed", machine, columns, "time / T full forwards: median (least–most)")
    plot = compare(report, sizes, options)
    report.finish(options, plot)


if __name__ == "__main__":
    main()
