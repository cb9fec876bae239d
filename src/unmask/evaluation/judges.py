"""Judges of samples: classifiers that tell them from real rows, or tell their classes.

B rows, N positions. The two-sample test asks whether a random forest can tell generated rows from
real ones: 0.5 means that it cannot, 1.0 that every row gives itself away (Lopez-Paz and Oquab,
2017, "Revisiting classifier two-sample tests"). Class accuracy asks whether samples made for a
class are recognised by a support-vector classifier of real rows; its accuracy on real held-out ones
is the ceiling.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unmask.core.ids import are_integers
from unmask.errors import DataError
from unmask.evaluation.figures import share_error
from unmask.tasks.digits import sklearn

FOLDS = 5
TREES = 200
# Five-fold cross-validation on the 1,437 training digits: C from 1 to 30 and gamma from .001 to
# .0015 form a plateau at .991 (grey levels 0..16, not rescaled); the middle of it is taken.
PENALTY = 10.0
GAMMA = 0.001


@dataclass(frozen=True)
class TwoSample:
    """The accuracy of the forest on rows it was not fitted on."""

    accuracy: float  # share of all 2·rows rows told apart; 0.5 is perfect for a generator
    standard_error: float  # of the accuracy: `share_error` of 2·rows held-out predictions
    rows: int  # on each side


@dataclass(frozen=True)
class ClassAccuracy:
    """The judge's verdict on the samples and on real images."""

    accuracy: float  # share of the generated rows recognised as the class they were made for
    standard_error: float  # of the accuracy: `share_error`
    held_out: float  # share of the real held-out rows recognised: the ceiling
    rows: int  # generated rows judged


def two_sample(generated: Tensor, real: Tensor, seed: int = 0) -> TwoSample:
    """Five-fold cross-validated accuracy of a 200-tree forest telling `generated` from `real`.

    generated, real: (B, N) integer ids of the same shape. Folds are stratified and, like the
    forest, fixed by the seed. The standard error is binomial because that of five fold means
    is too small: over repeated real-against-real splits of 2×898 digits the accuracy varied by
    .0126, the binomial error is .0118, and the folds claimed .0094.
    Raises DataError for unequal or too small sets, MissingExtraError without scikit-learn.
    """
    _check_alike(generated, real)
    ensemble, selection = (
        sklearn(part, "the two-sample test") for part in ("ensemble", "model_selection")
    )
    rows = len(generated)
    ids = torch.cat([generated.cpu(), real.cpu()]).numpy()
    is_real = np.repeat([0, 1], rows)
    forest = ensemble.RandomForestClassifier(n_estimators=TREES, random_state=seed)
    folds = selection.StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    guess = selection.cross_val_predict(forest, ids, is_real, cv=folds)
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


def class_accuracy(
    generated: Tensor,
    labels: Tensor,
    *,
    train_tokens: Tensor,
    train_labels: Tensor,
    held_out_tokens: Tensor,
    held_out_labels: Tensor,
) -> ClassAccuracy:
    """Judge class-conditional samples by a classifier fitted on real training rows.

    generated, train_tokens and held_out_tokens: (B, N) integer ids, each with its own B; labels,
    train_labels and held_out_labels: (B,) integer classes, `labels` those that were asked for.
    Raises DataError for shapes that do not fit, MissingExtraError without scikit-learn.
    """
    _check_labelled("generated", generated, labels, generated.shape[-1])
    _check_labelled("train_tokens", train_tokens, train_labels, generated.shape[-1])
    _check_labelled("held_out_tokens", held_out_tokens, held_out_labels, generated.shape[-1])
    judge = sklearn("svm", "class accuracy").SVC(C=PENALTY, gamma=GAMMA)
    judge.fit(train_tokens.cpu().numpy(), train_labels.cpu().numpy())
    accuracy = float(judge.score(generated.cpu().numpy(), labels.cpu().numpy()))
    ceiling = float(judge.score(held_out_tokens.cpu().numpy(), held_out_labels.cpu().numpy()))
    return ClassAccuracy(accuracy, share_error(accuracy, len(labels)), ceiling, len(labels))


def _check_ids(name: str, ids: Tensor, positions: int) -> None:
    if ids.dim() != 2 or not are_integers(ids):
        raise DataError(
            f"{name} is {ids.dtype} of shape {tuple(ids.shape)}; pass integer ids (B, N)"
        )
    if not len(ids):
        raise DataError(f"{name} has no rows; there is nothing to judge")
    if ids.shape[1] != positions:
        raise DataError(
            f"{name} has {ids.shape[1]} positions, but the generated rows have {positions}; pass "
            "the same positions everywhere, for instance without a leading class id: "
            "generated[:, 1:]"
        )


def _check_alike(generated: Tensor, real: Tensor) -> None:
    _check_ids("generated", generated, generated.shape[-1])
    _check_ids("real", real, generated.shape[1])
    if len(generated) != len(real):
        raise DataError(
            f"{len(generated)} generated rows against {len(real)} real ones: with unequal numbers "
            "0.5 no longer means indistinguishable; pass as many of one as of the other"
        )
    if len(generated) < FOLDS:
        raise DataError(f"{len(generated)} rows: {FOLDS} folds need at least {FOLDS} on each side")


def _check_labelled(name: str, tokens: Tensor, labels: Tensor, positions: int) -> None:
    _check_ids(name, tokens, positions)
    if labels.shape != (len(tokens),):
        raise DataError(
            f"{name} has {len(tokens)} rows but its labels have shape {tuple(labels.shape)}; "
            f"pass one class per row, shape ({len(tokens)},)"
        )
