"""Strategies against each other: quality and network passes of each on one task.

B rows, N positions.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unmask.core.network import Denoiser
from unmask.errors import DataError, InputError, nearest
from unmask.evaluation.benches import BENCHES, Bench
from unmask.evaluation.figures import Figure, Quality, Setting, Terms
from unmask.evaluation.ledger import Ledger
from unmask.models.checkpoint import CARD, WEIGHTS, locate

_IDENTITY = (CARD, "config.json", WEIGHTS)


@dataclass(frozen=True)
class Measurement:
    """A setting and its figures, one for each quality of the task."""

    setting: Setting
    figures: Mapping[str, Figure]
    measured: bool  # False: it was in the ledger


@dataclass(frozen=True)
class LeftOut:
    """A setting whose preset cannot run on this task, and why."""

    setting: Setting
    why: str


def bench_of(task: str) -> Bench:
    """Return the bench of a task. Raises DataError that lists the known ones."""
    if task not in BENCHES:
        raise DataError(f"nothing is known to measure of task {task!r}: {nearest(task, BENCHES)}")
    return BENCHES[task]


def compare(
    model: Denoiser,
    settings: Sequence[Setting],
    terms: Terms,
    ledger: Ledger | None = None,
    *,
    lenient: bool = False,
) -> Iterator[Measurement | LeftOut]:
    """Measure each setting in turn, one result for each.

    What the ledger holds under the same terms is taken from there, and what is measured is in the
    ledger when it is yielded. lenient: a preset that refuses the task is left out, and its further
    settings with it; otherwise its error is raised.
    Raises DataError for an unknown task, and for more or fewer samples than it can use.
    """
    bench = bench_of(terms.task)
    bench.check_samples(terms.samples)
    refused: dict[str, str] = {}
    for setting in settings:
        known = None if ledger is None else ledger.find(terms, setting)
        if known is not None:
            yield Measurement(setting, known, measured=False)
            continue
        if setting.preset in refused:
            yield LeftOut(setting, refused[setting.preset])
            continue
        try:
            figures = bench.measure(
                model, setting.strategy, terms.samples, terms.seed, "temperature" in setting.options
            )
        except InputError as error:
            if not lenient:
                raise
            refused[setting.preset] = str(error)
            yield LeftOut(setting, str(error))
            continue
        if ledger is not None:
            ledger.add(terms, setting, figures)
        yield Measurement(setting, figures, measured=True)


def front(measurements: Sequence[Measurement], quality: Quality) -> list[int]:
    """Indices of the measurements on the Pareto front of one quality, cheapest first.

    Nothing is better than ideal: a two-sample test won by less than chance is noise.
    """
    figures = [each.figures[quality.key] for each in measurements]
    bound = min if quality.higher_is_better else max
    return pareto_front(
        [figure.forwards for figure in figures],
        [bound(figure.value, quality.ideal) for figure in figures],
        higher_is_better=quality.higher_is_better,
    )


def pareto_front(
    cost: Sequence[float], quality: Sequence[float], *, higher_is_better: bool = True
) -> list[int]:
    """Indices of the points that no other point dominates, cheapest first.

    A point dominates another if it costs no more and is no worse, and is better in one of the two.
    Equal points do not dominate each other, so all of them are on the front; NaN is never on it.
    """
    sign = -1.0 if higher_is_better else 1.0
    pairs = enumerate(zip(cost, quality, strict=True))
    found: list[tuple[float, float, int]] = []
    for point in sorted((c, sign * q, i) for i, (c, q) in pairs if not math.isnan(c + q)):
        if not found or point[1] < found[-1][1] or point[:2] == found[-1][:2]:
            found.append(point)
    return [index for _, _, index in found]


def model_fingerprint(model: str | Path) -> str:
    """Return an identifier of a saved model: twelve digits of a hash of its files."""
    folder, digest = locate(model), hashlib.sha256()
    for name in _IDENTITY:
        path = folder / name
        if path.is_file():
            digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]
