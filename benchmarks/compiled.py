"""A compiled trunk against the plain one, and generations with both.

    python benchmarks/compiled.py [--vocab 8192] [--batch 8] [--length 256] [--dim 256] [--depth 6]
        [--steps 18] [--repeats 5]

The encoder of speed.py with random weights. Times are in units of full forwards of the plain
network: of one for a pass of the trunk, of T for a generation. Compiling happens before anything is
measured, and how long the first call took is said below.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from _machine import about
from _networks import Size, encoder
from _report import Report, arguments, count, parsed
from _timing import measured, threads

import unmask
from unmask import presets
from unmask.core.network import Query

CPU = torch.device("cpu")


def measure(report: Report, options: argparse.Namespace) -> None:
    size = Size(options.vocab, options.batch, options.length, options.dim, options.depth)
    net, tokens = encoder(size, CPU), size.tokens(CPU)
    plain = unmask.wrap(net, mask_id=size.mask_id)
    compiled = unmask.Compiled(plain)
    query = Query.of(tokens)
    strategies = {
        "annealed, keep=None": presets.annealed(options.steps, keep=None),
        "maskgit": presets.maskgit(options.steps),
        "random_order": presets.random_order(options.steps),
    }
    begun = time.perf_counter()
    with torch.no_grad():
        compiled.forward(query, None)
    report.note(f"the first call took {time.perf_counter() - begun:.1f} s")
    if compiled.failure is not None:
        raise SystemExit(f"nothing to measure: {compiled.failure}")
    ways = {"plain": plain, "compiled": compiled}
    calls: dict[str, Callable[[], object]] = {"forward": lambda: net(tokens)}
    for way, denoiser in ways.items():
        calls[f"trunk, {way}"] = lambda d=denoiser: d.forward(query, None)
        for name, strategy in strategies.items():
            calls[f"{name}, {way}"] = lambda d=denoiser, s=strategy: unmask.generate(
                d, size.blank(), s, seed=0
            )
    times = measured(calls, options.repeats)
    floor = times.pop("forward").median
    for name in ["trunk", *strategies]:
        passes = 1 if name == "trunk" else options.steps
        plain_time, fast = (times[f"{name}, {way}"] for way in ways)
        ratio = fast.median / plain_time.median
        report.add(name, plain_time.over(passes * floor), fast.over(passes * floor), ratio)


def main() -> None:
    parser = arguments(argparse.ArgumentParser(description=__doc__))
    for name, default in (("vocab", 8192), ("batch", 8), ("length", 256), ("dim", 256)):
        parser.add_argument(f"--{name}", type=count, default=default)
    parser.add_argument("--depth", type=count, default=6)
    parser.add_argument("--steps", type=count, default=18)
    options = parsed(parser, vocab=64, batch=2, length=16, dim=32, depth=1, steps=3)
    threads(options.threads)
    columns = ["what", "plain / forwards", "compiled / forwards", "compiled / plain"]
    size = f"V={options.vocab:,}, B={options.batch}, N={options.length}, T={options.steps}"
    title = f"Encoder {options.dim} × {options.depth}, {size}: median (least–most)"
    report = Report("compiled", about("x-transformers"), columns, title)
    measure(report, options)
    report.finish(options)


if __name__ == "__main__":
    main()
