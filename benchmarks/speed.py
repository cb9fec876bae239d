"""Generation against its bare forward passes and against x-transformers' wrapper, by vocabulary.

    python benchmarks/speed.py [--vocab 256 8192] [--steps 18] [--repeats 3]

Encoder of width 256 and depth 6, N = 256, as many threads as torch takes. Both sides run in turn in
one process; figures are medians, as ratios to steps × one bare full forward.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable

import torch
from x_transformers import Encoder, TransformerWrapper
from x_transformers import NonAutoregressiveWrapper as Reference

import unmask

LENGTH = 256
BATCH = {256: 8, 1024: 8, 8192: 8, 32_000: 4, 128_000: 1}


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(vocab: int, steps: int, repeats: int) -> dict[str, float]:
    batch = BATCH.get(vocab, 4)
    net = TransformerWrapper(
        num_tokens=vocab, max_seq_len=LENGTH, attn_layers=Encoder(dim=256, depth=6, heads=8)
    ).eval()
    tokens = torch.randint(0, vocab, (batch, LENGTH))
    reference = Reference(net, mask_id=vocab - 1, steps=steps)
    denoiser = unmask.wrap(net, mask_id=vocab - 1)
    strategies = {
        "annealed": unmask.presets.annealed(steps),
        "maskgit": unmask.presets.maskgit(steps),
        "random_order": unmask.presets.random_order(steps),
    }
    with torch.no_grad():
        calls: dict[str, Callable[[], object]] = {
            "forward": lambda: net(tokens),
            "reference": lambda: reference.generate(batch),
        }
        for name, strategy in strategies.items():
            calls[name] = lambda s=strategy: unmask.generate(
                denoiser, batch_size=batch, strategy=s, seed=0
            )
        for call in calls.values():
            call()
        times: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(repeats):
            for name, call in calls.items():
                times[name].append(seconds(call))
    floor = steps * statistics.median(times.pop("forward"))
    ratios = {name: statistics.median(values) / floor for name, values in times.items()}
    return {"vocab": vocab, "batch": batch, "floor_seconds": floor} | ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vocab", type=int, nargs="+", default=list(BATCH))
    parser.add_argument("--steps", type=int, default=18)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, unmask {unmask.__version__}"
    )
    for vocab in options.vocab:
        row = measure(vocab, options.steps, options.repeats)
        print(json.dumps({k: round(v, 3) for k, v in row.items()}), flush=True)


if __name__ == "__main__":
    main()
