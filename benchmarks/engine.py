"""What it costs that rows come and go: requests that arrive over time, by one engine.

    python benchmarks/engine.py [--requests 64] [--lengths 16 128] [--steps 8] [--each 8]

The requests are single rows of ragged lengths, by four strategies in turn: three of --steps steps,
and `llada` by blocks of --block with a quarter of them each, so that its rows end as lengths say.
Ways to generate them, in positions per second:

- arriving: --each of them are submitted to one engine before each of its steps, until all are in;
- at once: all of them are submitted before the first step;
- a batch a strategy: for each strategy a call of `run` with all of its rows, the sum of the four;
- one batch, one strategy: all rows by the first strategy, which no engine could know of;
- one after another: a call of `run` for each request.

All ways make the same tokens, of the fourth those rows that have its strategy, or the script fails.
Beside the speed stand the passes of the trunk, and the share of positions in them that is padding.
The network is a transformers BertForMaskedLM with random weights, of the shape of BERT-base.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext

import torch
from _machine import about
from _networks import BERT_BASE, BERT_MASK_ID, Watched, bert, check_bert
from _report import Report, arguments, count, parsed
from _timing import Times, measured, threads
from torch import Tensor

import unmask
from unmask import presets
from unmask.core.network import Cache, Query

ARRIVING, BY_STRATEGY, ALONE = "arriving", "a batch a strategy", "one after another"
GOALS = {BY_STRATEGY: 0.9, ALONE: 4.0}  # of the arriving ones' speed over theirs
COLUMNS = ["way", "passes", "padding, %", "positions a second", f"{ARRIVING} / it", "goal"]
Made = dict[int, Tensor]  # the tokens (n,) of each request


class Tallied(Watched):
    """A denoiser that counts passes of its trunk and the positions in them."""

    def __init__(self, inner: unmask.Denoiser):
        super().__init__(inner, lambda _: nullcontext())
        self.passes = self.positions = self.padding = 0

    def forward(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """(R,N) -> (R,N,D)."""
        self.passes += 1
        self.positions += query.tokens.numel()
        self.padding += query.tokens.numel() - int(query.lengths.sum())
        return super().forward(query, cache)


def strategies(steps: int, block: int) -> list[unmask.Strategy]:
    """Three that take as many steps, and one whose rows take as many as their length says."""
    return [
        presets.random_order(steps, schedule="linear"),
        presets.confidence(steps, schedule="linear"),
        presets.maskgit(steps, schedule="linear"),
        presets.llada(max(1, steps // 4), block),
    ]


class Requests:
    """Rows of ragged lengths, each with a strategy and a seed, its number."""

    def __init__(self, options: argparse.Namespace):
        shortest, longest = options.lengths
        draw = torch.Generator().manual_seed(1)
        size = (options.requests,)
        self.lengths = torch.randint(shortest, longest + 1, size, generator=draw).tolist()
        made = strategies(options.steps, options.block)
        self.strategies = [made[i % len(made)] for i in range(options.requests)]
        self.each = options.each

    def __len__(self) -> int:
        return len(self.lengths)

    def ways(self) -> dict[str, Callable[[unmask.Denoiser], Made]]:
        """The first is what the others are held against."""
        return {
            ARRIVING: lambda denoiser: self.by_engine(denoiser, self.each),
            "at once": lambda denoiser: self.by_engine(denoiser, len(self)),
            BY_STRATEGY: self.by_strategy,
            "one batch, one strategy": self.by_first,
            ALONE: self.alone,
        }

    def by_engine(self, denoiser: unmask.Denoiser, each: int) -> Made:
        """So many submitted before each step."""
        engine, made, number = unmask.Engine(denoiser), Made(), dict[int, int]()
        while len(number) < len(self) or len(engine.unfinished):
            for i in range(len(number), min(len(number) + each, len(self))):
                (row,) = engine.submit(self.canvas([i]), self.strategies[i], [i]).tolist()
                number[row] = i
            for event in engine.step():
                made |= {number[row]: done.tokens[0] for row, done in event.results()}
        return made

    def by_strategy(self, denoiser: unmask.Denoiser) -> Made:
        """All rows of a strategy together, one strategy after the other."""
        made = Made()
        for strategy in dict.fromkeys(self.strategies):
            rows = [i for i in range(len(self)) if self.strategies[i] == strategy]
            made |= self.run(denoiser, rows, strategy)
        return made

    def by_first(self, denoiser: unmask.Denoiser) -> Made:
        """All rows together by the first strategy; the tokens of those that have it."""
        made = self.run(denoiser, range(len(self)), self.strategies[0])
        return {i: row for i, row in made.items() if self.strategies[i] == self.strategies[0]}

    def alone(self, denoiser: unmask.Denoiser) -> Made:
        """A run of each."""
        made = Made()
        for i, strategy in enumerate(self.strategies):
            made |= self.run(denoiser, [i], strategy)
        return made

    def run(
        self, denoiser: unmask.Denoiser, rows: Sequence[int], strategy: unmask.Strategy
    ) -> Made:
        """These rows in one call."""
        made = unmask.run(denoiser, self.canvas(rows), strategy, seeds=rows).tokens
        return {i: row[: self.lengths[i]] for i, row in zip(rows, made, strict=True)}

    def canvas(self, rows: Sequence[int]) -> unmask.Canvas:
        """These rows, with nothing known."""
        return unmask.Canvas.ragged([[0] * self.lengths[i] for i in rows])


def check(made: Mapping[str, Made], requests: int) -> None:
    """AssertionError unless every way made what the first did, which made every request."""
    first = next(iter(made))
    if sorted(made[first]) != list(range(requests)):
        raise AssertionError(f"{first}: {len(made[first])} of {requests} requests came back")
    for way, tokens in made.items():
        other = [i for i, row in tokens.items() if not row.equal(made[first][i])]
        if other:
            raise AssertionError(f"{way}: other tokens than {first} at requests {other}")


def measure(report: Report, options: argparse.Namespace) -> None:
    """A row for each way, and a note on each goal."""
    requests = Requests(options)
    net = bert(options.vocab, options.dim, options.depth, max(options.lengths))
    denoiser = unmask.wrap(net.to(options.device), mask_id=BERT_MASK_ID)
    ways = requests.ways()
    tallies = {way: Tallied(denoiser) for way in ways}
    check({way: call(tallies[way]) for way, call in ways.items()}, len(requests))
    calls = {way: lambda call=call: call(denoiser) for way, call in ways.items()}
    times = measured(calls, options.repeats, options.device)
    whole = sum(requests.lengths)
    for way, each in times.items():
        speed = Times(tuple(whole / seconds for seconds in each.values))
        ratio = each.median / times[ARRIVING].median
        tally, goal = tallies[way], GOALS.get(way)
        padding = 100 * tally.padding / tally.positions
        report.add(way, tally.passes, padding, speed, ratio, goal)
        if goal is not None:
            report.note(f"goal: at least {goal:g} times as fast as {way}; it is {ratio:.3g} times")


def options_of() -> argparse.Namespace:
    parser = arguments(argparse.ArgumentParser(description=__doc__), repeats=3)
    sizes = {"requests": 64, "each": 8, "steps": 8, "block": 32, **BERT_BASE}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=count, default=default)
    parser.add_argument("--lengths", type=count, nargs=2, default=[16, 128])
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    tiny = {"requests": 12, "each": 2, "steps": 3, "block": 4, "lengths": [3, 12]}
    options = parsed(parser, repeats=1, vocab=200, dim=64, depth=1, **tiny)
    check_bert(parser, options)
    if options.lengths[0] > options.lengths[1]:
        parser.error(f"--lengths {options.lengths}: pass the shortest first, then the longest")
    return options


def main() -> None:
    options = options_of()
    threads(options.threads)
    shortest, longest = options.lengths
    title = (
        f"{options.requests} requests of {shortest} to {longest} positions, {options.steps} steps, "
        f"{options.each} arriving a step: median (least–most)"
    )
    report = Report("engine", about("transformers"), COLUMNS, title)
    measure(report, options)
    report.finish(options)


if __name__ == "__main__":
    main()
