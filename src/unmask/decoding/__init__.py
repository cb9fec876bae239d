"""The engine: canvas, state, step, and the strategy that the step is given."""

from unmask.decoding.canvas import Canvas
from unmask.decoding.constraints import Constraint
from unmask.decoding.guidance import Guidance, Guided
from unmask.decoding.memory import bytes_of
from unmask.decoding.run import run_strategy, stream_strategy
from unmask.decoding.seeds import row_seeds
from unmask.decoding.splitting import completed, in_order
from unmask.decoding.step import advance, done, finish, init, step
from unmask.decoding.stopping import StableAndConfident
from unmask.decoding.strategy import Strategy
from unmask.decoding.veil import LastDraw, MaskId, RandomIds

__all__ = [
    "Canvas",
    "Constraint",
    "Guidance",
    "Guided",
    "LastDraw",
    "MaskId",
    "RandomIds",
    "StableAndConfident",
    "Strategy",
    "advance",
    "bytes_of",
    "completed",
    "done",
    "finish",
    "in_order",
    "init",
    "row_seeds",
    "run_strategy",
    "step",
    "stream_strategy",
]
