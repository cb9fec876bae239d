"""Generate discrete sequences by iterative unmasking, with any masked network.

Names are loaded when they are first used, so that `import unmask` is fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unmask import (
        commit,
        compat,
        constraints,
        errors,
        guidance,
        models,
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
    from unmask.core.generation import Generation
    from unmask.core.loss import Loss
    from unmask.core.network import Cache, Denoiser, DenoiserSpec, Query
    from unmask.core.state import Proposal, State, StepInfo
    from unmask.data import padding
    from unmask.decoding.canvas import Canvas
    from unmask.decoding.decide import decide
    from unmask.decoding.init import init
    from unmask.decoding.prepare import prepare
    from unmask.decoding.step import done, finish, step
    from unmask.decoding.strategy import Strategy
    from unmask.engine.engine import Engine
    from unmask.engine.run import generate, run, stream
    from unmask.engine.stages import run_stages
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
    from unmask.text import TextModel

__version__: str

_MODULES = {
    "unmask": (
        "commit", "compat", "constraints", "errors", "guidance", "models", "noise", "objectives",
        "orders", "presets", "revise", "schedules", "scoring", "stopping",
    ),
    "unmask.data": ("padding",),
}  # fmt: skip
_NAMES = {
    "unmask.candidates": ("Candidates", "best_of", "length_beam"),
    "unmask.constraints": ("Constraint",),
    "unmask.core.network": ("Cache", "Denoiser", "DenoiserSpec", "Query"),
    "unmask.core.generation": ("Generation",),
    "unmask.core.loss": ("Loss",),
    "unmask.core.state": ("Proposal", "State", "StepInfo"),
    "unmask.decoding": (
        "Canvas", "Strategy", "decide", "done", "finish", "init", "prepare", "step",
    ),
    "unmask.engine": ("Engine", "generate", "run", "run_stages", "stream"),
    "unmask.groups": ("Groups",),
    "unmask.guidance": ("Guidance",),
    "unmask.models": (
        "Captured", "ClassConditioned", "Compiled", "Packed", "SelfConditioning", "SelfCritic",
        "TokenCritic", "load", "save", "wrap",
    ),
    "unmask.sampling": ("Annealed", "Sampling", "SquaredDecay"),
    "unmask.schedules": ("Schedule",),
    "unmask.scoring": ("score",),
    "unmask.text": ("TextModel",),
}  # fmt: skip
_WHERE = {name: module for module, names in _NAMES.items() for name in names}
_WHERE_MODULE = {name: package for package, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _WHERE_MODULE:
        value: Any = import_module(f"{_WHERE_MODULE[name]}.{name}")
    elif name in _WHERE:
        value = getattr(import_module(_WHERE[name]), name)
    elif name == "__version__":
        from importlib.metadata import version

        value = version("unmask")
    else:
        raise AttributeError(f"module 'unmask' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


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
    "TextModel",
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
    "models",
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
