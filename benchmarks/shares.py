"""Where the time of a generation goes: trunk, head, draw and bookkeeping, by vocabulary.

    python benchmarks/shares.py [--vocab 256 8192 32000] [--steps 18] [--repeats 3]

Trunk is what passes inside the denoiser's `forward`, head inside its `logits`; draw is the rest of
asking the head for a step (gathering, measuring, drawing, scattering), and bookkeeping everything
else: what the network is shown, passes and padding, places and uniforms, order, commits, state, and
the engine. Shares are per cent of the whole, and medians. Beside them stands the time over T full
forwards of the same network, T as counted.

The network is x-transformers' Encoder with random weights, which are never sure: `threshold` has a
budget of --steps network passes a row, or it would take one for each position.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import torch
from _machine import about
from _networks import Size, Watched, encoder, passes
from _report import Report, arguments, count, parsed
from _timing import Times, measured, threads, wait

import unmask
from unmask import presets, stopping

# Modules as step and engine use them; names of `unmask.decoding` hide some of them.
DECIDING: Any = import_module("unmask.decoding.decide")
PROPOSING: Any = import_module("unmask.decoding.propose")
PARTS = ("trunk", "head", "draw", "bookkeeping")
GOAL = 3  # per cent, of bookkeeping
COLUMNS = ["V", "B", "preset", "T", *(f"{part}, %" for part in PARTS), "time / T full forwards"]


@dataclass
class Clock:
    """Seconds of each part of one generation; what a part calls is its own."""

    device: torch.device
    seconds: dict[str, float] = field(default_factory=dict)
    inner: list[float] = field(default_factory=list)  # of the parts that are open, what they called

    @contextmanager
    def within(self, part: str) -> Iterator[None]:
        wait(self.device)
        begun = time.perf_counter()
        self.inner.append(0.0)
        try:
            yield
        finally:
            wait(self.device)
            whole = time.perf_counter() - begun
            self.seconds[part] = self.seconds.get(part, 0.0) + whole - self.inner.pop()
            if self.inner:
                self.inner[-1] += whole

    def shares(self) -> dict[str, float]:
        """Per cent of the whole."""
        whole = sum(self.seconds.values())
        return {part: 100 * self.seconds.get(part, 0.0) / whole for part in PARTS}


@contextmanager
def drawing(clock: Clock) -> Iterator[None]:
    """Within, asking the head for a step counts as draw, and finding where as bookkeeping."""
    with (
        timed(clock, "draw", DECIDING, "propose"),
        timed(clock, "bookkeeping", PROPOSING, "find_queried"),
    ):
        yield


@contextmanager
def timed(clock: Clock, part: str, module: Any, name: str) -> Iterator[None]:
    """Within, a function of a module counts as this part."""
    plain = getattr(module, name)

    def call(*arguments: Any, **options: Any) -> Any:
        with clock.within(part):
            return plain(*arguments, **options)

    setattr(module, name, call)
    try:
        yield
    finally:
        setattr(module, name, plain)


def strategies(steps: int) -> dict[str, unmask.Strategy]:
    return {
        "annealed, keep=None": presets.annealed(steps, keep=None),
        "maskgit": presets.maskgit(steps),
        "random_order": presets.random_order(steps),
        "threshold": presets.threshold().but(stopping=[stopping.Budget(steps)]),
    }


def shares_of(
    generate: Callable[[unmask.Denoiser], object], denoiser: unmask.Denoiser, device: torch.device
) -> dict[str, float]:
    """Of one generation."""
    clock = Clock(device)
    with drawing(clock), clock.within("bookkeeping"):
        generate(Watched(denoiser, clock.within))
    return clock.shares()


def measure(report: Report, size: Size, options: argparse.Namespace) -> None:
    """Fill the table: a row for each preset."""
    net = encoder(size, options.device)
    for name, strategy in strategies(options.steps).items():
        cells = row(net, size, strategy, options)
        report.add(size.vocab, size.batch, name, *cells)
        print(f"measured {name}, V = {size.vocab:,}", flush=True)


def row(
    net: Any, size: Size, strategy: unmask.Strategy, options: argparse.Namespace
) -> tuple[float | Times, ...]:
    """T, the share of each part, and the time of the whole, not watched, over T forwards."""
    denoiser = unmask.wrap(net, mask_id=size.mask_id)
    tokens = size.tokens(options.device)
    found: list[dict[str, float]] = []

    def generate(by: unmask.Denoiser = denoiser) -> object:
        return unmask.generate(by, size.blank(), strategy, seed=0)

    calls = {
        "forward": lambda: net(tokens),
        "generate": generate,
        "watched": lambda: found.append(shares_of(generate, denoiser, options.device)),
    }
    forwards = passes(net, size.batch, generate)
    times = measured(calls, options.repeats, options.device)
    del found[0]  # the warm-up
    parts = [Times(tuple(each[part] for each in found)) for part in PARTS]
    return forwards, *parts, times["generate"].over(forwards * times["forward"].median)


def options_of() -> argparse.Namespace:
    parser = arguments(argparse.ArgumentParser(description=__doc__), repeats=3)
    parser.add_argument("--vocab", type=count, nargs="+", default=[256, 8192, 32_000])
    parser.add_argument("--batch", type=count, default=8)
    parser.add_argument("--length", type=count, default=256)
    parser.add_argument("--dim", type=count, default=256)
    parser.add_argument("--depth", type=count, default=6)
    parser.add_argument("--heads", type=count, default=8)
    parser.add_argument("--steps", type=count, default=18)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    tiny = {"vocab": [64], "batch": 2, "length": 16, "dim": 16, "depth": 1, "heads": 2}
    return parsed(parser, repeats=1, steps=3, **tiny)


def main() -> None:
    options = options_of()
    threads(options.threads)
    title = "shares of the time: median (least–most)"
    report = Report("shares", about("x-transformers"), COLUMNS, title)
    for vocab in options.vocab:
        shape = {name: getattr(options, name) for name in ("batch", "length", "dim", "depth")}
        measure(report, Size(vocab, heads=options.heads, **shape), options)
    most = max(report.rows, key=lambda row: row["bookkeeping, %"].median)
    report.note(
        f"goal: bookkeeping at most {GOAL} %; the most is {most['bookkeeping, %'].median:.2g} % "
        f"({most['preset']}, V = {most['V']:,})"
    )
    report.finish(options)


if __name__ == "__main__":
    main()
