"""Generate discrete sequences by iterative unmasking, with any masked network."""

from importlib.metadata import version

from unmask import (
    commit,
    compat,
    constraints,
    guidance,
    noise,
    objectives,
    orders,
    presets,
    revise,
    schedules,
    scoring,
    stopping,
)
from unmask.candidates import Candidates, best_of, length_beam
from unmask.constraints import Constraint
from unmask.core import errors
from unmask.core.network import Cache, Denoiser, DenoiserSpec, Query
from unmask.core.state import Generation, Loss, Proposal, State, StepInfo
from unmask.data import padding
from unmask.decoding import Canvas, Strategy, decide, done, finish, init, prepare, step
from unmask.engine import Engine, generate, run, run_stages, stream
from unmask.groups import Groups
from unmask.guidance import Guidance
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
from unmask.sampling import Annealed, Sampling, SquaredDecay
from unmask.schedules import Schedule
from unmask.scoring import score

__version__ = version("unmask")

__all__ = [
    "Annealed",
    "Cache",
    "Candidates",
    "Canvas",
    "Captured",
    "ClassConditioned",
    "Compiled",
    "Constraint",
    "Denoiser",
    "DenoiserSpec",
    "Engine",
    "Generation",
    "Groups",
    "Guidance",
    "Loss",
    "Packed",
    "Proposal",
    "Query",
    "Sampling",
    "Schedule",
    "SelfConditioning",
    "SelfCritic",
    "SquaredDecay",
    "State",
    "StepInfo",
    "Strategy",
    "TokenCritic",
    "best_of",
    "commit",
    "compat",
    "constraints",
    "decide",
    "done",
    "errors",
    "finish",
    "generate",
    "guidance",
    "init",
    "length_beam",
    "load",
    "noise",
    "objectives",
    "orders",
    "padding",
    "prepare",
    "presets",
    "revise",
    "run",
    "run_stages",
    "save",
    "schedules",
    "score",
    "scoring",
    "step",
    "stopping",
    "stream",
    "wrap",
]
