"""How good are the samples: figures that need only the samples and real data."""

from unmask.evaluation.accuracy import ClassAccuracy, class_accuracy
from unmask.evaluation.two_sample import TwoSample, real_against_real, two_sample

__all__ = ["ClassAccuracy", "TwoSample", "class_accuracy", "real_against_real", "two_sample"]
