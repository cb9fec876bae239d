"""Checkpoints at an interruption, and by time."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch

from unmask.core.interruption import Interrupted
from unmask.training.base import TrainerCallback
from unmask.training.processes import leads

SECONDS = 600.0  # between checkpoints, at most, whatever share of the run that is
SAID = "Stopping: this step ends and its checkpoint is written; Ctrl-C again stops at once."
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopping(TrainerCallback):
    """A callback that ends a run with a checkpoint when the process is asked to stop.

    It also asks for a checkpoint when none was written for `SECONDS`. All processes of a run agree
    on either at each step.
    """

    def __init__(self) -> None:
        self.asked = False
        self.number = int(signal.SIGINT)
        self.saved = time.monotonic()
        self.before: dict[int, Any] = {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM while the block runs; a second signal is not taken any more.

        Only the main thread is told of signals; in another nothing is taken. Raises
        Interrupted, a KeyboardInterrupt, after the block if a signal came.
        """
        if threading.current_thread() is threading.main_thread():
            known = {number: signal.getsignal(number) for number in SIGNALS}
            # Ignored ones stay so, as under nohup, and those that Python cannot put back.
            self.before = {n: old for n, old in known.items() if old not in (None, signal.SIG_IGN)}
        for number in self.before:
            signal.signal(number, self._ask)
        try:
            yield
        finally:
            for number, old in self.before.items():
                signal.signal(number, old)
        if self.asked:
            raise Interrupted(self.number)

    def _ask(self, number: int, frame: Any) -> None:
        self.asked, self.number = True, number
        signal.signal(number, self.before[number])
        if leads():
            with suppress(RuntimeError):  # the signal came while a line was written
                print(SAID, file=sys.stderr, flush=True)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take the intervals of this run, where a checkpoint has those of a shorter one."""
        state.eval_steps, state.save_steps = args.eval_steps, args.save_steps
        self.saved = time.monotonic()

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Count the time from here."""
        self.saved = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask Trainer for a checkpoint, and to stop, if it is time."""
        self.asked, due = _any_process(args, self.asked, time.monotonic() - self.saved > SECONDS)
        if self.asked:
            control.should_training_stop = True
        control.should_save |= self.asked or due


def _any_process(args: Any, *flags: bool) -> list[bool]:
    """Return which flags are True on any process of the run."""
    if args.world_size == 1:
        return list(flags)
    found = torch.tensor(flags, dtype=torch.int32, device=args.device)
    torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX)
    return [bool(flag) for flag in found.tolist()]
