"""The run of `unmask generate` and `unmask infill`: a model, a strategy, and files to write."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unmask.cli.io import outputs, presets
from unmask.cli.io.canvas_input import Around
from unmask.cli.io.models import Model, open_model
from unmask.cli.runs.watched_generation import Emerged, emerge
from unmask.cli.ui.live import watching
from unmask.cli.ui.screen import is_shown, say, waiting
from unmask.errors import InputError

if TYPE_CHECKING:
    from unmask.decoding import Canvas, Strategy

CELL_BYTES = 64  # at least, of a position: its id, flags, log-probabilities and step, twice


@dataclass(frozen=True)
class Job:
    """A run before its canvas is known: model, strategy, seed, files and limits."""

    model: Model
    strategy: Strategy
    seed: int
    files: list[Path]
    live: bool
    """Whether each step is drawn; always False if stdout is not a terminal."""
    max_rows: int | None = None
    max_tokens: int | None = None
    """Rows, and positions, generated at once; None for no limit."""

    def run(self, canvas: Canvas, around: Around = ([], [])) -> JobResult:
        """Generate the canvas, drawing steps if `live`, and write the files.

        around: special tokens at the ends of each row, which are not among its results.
        """
        level = bool(canvas.valid.all())
        if self.files and not level:
            raise InputError(
                "rows of different lengths do not fit into one picture or record: leave --out and "
                "--record out, or pass rows of one length at a time"
            )
        title = f"{self.model.name} · {self.strategy.name}"
        denoiser = self.model.denoiser
        begun = time.perf_counter()
        with watching(
            self.live and level, self.model.layout, title, given=~canvas.editable
        ) as watch:
            emerged = emerge(
                denoiser,
                canvas,
                self.strategy,
                self.seed,
                watch,
                keep=outputs.moves(self.files),
                max_rows=self.max_rows,
                max_tokens=self.max_tokens,
            )
        result = JobResult(self, emerged, time.perf_counter() - begun, around)
        if self.files:
            with waiting("Writing " + ", ".join(map(str, self.files))):
                record = emerged.record(self.model.layout, result.info())
                for path in self.files:
                    outputs.write(record, path)
        return result


@dataclass(frozen=True)
class JobResult:
    """The result of a job."""

    job: Job
    emerged: Emerged
    seconds: float
    around: Around = ([], [])

    def info(self) -> dict[str, str]:
        """Return the description that a record stores."""
        from unmask import __version__

        job = self.job
        return {
            "model": job.model.name,
            "preset": job.strategy.name,
            "seed": str(job.seed),
            "unmask": __version__,
        }

    def as_json(self) -> dict[str, Any]:
        """Return the object that --json prints, without keys that do not apply to the model."""
        generation, model, rows = self.emerged.generation, self.job.model, self.rows()
        extra = {"text": model.text(rows, self.given()), "valid": model.valid(self.emerged.tokens)}
        return {
            "model": model.name,
            "preset": self.job.strategy.name,
            "seed": self.job.seed,
            "tokens": rows,
            **{key: value for key, value in extra.items() if value is not None},
            "logprob": generation.logprob.sum(1).tolist(),
            "steps": generation.steps.tolist(),
            "forwards": generation.forwards.tolist(),
            "seeds": generation.seeds.tolist(),
            "seconds": round(self.seconds, 3),
            "files": [str(path) for path in self.job.files],
        }

    def rows(self) -> list[list[int]]:
        """Return the ids of each row, without padding and the special tokens around it."""
        generation = self.emerged.generation
        before, after = map(len, self.around)
        lengths = generation.valid.sum(1).tolist()
        return [
            ids[before : length - after].tolist()
            for ids, length in zip(generation.tokens, lengths, strict=True)
        ]

    def given(self) -> list[int]:
        """Return the number of positions of each row up to the last that was given."""
        before, after = map(len, self.around)
        lengths = self.emerged.generation.valid.sum(1).tolist()
        rows = zip(self.emerged.given.tolist(), lengths, strict=True)
        cut = [row[before : length - after] for row, length in rows]
        return [max((i + 1 for i, known in enumerate(row) if known), default=0) for row in cut]

    def print_summary(self, say: Callable[..., None] = say) -> None:
        """Print one line of summary, and one for each file."""
        generation, job = self.emerged.generation, self.job
        rows, steps = len(generation.tokens), int(generation.steps.max())
        valid = job.model.valid(self.emerged.tokens)
        judged = "" if valid is None else f", {sum(valid)} of {rows} valid"
        say(
            (f"{counted(rows, 'row')} in {counted(steps, 'step')}{judged}", "bold"),
            (f"  {job.strategy.name}, seed {job.seed}, {self.seconds:.1f} s", "dim"),
        )
        for path in job.files:
            say("wrote ", (str(path), "cyan"))


def prepare_job(
    name: str,
    *,
    preset: str | None,
    options: dict[str, Any],
    settings: Sequence[str] | None,
    seed: int,
    out: Sequence[Path] | None,
    record: Path | None,
    live: bool | None,
    as_json: bool,
    max_rows: int | None,
    max_tokens: int | None,
) -> Job:
    """Return a job whose options can work; the network is loaded when it runs."""
    from unmask.core.checks import check_count
    from unmask.core.random import check_seed

    shown = is_shown(live, as_json)
    files = outputs.checked(out, outputs.EVERYTHING)
    files += outputs.checked([record] if record else [], outputs.RECORDS, "--record", inputs=files)
    model = open_model(name)
    strategy = presets.choose_preset(model.card, preset, options, settings or ())
    if reserved := (*model.reserved(strategy.end_id), *model.card.absent):
        never = replace(strategy.constraint, forbidden=(*strategy.constraint.forbidden, *reserved))
        strategy = strategy.but(constraint=never)
    check_seed(seed)
    for option, most in (("--max-rows", max_rows), ("--max-tokens", max_tokens)):
        if most is not None:
            check_count(option, most)
    return Job(model, strategy, seed, files, shown, max_rows, max_tokens)


def check_size(rows: int, positions: int) -> None:
    """Raise InputError for rows and positions that no memory of this machine could hold."""
    needed, there = rows * positions * CELL_BYTES, _memory()
    if there is not None and needed > there:
        fewer = max(1, there // 4 * rows // needed)
        raise InputError(
            f"-n {rows}: rows of {positions:,} positions take {needed / 1e9:,.0f} GB or more, and "
            f"this machine has {there / 1e9:,.0f}: pass -n {fewer} or fewer, and other seeds for "
            "more"
        )


def _memory() -> int | None:
    """Return the bytes of memory of this machine, None where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def counted(number: int, what: str) -> str:
    """Return `1 row`, `2 rows` and so on."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
