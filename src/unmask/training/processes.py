"""The group of processes that a launcher such as torchrun started."""

from __future__ import annotations

import gc
import os

from torch import distributed


def leads() -> bool:
    """Return whether this process prints: the first of those that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


def launched() -> int:
    """Return how many processes a launcher started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def leave() -> None:
    """Leave the process group, if there is one, at the end of a run.

    Threads of a group that exists when the interpreter ends may abort the process, after all files
    were saved.
    """
    if distributed.is_available() and distributed.is_initialized():
        gc.collect()  # trainers are reference cycles that keep the group alive
        distributed.destroy_process_group()
