"""Checks before a run begins or resumes in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from unmask.core.files import replacing_file
from unmask.errors import CheckpointError

NOTE = "run.json"


def check_resume(work: Path, checkpoint: Path | None, resume: bool) -> None:
    """Raise CheckpointError for resume without a checkpoint, or a checkpoint without resume."""
    if checkpoint is not None and not resume:
        raise CheckpointError(
            f"{work} has {checkpoint.name} of an unfinished run: pass --resume (resume=True) to "
            "continue it, or delete the folder to start again"
        )
    if checkpoint is None and resume:
        raise CheckpointError(
            f"{work} has no complete checkpoint, so there is nothing to resume: leave --resume out"
        )


def same_run(work: Path, checkpoint: Path | None, run: dict[str, Any]) -> None:
    """Write the settings of a new run, or raise CheckpointError if a resumed run differs."""
    note = work / NOTE
    if checkpoint is None:
        with replacing_file(note) as temporary:
            temporary.write_text(json.dumps(run, indent=2), encoding="utf-8")
        return
    begun = json.loads(note.read_text(encoding="utf-8"))
    now = json.loads(json.dumps(run))
    other = {key: (begun.get(key), now[key]) for key in now if begun.get(key) != now[key]}
    if other:
        changes = ", ".join(f"{key} was {was}, is {new}" for key, (was, new) in other.items())
        raise CheckpointError(
            f"{work} has another run: {changes}; pass the settings that it began with"
        )
