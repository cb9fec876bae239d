"""Spread of training gradients at equal cost: pairs of masks, or twice as many examples with one.

    python benchmarks/gradients.py [--batches 80] [--json] [--quick]

The bundled digits model on its training images. A batch is 16 rows through the network: 16 images
with one mask each, or 8 with a mask and its complement. Images and masks are drawn anew for each
batch, at times that are stratified over its rows. The variance is summed over all parameters;
nothing is timed, and every figure depends on the seed alone.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import torch
from _machine import about
from _report import parsed
from torch import Tensor

import unmask
from unmask import objectives
from unmask.core.random import Purpose, fold, uniform
from unmask.objectives.corruption import independent_times, slot_times
from unmask.tasks import task

ROWS = 16
CASES: dict[str, tuple[Any, int, bool]] = {
    "complementary, stratified": (objectives.complementary, ROWS // 2, True),
    "count, stratified": (objectives.count, ROWS, True),
    "count, independent times": (objectives.count, ROWS, False),
    "bernoulli_by_count, stratified": (objectives.bernoulli_by_count, ROWS, True),
}


def gradient(model: Any, data: Tensor, case: str, batch: int) -> tuple[Tensor, float]:
    """All gradients of one batch as a vector, and its loss."""
    objective, rows, stratified = CASES[case]
    seed = fold(batch, torch.arange(rows))
    chosen = data[(uniform(seed, 0, 0, Purpose.TASK)[:, 0] * len(data)).long()]
    time = slot_times(seed, torch.arange(rows), rows) if stratified else independent_times(seed)
    loss = objective(model, chosen, torch.ones_like(chosen, dtype=torch.bool), seed, time=time).loss
    parts = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    return torch.cat([part.flatten() for part in parts if part is not None]), float(loss.detach())


def spread(model: Any, data: Tensor, case: str, batches: int) -> dict[str, Any]:
    """Variance of the gradient, summed over parameters, and deviation of the loss."""
    total, squares, losses = 0.0, 0.0, []
    for batch in range(batches):
        one, loss = gradient(model, data, case, batch)
        total = total + one.double()
        squares += float(one.double().square().sum())
        losses.append(loss)
    mean = torch.as_tensor(total) / batches
    return {
        "objective": case,
        "gradient_variance": (squares - batches * float(mean.square().sum())) / (batches - 1),
        "loss_deviation": float(torch.tensor(losses).std()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=80)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="few batches: does it run?")
    options = parsed(parser, batches=2)
    torch.set_num_threads(1)
    model, data = unmask.load("digits"), task("digits").train
    rows = [spread(model, data, case, options.batches) for case in CASES]
    if options.json:
        print(json.dumps(rows))
        return
    print(about())
    for row in rows:
        print(
            f"{row['objective']:<32}gradient variance {row['gradient_variance']:.3f}   "
            f"loss deviation {row['loss_deviation']:.4f}"
        )


if __name__ == "__main__":
    main()
