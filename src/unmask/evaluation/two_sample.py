"""Classifier two-sample test: can a random forest tell generated rows from real ones?

B rows, N positions. An accuracy of 0.5 means that the two sets are indistinguishable to it, 1.0
that every row gives itself away. (Lopez-Paz and Oquab, 2017, "Revisiting classifier two-sample
tests".)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unmask.core.ids import are_integers
from unmask.errors import DataError, MissingExtraError
from unmask.evaluation.shares import share_error

FOLDS = 5
TREES = 200


@dataclass(frozen=True)
class TwoSample:
    """The accuracy of the forest on rows it was not fitted on."""

    accuracy: float
    """Share of all 2·rows rows told apart correctly; 0.5 is perfect for a generator."""
    standard_error: float
    """Of the accuracy: binomial, over the 2·rows held-out predictions; `share_error`."""
    rows: int
    """Rows on each side."""


def two_sample(generated: Tensor, real: Tensor, seed: int = 0) -> TwoSample:
    """Five-fold cross-validated accuracy of a 200-tree forest telling `generated` from `real`.

    generated, real: (B, N) integer ids of the same shape. Folds are stratified and, like the
    forest, fixed by the seed. The standard error is binomial because that of five fold means
    is too small: over repeated real-against-real splits of 2×898 digits the accuracy varied by
    .0126, the binomial error is .0118, and the folds claimed .0094.
    Raises DataError for unequal or too small sets, MissingExtraError without scikit-learn.
    """
    _check(generated, real)
    try:
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.model_selection import StratifiedKFold, cross_val_predict
    except ImportError as error:
        raise MissingExtraError(
            "the two-sample test needs scikit-learn, which is not installed; "
            "type: pip install 'unmask[tasks]'"
        ) from error
    rows = len(generated)
    ids = torch.cat([generated.cpu(), real.cpu()]).numpy()
    is_real = np.repeat([0, 1], rows)
    guess = cross_val_predict(
        RandomForestClassifier(n_estimators=TREES, random_state=seed),
        ids,
        is_real,
        cv=StratifiedKFold(FOLDS, shuffle=True, random_state=seed),
    )
    accuracy = float((guess == is_real).mean())
    return TwoSample(accuracy, share_error(accuracy, 2 * rows), rows)


def real_against_real(real: Tensor, rows: int | None = None, seed: int = 0) -> TwoSample:
    """The figure that a perfect generator would get: two disjoint random halves of `real` (B, N).

    `rows` on each side, by default B // 2. Raises as `two_sample`.
    """
    half = len(real) // 2
    if rows is not None and not FOLDS <= rows <= half:
        raise DataError(
            f"rows={rows} on each side, but {len(real)} real rows give {FOLDS} to {half}"
        )
    rows = half if rows is None else rows
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(real))).to(real.device)
    return two_sample(real[order[:rows]], real[order[rows : 2 * rows]], seed)


def _check(generated: Tensor, real: Tensor) -> None:
    for name, ids in (("generated", generated), ("real", real)):
        if ids.dim() != 2 or not are_integers(ids):
            raise DataError(
                f"{name} is {ids.dtype} of shape {tuple(ids.shape)}; pass integer ids (B, N)"
            )
    if generated.shape[1] != real.shape[1]:
        raise DataError(
            f"generated has {generated.shape[1]} positions and real {real.shape[1]}; compare the "
            "same positions, for instance without a leading class id: generated[:, 1:]"
        )
    if len(generated) != len(real):
        raise DataError(
            f"{len(generated)} generated rows against {len(real)} real ones: with unequal numbers "
            "0.5 no longer means indistinguishable; pass as many of one as of the other"
        )
    if len(generated) < FOLDS:
        raise DataError(f"{len(generated)} rows: {FOLDS} folds need at least {FOLDS} on each side")
