"""Training on transformers' Trainer: `train` for the built-in tasks, and its recipes."""

from unmask.training.recipes import RECIPES, Recipe
from unmask.training.run import Progress, train

__all__ = ["RECIPES", "Progress", "Recipe", "train"]
