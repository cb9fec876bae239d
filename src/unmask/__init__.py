"""Generate discrete sequences by iterative unmasking, with any masked network."""

from importlib.metadata import version

from unmask import (
    compat,
    errors,
    feasibility,
    objectives,
    ordering,
    pace,
    padding,
    presets,
    revision,
    schedules,
    scoring,
    selection,
)
from unmask.candidates import Candidates, best_of, length_beam
from unmask.decoding import (
    Canvas,
    Constraint,
    Guidance,
    Guided,
    LastDraw,
    MaskId,
    RandomIds,
    StableAndConfident,
    Strategy,
    done,
    finish,
    guidance,
    init,
    step,
)
from unmask.generation import generate, run, stream
from unmask.grouping import Groups
from unmask.models import (
    Captured,
    ClassConditioned,
    Compiled,
    Packed,
    SelfConditioning,
    SelfCritic,
    TokenCritic,
    load,
    save,
    wrap,
)
from unmask.sampling import Annealed, Draw, SquaredDecay
from unmask.schedules import Schedule
from unmask.scoring import score
from unmask.stages import run_stages
from unmask.types import Denoiser, Generation, Loss, Proposal, State, StepInfo

__version__ = version("unmask")

__all__ = [
    "Annealed",
    "Candidates",
    "Canvas",
    "Captured",
    "ClassConditioned",
    "Compiled",
    "Constraint",
    "Denoiser",
    "Draw",
    "Generation",
    "Groups",
    "Guidance",
    "Guided",
    "LastDraw",
    "Loss",
    "MaskId",
    "Packed",
    "Proposal",
    "RandomIds",
    "Schedule",
    "SelfConditioning",
    "SelfCritic",
    "SquaredDecay",
    "StableAndConfident",
    "State",
    "StepInfo",
    "Strategy",
    "TokenCritic",
    "best_of",
    "compat",
    "done",
    "errors",
    "feasibility",
    "finish",
    "generate",
    "guidance",
    "init",
    "length_beam",
    "load",
    "objectives",
    "ordering",
    "pace",
    "padding",
    "presets",
    "revision",
    "run",
    "run_stages",
    "save",
    "schedules",
    "score",
    "scoring",
    "selection",
    "step",
    "stream",
    "wrap",
]
