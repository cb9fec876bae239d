"""Class accuracy: are the samples made for class c recognised as class c?

B rows, N positions. A support-vector classifier fitted on real training images is the judge; its
accuracy on real held-out images is the ceiling that the figure must be read against.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unmask.core.ids import are_integers
from unmask.errors import DataError, MissingExtraError
from unmask.evaluation.shares import share_error

# Five-fold cross-validation on the 1,437 training digits: C from 1 to 30 and gamma from .001 to
# .0015 form a plateau at .991 (grey levels 0..16, not rescaled); the middle of it is taken.
PENALTY = 10.0
GAMMA = 0.001


@dataclass(frozen=True)
class ClassAccuracy:
    """The judge's verdict on the samples and on real images."""

    accuracy: float
    """Share of the generated rows recognised as the class they were made for."""
    standard_error: float
    """Of `accuracy`: `share_error`."""
    held_out: float
    """Share of the real held-out rows recognised: the ceiling."""
    rows: int
    """Generated rows judged."""


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
    _check("generated", generated, labels, generated.shape[-1])
    _check("train_tokens", train_tokens, train_labels, generated.shape[-1])
    _check("held_out_tokens", held_out_tokens, held_out_labels, generated.shape[-1])
    try:
        from sklearn.svm import SVC
    except ImportError as error:
        raise MissingExtraError(
            "class accuracy needs scikit-learn, which is not installed; "
            "type: pip install 'unmask[tasks]'"
        ) from error
    judge = SVC(C=PENALTY, gamma=GAMMA)
    judge.fit(train_tokens.cpu().numpy(), train_labels.cpu().numpy())
    accuracy = float(judge.score(generated.cpu().numpy(), labels.cpu().numpy()))
    ceiling = float(judge.score(held_out_tokens.cpu().numpy(), held_out_labels.cpu().numpy()))
    rows = len(generated)
    return ClassAccuracy(accuracy, share_error(accuracy, rows), ceiling, rows)


def _check(name: str, tokens: Tensor, labels: Tensor, positions: int) -> None:
    if tokens.dim() != 2 or not are_integers(tokens):
        raise DataError(
            f"{name} is {tokens.dtype} of shape {tuple(tokens.shape)}; pass integer ids (B, N)"
        )
    if not len(tokens):
        raise DataError(f"{name} has no rows; there is nothing to judge")
    if tokens.shape[1] != positions:
        raise DataError(
            f"{name} has {tokens.shape[1]} positions, but the generated rows have {positions}; "
            "pass the same positions everywhere, for instance without a leading class id"
        )
    if labels.shape != (len(tokens),):
        raise DataError(
            f"{name} has {len(tokens)} rows but its labels have shape {tuple(labels.shape)}; "
            f"pass one class per row, shape ({len(tokens)},)"
        )
