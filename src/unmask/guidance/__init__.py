"""Classifier-free guidance: logits with and without a condition, and weights to combine them."""

from unmask.core.calls import check_calls
from unmask.guidance.guidance import Form, Guidance, HidePrompt, NullCondition
from unmask.guidance.weights import (
    ConstantWeight,
    LinearWeight,
    PowerCosineWeight,
    RatioWeight,
    Weight,
)

__all__ = [
    "ConstantWeight",
    "Form",
    "Guidance",
    "HidePrompt",
    "LinearWeight",
    "NullCondition",
    "PowerCosineWeight",
    "RatioWeight",
    "Weight",
]

check_calls(__name__)
