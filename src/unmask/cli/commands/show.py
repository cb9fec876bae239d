"""`unmask show`: replay or draw a saved generation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from unmask.cli.io import outputs
from unmask.cli.ui import screen
from unmask.cli.ui.screen import print_json, say, waiting
from unmask.errors import InputError

if TYPE_CHECKING:
    from unmask.viz import Record

EXAMPLES = [
    (
        "Save a generation, and replay it",
        "unmask generate digits --record digits.safetensors; unmask show digits.safetensors",
    ),
    ("The last step as a picture", "unmask show digits.safetensors --out digits.png"),
    (
        "All steps as a slow animation",
        "unmask show digits.safetensors --out digits.gif --delay 0.5",
    ),
]
OPTIONS = """
RECORD: File that unmask generate or unmask infill wrote with --record.
--out FILE: Write a picture (.png) or an animation (.gif); repeatable.
--delay SECONDS: Time that each step is shown.
"""


def command(
    record: Path, out: list[Path] | None = None, delay: float | None = None, json: bool = False
) -> None:
    """Show a saved generation step by step.

    Draws it in the terminal, or writes pictures and animations.
    """
    files = outputs.checked(out, outputs.PICTURES, inputs=[record])
    _check_delay(delay, files, json)
    from unmask.viz import Record

    kept = Record.load(record)
    if files:
        with waiting("Drawing"):
            for path in files:
                outputs.write(kept, path, step_ms=None if delay is None else round(1000 * delay))
    if json:
        print_json(_as_json(kept, record, files))
    elif files:
        for path in files:
            say("wrote ", (str(path), "cyan"))
    else:
        _replay(kept, delay)


def _check_delay(delay: float | None, files: list[Path], json: bool) -> None:
    if delay is None:
        return
    if not 0 <= delay <= 60:
        raise InputError(f"--delay {delay:g}: pass seconds from 0 to 60, such as --delay 0.2")
    if (json and not files) or (files and not outputs.moves(files)):
        raise InputError("--delay applies to animations only: pass --out FILE.gif, or leave it out")


def _replay(record: Record, delay: float | None) -> None:
    from unmask.viz import replay
    from unmask.viz.terminal import DELAY

    replay(
        record.frames,
        record.layout,
        screen.out(),
        DELAY if delay is None else delay,
        given=~record.editable,
        title=" · ".join(record.info[key] for key in ("model", "preset") if key in record.info),
    )


def _as_json(record: Record, path: Path, files: list[Path]) -> dict[str, Any]:
    frames, rows, positions = record.frames.shape
    return {
        "record": str(path),
        "info": dict(record.info),
        "layout": record.layout.to_dict(),
        "rows": rows,
        "positions": positions,
        "steps": frames - 1,
        "tokens": record.frames[-1].tolist(),
        "commit_step": record.commit_step.tolist(),
        "logprob": record.logprob.sum(1).tolist(),
        "seeds": record.seeds.tolist(),
        "files": [str(file) for file in files],
    }
