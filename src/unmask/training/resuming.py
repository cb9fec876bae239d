"""Whether a run may begin, or go on, in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from unmask.core.files import replacing_file
from unmask.errors import CheckpointError

NOTE = "run.json"


def check_resume(work: Path, checkpoint: Path | None, resume: bool) -> None:
    """Raise CheckpointError where there is nothing to resume, or a run that is not to be."""
    if checkpoint is not None and not resume:
        raise CheckpointError(
            f"{work} holds {checkpoint.name} of an unfinished run: pass --resume (resume=True) to "
            "go on from it, or delete the folder to start anew"
        )
    if checkpoint is None and resume:
        raise CheckpointError(f"nothing to resume: {work} holds no complete checkpoint")


def same_run(work: Path, checkpoint: Path | None, run: dict[str, Any]) -> None:
    """Note what a new run is; raise CheckpointError where a resumed one is another."""
    note = work / NOTE
    if checkpoint is None:
        with replacing_file(note) as temporary:
            temporary.write_text(json.dumps(run, indent=2), encoding="utf-8")
        return
    begun = json.loads(note.read_text(encoding="utf-8"))
    now = json.loads(json.dumps(run))
    other = {key: (begun.get(key), now[key]) for key in now if begun.get(key) != now[key]}
    if other:
        told = ", ".join(f"{key} was {was}, is {new}" for key, (was, new) in other.items())
        raise CheckpointError(f"{work} holds another run: {told}; pass what it began with")
