"""Generate discrete sequences by iterative unmasking, with any masked network.

Names are loaded when they are first used, so that `import unmask` is fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unmask import commit as commit
    from unmask import compat as compat
    from unmask import constraints as constraints
    from unmask import errors as errors
    from unmask import growth as growth
    from unmask import guidance as guidance
    from unmask import models as models
    from unmask import noise as noise
    from unmask import objectives as objectives
    from unmask import orders as orders
    from unmask import presets as presets
    from unmask import revise as revise
    from unmask import schedules as schedules
    from unmask import scoring as scoring
    from unmask import stopping as stopping
    from unmask.candidates import Candidates as Candidates
    from unmask.candidates import best_of as best_of
    from unmask.candidates import length_beam as length_beam
    from unmask.constraints import Constraint as Constraint
    from unmask.core.generation import Generation as Generation
    from unmask.core.loss import Loss as Loss
    from unmask.core.network import Cache as Cache
    from unmask.core.network import Denoiser as Denoiser
    from unmask.core.network import DenoiserSpec as DenoiserSpec
    from unmask.core.network import Query as Query
    from unmask.core.state import Proposal as Proposal
    from unmask.core.state import State as State
    from unmask.core.state import StepInfo as StepInfo
    from unmask.data import padding as padding
    from unmask.decoding.canvas import Canvas as Canvas
    from unmask.decoding.decide import decide as decide
    from unmask.decoding.init import init as init
    from unmask.decoding.prepare import prepare as prepare
    from unmask.decoding.step import done as done
    from unmask.decoding.step import finish as finish
    from unmask.decoding.step import step as step
    from unmask.decoding.strategy import Strategy as Strategy
    from unmask.engine.engine import Engine as Engine
    from unmask.engine.run import generate as generate
    from unmask.engine.run import run as run
    from unmask.engine.run import stream as stream
    from unmask.engine.stages import run_stages as run_stages
    from unmask.groups import Groups as Groups
    from unmask.guidance import Guidance as Guidance
    from unmask.models import Captured as Captured
    from unmask.models import ClassConditioned as ClassConditioned
    from unmask.models import Compiled as Compiled
    from unmask.models import Packed as Packed
    from unmask.models import SelfConditioning as SelfConditioning
    from unmask.models import SelfCritic as SelfCritic
    from unmask.models import TokenCritic as TokenCritic
    from unmask.models import load as load
    from unmask.models import save as save
    from unmask.models import wrap as wrap
    from unmask.sampling import Annealed as Annealed
    from unmask.sampling import LinearDecay as LinearDecay
    from unmask.sampling import Sampling as Sampling
    from unmask.sampling import SquaredDecay as SquaredDecay
    from unmask.schedules import Schedule as Schedule
    from unmask.scoring import score as score
    from unmask.text import TextModel as TextModel
    from unmask.text import convert as convert

__version__: str

_MODULES = {
    "unmask": (
        "commit", "compat", "constraints", "errors", "growth", "guidance", "models", "noise",
        "objectives", "orders", "presets", "revise", "schedules", "scoring", "stopping",
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
    "unmask.sampling": ("Annealed", "LinearDecay", "Sampling", "SquaredDecay"),
    "unmask.schedules": ("Schedule",),
    "unmask.scoring": ("score",),
    "unmask.text": ("TextModel", "convert"),
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


__all__ = list(_WHERE | _WHERE_MODULE)
__all__.sort()
