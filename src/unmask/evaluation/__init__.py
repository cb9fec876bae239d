"""Measures of the quality of models and samples."""

from unmask.core.calls import check_calls
from unmask.evaluation.accuracy import ClassAccuracy, class_accuracy
from unmask.evaluation.report import evaluate
from unmask.evaluation.two_sample import TwoSample, real_against_real, two_sample

__all__ = [
    "ClassAccuracy",
    "TwoSample",
    "class_accuracy",
    "evaluate",
    "real_against_real",
    "two_sample",
]

check_calls(__name__)
