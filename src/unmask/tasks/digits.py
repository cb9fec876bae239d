"""scikit-learn's 8×8 handwritten digits as tokens: 17 grey levels, one position per pixel.

B images, 64 positions in row-major order. Ids 0..16 are the grey levels, `MASK_ID` an unknown
pixel. A class is no id: the network is given it apart (`models.ClassConditioned`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unmask.core.optional import library

SIDE = 8
PIXELS = SIDE * SIDE
LEVELS = 17
MASK_ID = 17
CLASSES = 10
VOCAB = 18
HELD_OUT_COUNT = 360


@dataclass(frozen=True, eq=False)
class Digits:
    """The images and their labels under the fixed split; all tensors are long."""

    train_tokens: Tensor  # (1437, 64), grey levels 0..16
    train_labels: Tensor  # (1437,), classes 0..9
    held_out_tokens: Tensor  # (360, 64)
    held_out_labels: Tensor  # (360,)


def sklearn(module: str, what: str) -> Any:
    """Return a module of scikit-learn. Raises MissingExtraError where it is not installed."""
    why = f"{what} needs scikit-learn, which is not installed; type"
    return library(f"sklearn.{module}", "tasks", why)


def load() -> Digits:
    """The 1,797 images, of which a fixed permutation's last 360 are held out.

    Raises MissingExtraError without scikit-learn. Nothing is downloaded: scikit-learn ships them.
    """
    datasets = sklearn("datasets", "the data set of digits")
    pixels, labels = datasets.load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(pixels))
    tokens = torch.from_numpy(pixels[order].astype(np.int64))
    classes = torch.from_numpy(labels[order].astype(np.int64))
    train, held_out = slice(-HELD_OUT_COUNT), slice(-HELD_OUT_COUNT, None)
    return Digits(tokens[train], classes[train], tokens[held_out], classes[held_out])
