"""The run of `unmask generate` and `unmask infill`: a model, a strategy, and files to write."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unmask.cli.io import fasta, outputs, presets
from unmask.cli.io.canvas_input import Around
from unmask.cli.io.models import Model, open_model
from unmask.cli.options import Opened
from unmask.cli.runs.watched_generation import Emerged, emerge
from unmask.cli.ui.live import print_frame, watching
from unmask.cli.ui.screen import counted, is_shown, say, waiting
from unmask.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from unmask.decoding import Canvas, Strategy

CELL_BYTES = 64  # at least, of a position: its id, flags, log-probabilities and step, twice


@dataclass(frozen=True)
class Asked(presets.Drawn):
    """The options of `unmask generate` and `unmask infill` about the run."""

    class_: list[int] | None = None
    max_rows: int | None = None
    max_tokens: int | None = None
    out: list[Path] | None = None
    record: Path | None = None
    live: bool | None = None


@dataclass(frozen=True)
class Job:
    """A run before its canvas is known."""

    model: Model
    strategy: Strategy
    asked: Asked
    files: list[Path]
    live: bool
    """Whether each step is drawn; always False if stdout is not a terminal."""

    def run(self, canvas: Canvas, around: Around = ([], [])) -> JobResult:
        """Generate the canvas, drawing steps if `live`, and write the files.

        around: special tokens at the ends of each row, which are not among its results.
        """
        level = bool(canvas.valid.all())
        drawn = [path for path in self.files if not fasta.is_named_so(path)]
        if drawn and not level:
            raise InputError(
                "rows of different lengths do not fit into one picture or record: leave --out and "
                "--record out, or pass rows of one length at a time"
            )
        model, preset, asked = self.model, self.strategy.name, self.asked
        live, title = self.live and level, f"{model.name} · {preset}"
        denoiser, begun = model.denoiser, time.perf_counter()
        with watching(live, model.pictured, title, given=~canvas.editable) as watch:
            emerged = emerge(
                denoiser,
                canvas,
                self.strategy,
                asked.seed,
                watch,
                keep=outputs.moves(drawn),
                max_rows=asked.max_rows,
                max_tokens=asked.max_tokens,
            )
        result = JobResult(self, emerged, time.perf_counter() - begun, around)
        if self.files:
            with waiting("Writing " + ", ".join(map(str, self.files))):
                self._write(result)
        return result

    def _write(self, result: JobResult) -> None:
        from unmask import __version__

        of = {"model": self.model.name, "preset": self.strategy.name, "seed": str(self.asked.seed)}
        layout = self.model.pictured(result.emerged.frames)
        record = result.emerged.record(layout, {**of, "unmask": __version__})
        for path in self.files:
            if fasta.is_named_so(path):
                fasta.write(path, ((str(n), text) for n, text in enumerate(result.text() or (), 1)))
            else:
                outputs.write(record, path)


@dataclass(frozen=True)
class JobResult:
    """The result of a job."""

    job: Job
    emerged: Emerged
    seconds: float
    around: Around

    def as_json(self) -> dict[str, Any]:
        """Return the object that --json prints, without keys that do not apply to the model."""
        generation, model, rows = self.emerged.generation, self.job.model, self.rows()
        extra = {"text": self.text(), "valid": model.valid(self.emerged.tokens)}
        return {
            "model": model.name,
            "preset": self.job.strategy.name,
            "seed": self.job.asked.seed,
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
        return self._inner(self.emerged.tokens)

    def text(self) -> list[str] | None:
        """Return rows as text or symbols, what was given in full; None if the model has neither."""
        known = self._inner(self.emerged.given)
        kept = [max((i for i, given in enumerate(row, 1) if given), default=0) for row in known]
        return self.job.model.text(self.rows(), kept)

    def _inner(self, values: Tensor) -> list[list[int]]:
        before, after = map(len, self.around)
        lengths = self.emerged.generation.valid.sum(1).tolist()
        return [row[before : n - after] for row, n in zip(values.tolist(), lengths, strict=True)]

    def show(self) -> None:
        """Draw the rows, unless they were drawn live, and print the summary."""
        emerged, model = self.emerged, self.job.model
        if not self.job.live:
            print_frame(
                emerged.tokens, model.pictured(emerged.tokens), model.name, given=emerged.given
            )
        self.print_summary()

    def print_summary(self, say: Callable[..., None] = say) -> None:
        """Print one line of summary, and one for each file."""
        generation, job = self.emerged.generation, self.job
        rows, steps = len(generation.tokens), int(generation.steps.max())
        valid = job.model.valid(self.emerged.tokens)
        judged = "" if valid is None else f", {sum(valid)} of {rows} valid"
        say(
            (f"{counted(rows, 'row')} in {counted(steps, 'step')}{judged}", "bold"),
            (f"  {job.strategy.name}, seed {job.asked.seed}, {self.seconds:.1f} s", "dim"),
        )
        for path in job.files:
            say("wrote ", (str(path), "cyan"))


def prepare_job(name: str, asked: Asked, opened: Opened, *, as_json: bool) -> Job:
    """Return a job whose options can work; the network is loaded when it runs."""
    from unmask.core.checks import check_count
    from unmask.core.random import check_seed

    shown = is_shown(asked.live, as_json)
    files = outputs.checked(asked.out, outputs.EVERYTHING)
    records = [asked.record] if asked.record else []
    files += outputs.checked(records, outputs.RECORDS, "--record", inputs=files)
    model = open_model(name, opened, opened.tokenizer)
    fasta.check_spelt(files, name, model.vocabulary is not None and model.vocabulary.letters)
    strategy = presets.choose_preset(model.card, asked.preset, asked.flags, asked.set_ or ())
    if reserved := (*model.reserved(strategy.end_id), *model.card.absent):
        never = replace(strategy.constraint, forbidden=(*strategy.constraint.forbidden, *reserved))
        strategy = strategy.but(constraint=never)
    check_seed(asked.seed)
    for option, most in (("--max-rows", asked.max_rows), ("--max-tokens", asked.max_tokens)):
        if most is not None:
            check_count(option, most)
    return Job(model, strategy, asked, files, shown)


def check_size(rows: int, positions: int) -> None:
    """Raise InputError for rows and positions that no memory of this machine could hold."""
    row, there = positions * CELL_BYTES, _memory()
    if there is not None and rows * row > there:
        fewer, shorter = max(1, there // 4 // row), there // 4 // CELL_BYTES
        raise InputError(
            f"-n {rows}: rows of {positions:,} positions take {rows * row / 1e9:,.0f} GB or more, "
            f"and this machine has {there / 1e9:,.0f}: "
            + (
                f"pass -n {fewer} or fewer, and other seeds for more"
                if row <= there
                else f"not even one fits; pass a length of {shorter:,} or less"
            )
        )


def _memory() -> int | None:
    """Return the bytes of memory of this machine, None where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
