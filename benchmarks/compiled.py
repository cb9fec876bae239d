"""A compiled trunk against the plain one: seconds of a pass, as a ratio, and of the first call.

    python benchmarks/compiled.py [--width 256] [--depth 6] [--length 256] [--rows 8] [--repeats 9]

A BERT of that size with random weights. Both are run in turn in one process; figures are medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from _machine import about
from transformers import BertConfig, BertForMaskedLM

import unmask

VOCAB = 1024


def network(width: int, depth: int, length: int) -> unmask.Denoiser:
    config = BertConfig(
        vocab_size=VOCAB,
        hidden_size=width,
        num_hidden_layers=depth,
        num_attention_heads=max(1, width // 32),
        intermediate_size=4 * width,
        max_position_embeddings=length,
    )
    return unmask.wrap(BertForMaskedLM(config).eval(), mask_id=VOCAB - 1, length=length)


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@torch.no_grad()
def measure(options: argparse.Namespace) -> dict[str, float]:
    plain = network(options.width, options.depth, options.length)
    compiled = unmask.Compiled(plain)
    tokens = torch.randint(VOCAB, (options.rows, options.length))
    valid = torch.ones_like(tokens, dtype=torch.bool)
    calls: dict[str, Callable[[], object]] = {
        name: lambda trunk=trunk: trunk.hidden(tokens, valid=valid, memory=None)
        for name, trunk in {"plain": plain, "compiled": compiled}.items()
    }
    first = seconds(calls["compiled"])
    if compiled.failure is not None:
        raise SystemExit(f"nothing to measure: {compiled.failure}")
    times: dict[str, list[float]] = {name: [] for name in calls}
    seconds(calls["plain"])
    for _ in range(options.repeats):
        for name, call in calls.items():
            times[name].append(seconds(call))
    a, b = (statistics.median(times[name]) for name in ("plain", "compiled"))
    return {"plain_seconds": a, "compiled_seconds": b, "ratio": b / a, "first_call_seconds": first}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("width", 256), ("depth", 6), ("length", 256), ("rows", 8)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--repeats", type=int, default=9)
    print(about("transformers"))
    for name, value in measure(parser.parse_args()).items():
        print(f"{name:20} {value:.4f}")


if __name__ == "__main__":
    main()
