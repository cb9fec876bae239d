"""Output files of a generation. Their names are checked before any work is done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unmask.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from unmask.viz import Layout, Record

PICTURES = {".png": "a picture", ".gif": "an animation"}
RECORDS = {".safetensors": "a record for `unmask show`"}
EVERYTHING = {**PICTURES, **RECORDS}


def checked(
    paths: Sequence[Path] | None, allowed: dict[str, str], option: str = "--out"
) -> list[Path]:
    """Return the paths. Raises InputError for a wrong suffix or a folder that cannot exist."""
    for path in paths or ():
        if path.suffix.lower() not in allowed:
            names = ", ".join(f"{suffix} ({what})" for suffix, what in allowed.items())
            raise InputError(f"{option} {path}: pass a name that ends in {names}")
        if path.is_dir():
            raise InputError(f"{option} {path} is a folder: pass the name of a file")
        for folder in path.parents:
            if folder.exists() and not folder.is_dir():
                raise InputError(f"{option} {path}: {folder} is a file, not a folder")
    if any(path.suffix.lower() in PICTURES for path in paths or ()):
        from unmask.viz.tiles import pillow

        pillow("Image")
    return list(paths or ())


def moves(paths: Sequence[Path]) -> bool:
    """Return whether one of these files stores every step."""
    return any(path.suffix.lower() != ".png" for path in paths)


def write(record: Record, path: Path, *, step_ms: int | None = None) -> None:
    """Write a record as a picture, an animation or a .safetensors file, by the suffix of path."""
    if path.suffix.lower() in RECORDS:
        record.save(path)
        return
    write_picture(
        record.frames, record.layout, path, given=~record.editable, columns=None, step_ms=step_ms
    )


def write_picture(
    frames: Tensor,
    layout: Layout,
    path: Path,
    *,
    given: Tensor | None,
    columns: int | None,
    step_ms: int | None = None,
) -> None:
    """Write frames (S,B,N) as an animation, or the last frame as a picture."""
    from unmask import viz

    if path.suffix.lower() == ".png":
        viz.save_png(viz.sheet(frames[-1], layout, columns, given=given), path)
        return
    timing = {} if step_ms is None else {"step_ms": step_ms}
    viz.gif(frames, layout, path, columns, given=given, **timing)
