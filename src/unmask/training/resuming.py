"""Where a run begins: anew, at a checkpoint, or at the weights of a finished model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unmask.core.files import discard, replacing_file
from unmask.errors import CheckpointError, InputError
from unmask.models.checkpoint import CARD, read_card

NOTE = "run.json"
# Entries of a card that may differ: the length of a run, and what is only looked at.
FREE = ("recipe", "steps", "samples", "held_out_rows", "figures", "taken")
AGAIN = "pass --resume (resume=True) to continue it, or --overwrite (overwrite=True) to start again"


@dataclass(frozen=True)
class Start:
    """Where a run begins."""

    checkpoint: Path | None = None
    taken: int = 0  # steps of the finished model whose weights the run begins with
    anew: bool = False  # an unfinished run is thrown away
    begun: dict[str, Any] | None = None  # settings of the run that goes on


def start_of(
    target: Path, work: Path, checkpoint: Path | None, steps: int, resume: bool, overwrite: bool
) -> Start:
    """Return where a run of `steps` begins, of which `target` and `work` are the folders.

    Raises CheckpointError where that would lose a model or a run, and if there is nothing to resume
    or nothing left to do; InputError for resume with overwrite.
    """
    if resume and overwrite:
        raise InputError("--resume continues a run and --overwrite starts it again: pass one")
    finished = (target / CARD).is_file()
    if overwrite:
        return Start(anew=True)
    if checkpoint is not None and not resume:
        raise CheckpointError(f"{work} has {checkpoint.name} of an unfinished run: {AGAIN}")
    if finished and not resume:
        raise CheckpointError(
            f"{target} has a finished model: pass --overwrite (overwrite=True) to replace it, "
            "--resume with more --steps to extend it, or the name of another folder"
        )
    if checkpoint is not None:
        begun = note_of(work)
        taken = int(begun.get("taken", 0))
        done = taken + int(checkpoint.name.rpartition("-")[2])
        if steps < done:
            raise CheckpointError(
                f"{work} has {checkpoint.name}, and {done} steps are done: pass --steps {done} or "
                "more"
            )
        return Start(checkpoint, taken, begun=begun)
    if not finished:
        if resume:
            raise CheckpointError(
                f"{work} has no complete checkpoint, so there is nothing to resume: leave --resume "
                "out"
            )
        return Start()
    begun = read_card(target).about
    taken = begun.get("recipe", {}).get("steps")
    if not isinstance(taken, int):
        raise CheckpointError(
            f"{target} was not written by unmask train, so it cannot be extended: pass another "
            "folder"
        )
    if steps <= taken:
        raise CheckpointError(
            f"{target} is finished: its run took {taken} steps; pass --resume with --steps of more "
            "than that to extend it, or --overwrite to train it again"
        )
    return Start(None, taken, begun=begun)


def same_run(target: Path, work: Path, start: Start, about: dict[str, Any]) -> None:
    """Write the settings of a new run, or raise CheckpointError if one that goes on differs.

    A run that begins anew loses its earlier checkpoints here, when all else is checked.
    """
    now = json.loads(json.dumps(about | {"taken": start.taken}))
    where = target if start.checkpoint is None else work
    was, new = _settings(start.begun or now), _settings(now)
    other = [f"{key} was {was[key]}, is {new.get(key)}" for key in was if was[key] != new.get(key)]
    if other:
        raise CheckpointError(
            f"{where} has another run: {', '.join(other)}; pass the settings that it began with"
        )
    if start.anew:
        discard(work)
    with replacing_file(work / NOTE) as temporary:
        temporary.write_text(json.dumps(now, indent=2), encoding="utf-8")


def note_of(work: Path) -> dict[str, Any]:
    """Return the settings of an unfinished run."""
    try:
        note: dict[str, Any] = json.loads((work / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{work / NOTE} cannot be read ({error}), so nothing tells which run this is: pass "
            "--overwrite to start again"
        ) from None
    return note


def _settings(about: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a card that a run which goes on must share."""
    flat = about | about.get("recipe", {})
    return {key: flat[key] for key in flat if key not in FREE}
