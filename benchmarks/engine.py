"""What it costs that rows come and go: requests that arrive over time, by one engine.

    python benchmarks/engine.py [--requests 64] [--lengths 16 64] [--steps 8] [--each 8]

The requests are single rows of ragged lengths, by four strategies in turn, of --steps steps each.
Four ways to generate them, in positions per second:

- arriving: --each of them are submitted to one engine before each of its steps, until all are in;
- at once: all of them are submitted before the first step;
- one batch: the same rows by one strategy, in one call of `run`;
- one after another: a call of `run` for each request.

The network is a transformers BertForMaskedLM with random weights, of the shape of BERT-base.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from _machine import about
from _report import Report, arguments, count, parsed
from _timing import measured, threads
from transformers import BertConfig, BertForMaskedLM

import unmask
from unmask import presets

HEAD = 64  # width of a head of attention
MASK_ID = 103
GOALS = {"one batch": 0.9, "one after another": 4.0}


def network(options: argparse.Namespace) -> unmask.Denoiser:
    """A BERT with random weights, which looks at padding where there is some."""
    config = BertConfig(
        vocab_size=options.vocab,
        hidden_size=options.dim,
        num_hidden_layers=options.depth,
        num_attention_heads=options.dim // HEAD,
        intermediate_size=4 * options.dim,
    )
    torch.manual_seed(0)
    net = BertForMaskedLM(config).eval().to(options.device)
    return unmask.wrap(net, mask_id=MASK_ID)


def strategies(steps: int) -> list[unmask.Strategy]:
    """Four that take as many steps."""
    return [
        presets.random_order(steps, schedule="linear"),
        presets.confidence(steps, schedule="linear"),
        presets.maskgit(steps, schedule="linear"),
        presets.top_margin(steps, schedule="linear"),
    ]


class Requests:
    """Rows of ragged lengths, each with a strategy and a seed."""

    def __init__(self, options: argparse.Namespace):
        shortest, longest = options.lengths
        draw = torch.Generator().manual_seed(1)
        size = (options.requests,)
        self.lengths = torch.randint(shortest, longest + 1, size, generator=draw).tolist()
        made = strategies(options.steps)
        self.strategies = [made[i % len(made)] for i in range(options.requests)]
        self.denoiser, self.each = network(options), options.each

    def canvas(self, *rows: int) -> unmask.Canvas:
        """These rows, with nothing known."""
        return unmask.Canvas.ragged([[0] * self.lengths[i] for i in rows])

    def submit(self, engine: unmask.Engine, i: int) -> None:
        engine.submit(self.canvas(i), self.strategies[i], [i])

    def arriving(self) -> None:
        """Some before each step."""
        engine = unmask.Engine(self.denoiser)
        for start in range(0, len(self.lengths), self.each):
            for i in range(start, min(start + self.each, len(self.lengths))):
                self.submit(engine, i)
            engine.step()
        while len(engine.open):
            engine.step()

    def at_once(self) -> None:
        """All before the first step."""
        engine = unmask.Engine(self.denoiser)
        for i in range(len(self.lengths)):
            self.submit(engine, i)
        while len(engine.open):
            engine.step()

    def one_batch(self) -> None:
        """The same rows by one strategy."""
        rows = range(len(self.lengths))
        unmask.run(self.denoiser, self.canvas(*rows), self.strategies[0], seeds=rows)

    def one_after_another(self) -> None:
        """A run of each."""
        for i, strategy in enumerate(self.strategies):
            unmask.run(self.denoiser, self.canvas(i), strategy, seeds=[i])


def options_of() -> argparse.Namespace:
    parser = arguments(argparse.ArgumentParser(description=__doc__), repeats=3)
    for name, default in (("requests", 64), ("each", 8), ("steps", 8), ("vocab", 30_522)):
        parser.add_argument(f"--{name}", type=count, default=default)
    parser.add_argument("--lengths", type=count, nargs=2, default=[16, 64])
    parser.add_argument("--dim", type=count, default=768)
    parser.add_argument("--depth", type=count, default=12)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    tiny = {"requests": 6, "each": 2, "steps": 2, "vocab": 200, "lengths": [3, 6]}
    return parsed(parser, repeats=1, dim=64, depth=1, **tiny)


def main() -> None:
    options = options_of()
    threads(options.threads)
    requests = Requests(options)
    shortest, longest = options.lengths
    title = (
        f"{options.requests} requests of {shortest} to {longest} positions, {options.steps} steps, "
        f"{options.each} arriving a step: median (least–most)"
    )
    columns = ["way", "positions a second", "arriving / it", "goal"]
    report = Report("engine", about("transformers"), columns, title)
    calls: dict[str, Callable[[], object]] = {
        "arriving": requests.arriving,
        "at once": requests.at_once,
        "one batch": requests.one_batch,
        "one after another": requests.one_after_another,
    }
    times = measured(calls, options.repeats, options.device)
    whole = sum(requests.lengths)
    for name, each in times.items():
        ratio = each.median / times["arriving"].median
        report.add(name, whole / each.median, ratio, GOALS.get(name))
    report.finish(options)


if __name__ == "__main__":
    main()
