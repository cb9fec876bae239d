"""Training by transformers' Trainer: `train`, recipes, and `trainer.MaskedTrainer`."""

from unmask.core.calls import check_calls
from unmask.training.annealing import AttentionAnnealing
from unmask.training.base_model import Base
from unmask.training.budgeting import plan
from unmask.training.described import described
from unmask.training.recipe import LoraOptions, Recipe
from unmask.training.recipes import RECIPES, default_recipe
from unmask.training.run import train
from unmask.training.settings import commented, read_settings
from unmask.training.watching import Progress

__all__ = [
    "RECIPES",
    "AttentionAnnealing",
    "Base",
    "LoraOptions",
    "Progress",
    "Recipe",
    "commented",
    "default_recipe",
    "described",
    "plan",
    "read_settings",
    "train",
]

check_calls(__name__)
