"""The digits' figures: held-out bound, classifier two-sample test, class accuracy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from unmask import presets
from unmask.core.network import Denoiser
from unmask.decoding import Canvas, Strategy
from unmask.engine.run import generate
from unmask.evaluation.accuracy import ClassAccuracy, class_accuracy
from unmask.evaluation.two_sample import real_against_real, two_sample
from unmask.scoring import Bound, score
from unmask.tasks import Task, task

IMAGES = 1000
STEPS = (1, 8, 16, 64)
BOUND_PAIRS = 64
BATCH = 500
# Measured elsewhere with a 455k-parameter encoder: two-sample accuracy by (preset, steps).
REFERENCE = {
    ("random_order", 1): 0.982,
    ("random_order", 16): 0.737,
    ("random_order", 64): 0.703,
    ("maskgit", 16): 0.786,
}
BOUND_REFERENCE = 1.938

Plan = Iterator[tuple[str, Callable[[], dict[str, Any]]]]
_EMPTY = {
    "figure": None,
    "preset": None,
    "steps": None,
    "samples": None,
    "bits_per_dim": None,
    "two_sample": None,
    "two_sample_by_class": None,
    "class_accuracy": None,
    "standard_error": None,
    "reference": None,
}


def plan(model: Denoiser, seed: int, quick: bool) -> Plan:
    """Every measurement with its name."""
    data = task("digits")
    images = IMAGES // 10 if quick else IMAGES
    yield "held-out bound", partial(_bound, model, data, 4 if quick else BOUND_PAIRS)
    yield "real against real", partial(_real, data, seed)
    for preset in ("random_order", "maskgit", "confidence", "annealed"):
        for steps in STEPS:
            strategy = getattr(presets, preset)(steps=steps)
            name = f"{images} images and {images} by class, {preset}, T={steps}"
            yield name, partial(_samples, model, data, strategy, steps, images, seed)


def _bound(model: Denoiser, data: Task, pairs: int) -> dict[str, Any]:
    held_out = score(model, data.held_out, by=Bound(pairs))
    return _EMPTY | {
        "figure": "held-out bound",
        "samples": held_out.examples,
        "bits_per_dim": held_out.bits_per_token,
        "standard_error": held_out.bits_error,
        "reference": BOUND_REFERENCE,
    }


def _real(data: Task, seed: int) -> dict[str, Any]:
    """The scores of real images by the two judges."""
    result = real_against_real(torch.cat([data.train, data.held_out]), seed=seed)
    assert data.held_out_labels is not None
    judged = _class_accuracy(data, data.held_out, data.held_out_labels)
    return _EMPTY | {
        "figure": "real images",
        "samples": result.rows,
        "two_sample": result.accuracy,
        "class_accuracy": judged.accuracy,
        "standard_error": result.standard_error,
        "reference": 0.5,
    }


def _samples(
    model: Denoiser, data: Task, strategy: Strategy, steps: int, images: int, seed: int
) -> dict[str, Any]:
    """Images drawn without a class, and as many with classes dealt out evenly, as in the data."""
    everything = torch.cat([data.train, data.held_out])
    generator = torch.Generator().manual_seed(seed)
    real = everything[torch.randperm(len(everything), generator=generator)[:images]]
    labels = torch.arange(images) % data.classes
    by_class = _generate(model, data, strategy, images, labels, seed + 1)
    result = two_sample(_generate(model, data, strategy, images, None, seed), real, seed)
    return _EMPTY | {
        "figure": "samples",
        "preset": strategy.name,
        "steps": steps,
        "samples": images,
        "two_sample": result.accuracy,
        "two_sample_by_class": two_sample(by_class, real, seed).accuracy,
        "class_accuracy": _class_accuracy(data, by_class, labels).accuracy,
        "standard_error": result.standard_error,
        "reference": REFERENCE.get((strategy.name, steps)),
    }


def _class_accuracy(data: Task, images: Tensor, labels: Tensor) -> ClassAccuracy:
    assert data.train_labels is not None
    assert data.held_out_labels is not None
    return class_accuracy(
        images,
        labels,
        train_tokens=data.train,
        train_labels=data.train_labels,
        held_out_tokens=data.held_out,
        held_out_labels=data.held_out_labels,
    )


def _generate(
    model: Denoiser, data: Task, strategy: Strategy, images: int, labels: Tensor | None, seed: int
) -> Tensor:
    """(images, 64), in batches that fit the cache."""
    parts = []
    for start in range(0, images, BATCH):
        given = None if labels is None else labels[start : start + BATCH]
        size = min(BATCH, images - start)
        canvas = Canvas.blank(size, data.train.shape[1], condition=given)
        parts.append(generate(model, canvas, strategy, seed=seed * IMAGES + start))
    return torch.cat(parts)
