"""Writing without losing: a temporary name beside the target, then a rename."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it becomes `path`, in one rename.

    If the block raises, or the disk is full, `path` stays as it was.
    """
    target = Path(path).resolve()  # a link stays, the file behind it is replaced
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}{target.suffix}")
    try:
        temporary.open("xb").close()  # not mkstemp, whose files only their owner may read
        yield temporary
        _flush(temporary)
        os.replace(temporary, target)
        _flush_folder(target.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it takes its place.

    The earlier folder is kept aside under `previous(path)` until the new one stands.
    """
    target = Path(path).resolve()  # a link stays, the folder behind it is replaced
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        put_in_place(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        recover(target)
        raise


def put_in_place(temporary: Path, target: Path) -> None:
    """Rename a complete folder to `target`, after its files are on the disk.

    The earlier folder is kept aside under `previous(target)` until the new one stands.
    """
    for part in temporary.rglob("*"):
        if part.is_file():
            part.chmod(0o644)  # safetensors leaves them to their owner alone
            _flush(part)
    recover(target)
    if target.exists():
        target.rename(previous(target))
    temporary.rename(target)
    _flush_folder(target.parent)
    shutil.rmtree(previous(target), ignore_errors=True)


def discard(folder: Path) -> None:
    """Delete a folder, if there is one; an interruption leaves no part of it under its name."""
    aside = folder.with_name(f".{folder.name}.discarded")
    shutil.rmtree(aside, ignore_errors=True)  # of an earlier interruption
    if folder.exists():
        folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def previous(path: Path) -> Path:
    """Where the earlier folder waits while its successor is put in place."""
    return path.with_name(f".{path.name}.previous")


def recover(path: Path) -> None:
    """Undo an interruption between the two renames of `replacing_folder`; for writers only."""
    path = path.resolve()
    if previous(path).exists():
        if path.exists():
            shutil.rmtree(previous(path))
        else:
            previous(path).rename(path)


def _flush_folder(path: Path) -> None:
    """Make a rename inside the folder last; not every system can."""
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
