"""A BERT of transformers: `unmask` against the loop that a user writes by hand.

    python benchmarks/masked_lm.py [--batch 16] [--length 128] [--steps 12] [--repeats 3]
        [--threads 2] [--json FILE]

BertForMaskedLM of the shape of BERT-base with random weights. The loop by hand asks for all logits,
draws with torch.multinomial at every position, and keeps the most probable draws among what is
unknown, by topk. `unmask` runs the same rule (`Probability(choose="after")`); both commit the same
number of positions at each step, which is checked. `random_order` beside it commits as many,
wherever chance says, and so asks the head there alone. Times are medians over T bare forwards.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _machine import about
from _report import report
from _timing import measured
from torch import Tensor
from transformers import BertConfig, BertForMaskedLM

import unmask
from unmask import presets
from unmask.ordering import Probability

MASK_ID = 103  # of bert-base-uncased


def network(options: argparse.Namespace) -> BertForMaskedLM:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=options.vocab,
        hidden_size=options.width,
        num_hidden_layers=options.layers,
        num_attention_heads=options.width // 64,
        intermediate_size=4 * options.width,
        max_position_embeddings=max(512, options.length),
    )
    return BertForMaskedLM(config).eval()


def by_hand(net: BertForMaskedLM, tokens: Tensor, counts: list[int]) -> Tensor:
    """counts[s] positions of each row (B,N) become known at step s."""
    masked = torch.ones_like(tokens, dtype=torch.bool)
    for count in counts:
        logits = net(input_ids=tokens.masked_fill(masked, MASK_ID)).logits
        logits[..., MASK_ID] = -torch.inf
        probability = logits.softmax(-1)
        drawn = torch.multinomial(probability.flatten(0, 1), 1).view_as(tokens)
        confidence = probability.gather(2, drawn[..., None])[..., 0]
        best = confidence.masked_fill(~masked, -1.0).topk(count, 1).indices
        chosen = torch.zeros_like(masked).scatter(1, best, True)
        tokens, masked = drawn.where(chosen, tokens), masked & ~chosen
    assert not masked.any()
    return tokens


def planned(denoiser: unmask.Denoiser, strategy: unmask.Strategy, length: int) -> list[int]:
    """How many positions of a row each step commits."""
    row = unmask.Canvas.blank(1, length)
    return [int(info.committed.sum()) for info in unmask.stream(denoiser, row, strategy, seed=0)]


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    net = network(options)
    denoiser = unmask.wrap(net, mask_id=MASK_ID)
    canvas = unmask.Canvas.blank(options.batch, options.length)
    blank = torch.full(canvas.shape, MASK_ID)
    confident = presets.confidence(options.steps).but(order=Probability(choose="after"))
    random = presets.random_order(options.steps)

    def ours(strategy: unmask.Strategy) -> Callable[[], Tensor]:
        return lambda: unmask.generate(denoiser, canvas, strategy, seed=0)

    with torch.no_grad():
        counts = planned(denoiser, confident, options.length)
        assert counts == planned(denoiser, random, options.length)
        print(f"committed at each step: {counts}")
        calls: dict[str, Callable[[], object]] = {
            "forward": lambda: net(input_ids=blank),
            "by hand": lambda: by_hand(net, blank, counts),
            "unmask": ours(confident),
            "unmask, random_order": ours(random),
        }
        times = measured(calls, options.repeats)
    floor = len(counts) * times.pop("forward")
    return [
        {
            "side": name,
            "steps": len(counts),
            "time / T forwards": seconds / floor,
            "by hand / it": times["by hand"] / seconds,
        }
        for name, seconds in times.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vocab", type=int, default=30_522)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.width % 64:
        parser.error(f"--width {options.width}: pass a multiple of 64, the width of a head")
    if options.vocab <= MASK_ID:
        parser.error(f"--vocab {options.vocab}: pass more than the mask id, {MASK_ID}")
    torch.set_num_threads(options.threads)
    print(about("transformers"))
    report(measure(options), options.json)


if __name__ == "__main__":
    main()
