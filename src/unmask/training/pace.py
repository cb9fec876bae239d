"""A run that ends in time: on the way its steps become as many as there is time for."""

from __future__ import annotations

import time
from typing import Any

from unmask.errors import StrategyError
from unmask.training.base import TrainerCallback
from unmask.training.measuring import SHARE, Budget
from unmask.training.processes import launched

MARKS = (0.5, 0.8, 0.95)  # of the time, or of the steps, after which these are counted anew
NEAR = 0.02  # share of the steps to come that is not worth a change
WORTH = 10.0  # seconds to come that are


class Pace(TrainerCallback):
    """A callback that ends a part of a run, with a checkpoint, where other steps fit the time.

    deadline: when the run is to end, in seconds of `time.monotonic`. steps: how many the run has
    from then on, those behind it included; None where it goes on as it is.
    Raises StrategyError for a deadline that has passed, and for one beside several processes, whose
    clocks differ.
    """

    def __init__(self, deadline: float):
        self.deadline, now = deadline, time.monotonic()
        if not deadline > now:
            raise StrategyError(
                f"deadline={deadline} has passed: pass seconds of time.monotonic() to come, such "
                "as time.monotonic() + 600"
            )
        if launched() > 1:
            raise StrategyError(
                f"deadline={deadline} beside several processes, which would end at different "
                "steps: pass steps"
            )
        self.begun, self.marks = now, [*MARKS]
        self.budget: Budget | None = None  # of the run
        self.steps: int | None = None
        self.taken = 0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Count the steps anew where a share of the time, or of the steps, is over."""
        self.taken += 1
        now, planned = time.monotonic(), state.max_steps - state.global_step
        over = (now - self.begun) / (self.deadline - self.begun)
        over = max(over, state.global_step / state.max_steps)
        if not self.marks or over < self.marks[0] or control.should_training_stop or not planned:
            return
        while self.marks and self.marks[0] <= over:
            self.marks.pop(0)
        fitting = self.fitting(self.deadline - now)
        if self.deadline - now < WORTH or abs(fitting - planned) <= NEAR * planned:
            return
        self.steps = state.global_step + fitting
        control.should_training_stop = control.should_save = True

    def fitting(self, seconds: float) -> int:
        """Return the steps, one at least, that there is time for, measuring included."""
        assert self.budget is not None
        trained = self.budget.trained
        rounds = self.budget.spent / trained
        # The figure at the end takes a share of all steps, or less where few rows are held out.
        of_share = (seconds - SHARE * trained) / (1 + rounds + SHARE)
        of_rows = (seconds - self.budget.longest_figure) / (1 + rounds)
        return max(1, round(max(of_share, of_rows) * self.taken / trained))
