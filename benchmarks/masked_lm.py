"""A BERT of transformers: `unmask` against the loop that a user writes by hand.

    python benchmarks/masked_lm.py [--batch 16] [--length 128] [--steps 12] [--repeats 5]
        [--threads 2]

BertForMaskedLM of the shape of BERT-base with random weights. The loop by hand asks for all logits,
draws with torch.multinomial at every position, and keeps the most probable draws among what is
unknown, by topk. `unmask` runs the same rule (`Probability(choose="after")`); both commit the same
number of positions at each step, which is checked. `random_order` beside it commits as many,
wherever chance says, and so asks the head there alone. Times are in units of T bare full forwards.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import torch
from _machine import about
from _networks import BERT_BASE, BERT_MASK_ID, bert, check_bert
from _report import Report, arguments, count, parsed
from _timing import measured, threads
from torch import Tensor

import unmask
from unmask import presets
from unmask.orders import Probability

BY_HAND = "by hand"


def by_hand(net: Any, tokens: Tensor, counts: list[int]) -> Tensor:
    """counts[s] positions of each row (B,N) become known at step s."""
    masked = torch.ones_like(tokens, dtype=torch.bool)
    for k in counts:
        logits = net(input_ids=tokens.masked_fill(masked, BERT_MASK_ID)).logits
        logits[..., BERT_MASK_ID] = -torch.inf
        probability = logits.softmax(-1)
        drawn = torch.multinomial(probability.flatten(0, 1), 1).view_as(tokens)
        confidence = probability.gather(2, drawn[..., None])[..., 0]
        best = confidence.masked_fill(~masked, -1.0).topk(k, 1).indices
        chosen = torch.zeros_like(masked).scatter(1, best, True)
        tokens, masked = drawn.where(chosen, tokens), masked & ~chosen
    assert not masked.any()
    return tokens


def planned(denoiser: unmask.Denoiser, strategy: unmask.Strategy, length: int) -> list[int]:
    """How many positions of a row each step commits."""
    row = unmask.Canvas.blank(1, length)
    return [int(info.committed.sum()) for info in unmask.stream(denoiser, row, strategy, seed=0)]


def measure(report: Report, options: argparse.Namespace) -> None:
    """A row for each side."""
    net = bert(options.vocab, options.dim, options.depth, options.length)
    denoiser = unmask.wrap(net, mask_id=BERT_MASK_ID)
    canvas = unmask.Canvas.blank(options.batch, options.length)
    blank = torch.full(canvas.shape, BERT_MASK_ID)
    confident = presets.confidence(options.steps).but(order=Probability(choose="after"))
    random = presets.random_order(options.steps)
    counts = planned(denoiser, confident, options.length)
    assert counts == planned(denoiser, random, options.length)
    report.note(f"T = {len(counts)}; committed at each step: {', '.join(map(str, counts))}")

    def ours(strategy: unmask.Strategy) -> Callable[[], Tensor]:
        return lambda: unmask.generate(denoiser, canvas, strategy, seed=0)

    calls: dict[str, Callable[[], object]] = {
        "forward": lambda: net(input_ids=blank),
        BY_HAND: lambda: by_hand(net, blank, counts),
        "unmask": ours(confident),
        "unmask, random_order": ours(random),
    }
    times = measured(calls, options.repeats)
    floor = len(counts) * times.pop("forward").median
    for name, each in times.items():
        report.add(name, each.over(floor), times[BY_HAND].median / each.median)


def options_of() -> argparse.Namespace:
    parser = arguments(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--batch", type=count, default=16)
    parser.add_argument("--length", type=count, default=128)
    parser.add_argument("--steps", type=count, default=12)
    for name, default in BERT_BASE.items():
        parser.add_argument(f"--{name}", type=count, default=default)
    options = parsed(parser, vocab=200, batch=2, length=16, steps=3, dim=64, depth=1)
    check_bert(parser, options)
    return options


def main() -> None:
    options = options_of()
    threads(options.threads)
    columns = ["side", "time / T full forwards", f"{BY_HAND} / it"]
    size = f"B={options.batch}, N={options.length}, V={options.vocab:,}"
    title = f"BERT {options.dim} × {options.depth}, {size}: median (least–most)"
    report = Report("masked_lm", about("transformers"), columns, title)
    measure(report, options)
    report.finish(options)


if __name__ == "__main__":
    main()
