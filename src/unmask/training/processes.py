"""The group of processes that a launcher such as torchrun started."""

from __future__ import annotations

import gc

from torch import distributed


def leave() -> None:
    """Leave the group, where there is one: the last thing that a process does with it.

    Threads of a group that is still there when the interpreter ends may abort the process, after
    everything was done and saved.
    """
    if distributed.is_available() and distributed.is_initialized():
        gc.collect()  # trainers are cycles that hold the group
        distributed.destroy_process_group()
