"""Seconds of calls that are run in turn, so that whatever else the machine does falls on all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Times:
    """What was measured of one call, in the order of the rounds: seconds, or a ratio of them."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)

    def over(self, unit: float) -> Times:
        """In units of so many seconds, such as T times the median of a bare forward."""
        return Times(tuple(value / unit for value in self.values))


def measured(
    calls: Mapping[str, Callable[[], object]],
    repeats: int,
    device: torch.device = CPU,
    fewer: Mapping[str, int] | None = None,
) -> dict[str, Times]:
    """Times of each call, run in turn without gradients after one warm-up each.

    fewer: repeats of calls that are too slow for as many; they take part in the first rounds only.
    """
    own = dict.fromkeys(calls, repeats) | dict(fewer or {})
    if strangers := own.keys() - calls.keys():
        raise ValueError(f"fewer names {sorted(strangers)}, calls has {list(calls)}: name one")
    if short := [name for name, rounds in own.items() if rounds < 1]:
        raise ValueError(f"{short} would never be measured: pass 1 or more repeats")
    values: dict[str, list[float]] = {name: [] for name in calls}
    with torch.no_grad():
        for call in calls.values():
            seconds(call, device)
        for nth in range(max(own.values(), default=0)):
            for name, call in calls.items():
                if nth < own[name]:
                    values[name].append(seconds(call, device))
    return {name: Times(tuple(each)) for name, each in values.items()}


def seconds(call: Callable[[], object], device: torch.device = CPU) -> float:
    """Of one call, with everything that it gave the device to do."""
    wait(device)
    begun = time.perf_counter()
    call()
    wait(device)
    return time.perf_counter() - begun


def wait(device: torch.device) -> None:
    """Until the device has caught up with the host."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def threads(option: int | None) -> int:
    """Pin torch to so many threads, or to as many as it takes by itself; told, and returned."""
    if option is not None:
        torch.set_num_threads(option)
    count = torch.get_num_threads()
    print(f"threads: {count}", flush=True)
    return count
