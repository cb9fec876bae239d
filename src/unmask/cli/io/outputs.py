"""Output files of a generation. Their names are checked before any work is done."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unmask.cli.io.fasta import SEQUENCES
from unmask.core.files import check_writable
from unmask.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from unmask.viz import Layout, Record

PICTURES = {".png": "a picture", ".gif": "an animation"}
RECORDS = {".safetensors": "a record for `unmask show`"}
EVERYTHING = {**PICTURES, **RECORDS, **SEQUENCES}
BROKEN = (errno.ENOSPC, errno.EDQUOT, errno.EIO)  # no other name would help


def checked(
    paths: Sequence[Path] | None,
    allowed: dict[str, str] | None = None,
    option: str = "--out",
    *,
    inputs: Sequence[Path] = (),
    folder: Path | None = None,
) -> list[Path]:
    """Return the paths, each of which can be written: the disk was asked, and left as it was.

    allowed: suffixes and what they stand for; None for any. inputs: files of other options. folder:
    what the option names, if these are files in it. Raises InputError for a path that cannot be
    written, OSError for a disk that is full or broken.
    """
    taken = {path.resolve() for path in inputs}
    for path in paths or ():
        named = f"{option} {folder or path}".strip()
        if allowed is not None and path.suffix.lower() not in allowed:
            names = ", ".join(f"{suffix} ({what})" for suffix, what in allowed.items())
            raise InputError(f"{named}: pass a name that ends in {names}")
        if path.resolve() in taken:
            raise InputError(f"{named}: this command names it twice: pass another name")
        taken.add(path.resolve())
        _check_place(path, named, "; pass the name of a folder" if folder else ", not a folder")
    if any(path.suffix.lower() in PICTURES for path in paths or ()):
        from unmask.viz.patches import pillow

        pillow("Image")
    return list(paths or ())


def checked_texts(out: Path | None, file: Path | None) -> None:
    """Check the name of a file of texts, as `checked` does. file: the input.

    Raises InputError for a name of pictures or records, which would hold lines of JSON.
    """
    if out is not None and out.suffix.lower() in (*PICTURES, *RECORDS):
        raise InputError(f"--out {out}: texts are written as .jsonl or .fasta: pass such a name")
    checked([out] if out else [], inputs=[file] if file else [])


def _check_place(path: Path, named: str, wanted: str) -> None:
    try:
        if path.is_dir():
            raise InputError(f"{named} is a folder: pass the name of a file")
        for place in path.parents:
            if place.exists() and not place.is_dir():
                raise InputError(f"{named}: {place} is a file{wanted}")
        check_writable(path)
    except OSError as error:
        if error.errno in BROKEN:
            raise
        raise InputError(
            f"{named} cannot be written ({error.strerror}): pass another name"
        ) from None


def moves(paths: Sequence[Path]) -> bool:
    """Return whether one of these files stores every step."""
    return any(path.suffix.lower() in (".gif", *RECORDS) for path in paths)


def write(record: Record, path: Path, *, step_ms: int | None = None) -> None:
    """Write a record as a picture, an animation or a .safetensors file, by the suffix of path."""
    if path.suffix.lower() in RECORDS:
        record.save(path)
    else:
        known = ~record.editable
        write_picture(record.frames, record.layout, path, given=known, step_ms=step_ms)


def write_picture(
    frames: Tensor,
    layout: Layout,
    path: Path,
    *,
    given: Tensor | None,
    columns: int | None = None,
    step_ms: int | None = None,
) -> None:
    """Write frames (S,B,N) as an animation, or the last frame as a picture."""
    from unmask import viz

    if path.suffix.lower() == ".png":
        viz.save_png(viz.sheet(frames[-1], layout, columns, given=given), path)
        return
    timing = {} if step_ms is None else {"step_ms": step_ms}
    viz.gif(frames, layout, path, columns, given=given, **timing)
