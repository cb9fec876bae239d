"""The engine, and the loops over it: generate, run, stream, stages."""

from unmask.core.calls import check_calls
from unmask.engine.begun import Begun as Begun
from unmask.engine.begun import adopted as adopted
from unmask.engine.engine import Engine, Event
from unmask.engine.run import check_inputs as check_inputs
from unmask.engine.run import complete as complete
from unmask.engine.run import default_strategy, generate, run, stream
from unmask.engine.stages import run_stages

__all__ = ["Engine", "Event", "default_strategy", "generate", "run", "run_stages", "stream"]

check_calls(__name__)
