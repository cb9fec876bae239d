"""Measures of the quality of models and samples."""

from unmask.core.calls import check_calls
from unmask.evaluation.judges import (
    ClassAccuracy,
    TwoSample,
    class_accuracy,
    real_against_real,
    two_sample,
)
from unmask.evaluation.report import evaluate

__all__ = [
    "ClassAccuracy",
    "TwoSample",
    "class_accuracy",
    "evaluate",
    "real_against_real",
    "two_sample",
]

check_calls(__name__)
