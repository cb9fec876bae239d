"""scikit-learn's 8×8 handwritten digits as tokens: 17 grey levels, one position per pixel.

B images, 64 positions in row-major order. Ids 0..16 are the grey levels, `MASK_ID` an unknown
pixel. A class is no id: the network is given it apart (`models.ClassConditioned`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unmask.errors import MissingExtraError

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


@contextmanager
def needing_sklearn(what: str) -> Iterator[None]:
    """Raise MissingExtraError where an import fails."""
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(
            f"{what} needs scikit-learn, which is not installed; type: pip install 'unmask[tasks]'"
        ) from error


def load() -> Digits:
    """The 1,797 images, of which a fixed permutation's last 360 are held out.

    Raises MissingExtraError without scikit-learn. Nothing is downloaded: scikit-learn ships them.
    """
    with needing_sklearn("the data set of digits"):
        from sklearn.datasets import load_digits
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(pixels))
    tokens = torch.from_numpy(pixels[order].astype(np.int64))
    classes = torch.from_numpy(labels[order].astype(np.int64))
    train, held_out = slice(-HELD_OUT_COUNT), slice(-HELD_OUT_COUNT, None)
    return Digits(tokens[train], classes[train], tokens[held_out], classes[held_out])
