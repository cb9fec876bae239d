"""The engine, and the loops over it: generate, run, stream, stages."""

from unmask.engine.engine import Engine, Event
from unmask.engine.run import complete, default_strategy, generate, ready, run, stream
from unmask.engine.stages import run_stages

__all__ = [
    "Engine",
    "Event",
    "complete",
    "default_strategy",
    "generate",
    "ready",
    "run",
    "run_stages",
    "stream",
]
