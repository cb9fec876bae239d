"""The digits' figures: held-out bound, classifier two-sample test, class accuracy."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from unmask import presets
from unmask.core.generation import Generation
from unmask.core.network import Denoiser
from unmask.core.random import derive
from unmask.decoding import Canvas, Strategy
from unmask.engine.run import run
from unmask.evaluation import judges
from unmask.evaluation.figures import BATCH, Plan, Row
from unmask.scoring import Bound, score
from unmask.tasks import Task, digits, task

IMAGES = 1000
STEPS = (1, 8, 16, 64)
BOUND_PAIRS = 64
# Measured elsewhere with a 455k-parameter encoder: two-sample accuracy by (preset, steps).
REFERENCE = {
    ("random_order", 1): 0.982,
    ("random_order", 16): 0.737,
    ("random_order", 64): 0.703,
    ("maskgit", 16): 0.786,
}
BOUND_REFERENCE = 1.938

_EMPTY = dict.fromkeys((
    "figure", "preset", "steps", "samples", "bits_per_dim", "two_sample", "two_sample_by_class",
    "class_accuracy", "standard_error", "reference",
))  # fmt: skip


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
            yield name, partial(_samples, model, strategy, steps, images, seed)


def _bound(model: Denoiser, data: Task, pairs: int) -> Row:
    held_out = score(model, data.held_out, by=Bound(pairs))
    return _EMPTY | {
        "figure": "held-out bound",
        "samples": held_out.examples,
        "bits_per_dim": held_out.bits_per_token,
        "standard_error": held_out.bits_error,
        "reference": BOUND_REFERENCE,
    }


def _real(data: Task, seed: int) -> Row:
    """The scores of real images by the two judges."""
    result = judges.real_against_real(torch.cat([data.train, data.held_out]), seed=seed)
    assert data.held_out_labels is not None
    return _EMPTY | {
        "figure": "real images",
        "samples": result.rows,
        "two_sample": result.accuracy,
        "class_accuracy": recognised(data.held_out, data.held_out_labels).accuracy,
        "standard_error": result.standard_error,
        "reference": 0.5,
    }


def _samples(model: Denoiser, strategy: Strategy, steps: int, images: int, seed: int) -> Row:
    """Images drawn without a class, and as many with classes dealt out evenly, as in the data."""
    labels = torch.arange(images) % digits.CLASSES
    by_class = draw(model, strategy, _seeds(seed + 1, images), labels).tokens
    result = told_apart(draw(model, strategy, _seeds(seed, images)).tokens, seed)
    return _EMPTY | {
        "figure": "samples",
        "preset": strategy.name,
        "steps": steps,
        "samples": images,
        "two_sample": result.accuracy,
        "two_sample_by_class": told_apart(by_class, seed).accuracy,
        "class_accuracy": recognised(by_class, labels).accuracy,
        "standard_error": result.standard_error,
        "reference": REFERENCE.get((strategy.name, steps)),
    }


def _seeds(seed: int, images: int) -> Tensor:
    """(images,) int64, in parts, as the figures on record were drawn."""
    starts = range(0, images, BATCH)
    return torch.cat([derive(seed * IMAGES + at, min(BATCH, images - at)) for at in starts])


def draw(
    model: Denoiser, strategy: Strategy, seeds: Tensor, labels: Tensor | None = None
) -> Generation:
    """Draw an image with each of the seeds (B,), of the classes (B,) if there are any."""
    canvas = Canvas.blank(len(seeds), digits.PIXELS, condition=labels)
    return run(model, canvas, strategy, seeds=seeds, max_rows=BATCH)


def told_apart(images: Tensor, seed: int) -> judges.TwoSample:
    """Hold images (B,64) against as many real ones, chosen by the seed."""
    data = task("digits")
    real = torch.cat([data.train, data.held_out])
    order = torch.randperm(len(real), generator=torch.Generator().manual_seed(seed))
    return judges.two_sample(images, real[order[: len(images)]], seed)


def recognised(images: Tensor, labels: Tensor) -> judges.ClassAccuracy:
    """Have the classes (B,) of images (B,64) judged by a classifier of real ones."""
    return judges.class_accuracy(images, labels, **vars(digits.load()))
