"""Generate discrete sequences by iterative unmasking, with any masked network."""

from unmask import errors, ordering, pace, presets, revision, schedules, selection
from unmask.decoding import Canvas, Constraint, Strategy, done, finish, init, step
from unmask.generation import generate, run, stream
from unmask.models import ClassConditioned, SelfConditioning, load, save, wrap
from unmask.sampling import Annealed, Draw
from unmask.schedules import Schedule
from unmask.types import Denoiser, Generation, Loss, Proposal, State, StepInfo

__version__ = "0.1.0"

__all__ = [
    "Annealed",
    "Canvas",
    "ClassConditioned",
    "Constraint",
    "Denoiser",
    "Draw",
    "Generation",
    "Loss",
    "Proposal",
    "Schedule",
    "SelfConditioning",
    "State",
    "StepInfo",
    "Strategy",
    "done",
    "errors",
    "finish",
    "generate",
    "init",
    "load",
    "ordering",
    "pace",
    "presets",
    "revision",
    "run",
    "save",
    "schedules",
    "selection",
    "step",
    "stream",
    "wrap",
]
