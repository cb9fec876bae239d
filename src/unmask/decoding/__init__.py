"""Canvas and strategy; prepare, forward, decide; init, step, done, finish."""

from unmask.core.calls import check_calls
from unmask.decoding.canvas import Canvas
from unmask.decoding.decide import decide
from unmask.decoding.init import init
from unmask.decoding.packing import forward, forward_all
from unmask.decoding.prepare import prepare
from unmask.decoding.seeds import row_seeds
from unmask.decoding.step import done, finish, step
from unmask.decoding.strategy import Strategy

__all__ = [
    "Canvas",
    "Strategy",
    "decide",
    "done",
    "finish",
    "forward",
    "forward_all",
    "init",
    "prepare",
    "row_seeds",
    "step",
]

check_calls(__name__, "Canvas", "Strategy", "done", "finish", "init", "row_seeds", "step")
