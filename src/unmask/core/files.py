"""Writing without losing: a temporary name beside the target, then a rename.

A temporary file is called `.NAME.12345678.tmp` and locked by its process. It outlives a process
that is killed, until the next that writes NAME. Every OSError names the path that was passed,
whatever the path that it happened to.
"""

from __future__ import annotations

import errno
import glob
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SETTLED = 60  # seconds; a temporary file is locked long before
BLOCK = 4096  # bytes; what a full disk has no place for


@contextmanager
def replacing_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it becomes `path`, in one rename.

    If the block raises, or the disk is full, `path` stays as it was. A device or pipe is yielded
    itself. Raises OSError that names `path`.
    """
    target = Path(path).resolve()  # a link stays, the file behind it is replaced
    temporary = _temporary(target)
    try:
        with _named(path, temporary):
            if _is_stream(Path(path)):
                yield Path(path)
                return
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.open("xb").close()  # not mkstemp, whose files only their owner may read
            with _locked(temporary):
                yield temporary
                _flush(temporary)
                os.replace(temporary, target)
            _flush_folder(target.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_file(path: str | Path, data: bytes) -> Path:
    """Write bytes as `replacing_file` does, and return the path."""
    with replacing_file(path) as temporary:
        temporary.write_bytes(data)
    return Path(path)


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it takes its place.

    The earlier folder is kept aside under `previous(path)` until the new one stands. Raises OSError
    that names `path`.
    """
    target = Path(path).resolve()  # a link stays, the folder behind it is replaced
    temporary = _temporary(target)
    try:
        with _named(path, temporary):
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.mkdir()
            with _locked(temporary):
                yield temporary
                put_in_place(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        recover(target)
        raise


def put_in_place(temporary: Path, target: Path) -> None:
    """Rename a complete folder to `target`, after its files are on the disk."""
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


def check_writable(path: str | Path) -> None:
    """Raise OSError, which names `path`, unless a file can be written there; leave no trace.

    A block is written to the folder, or, where that does not exist yet, to the one it will be in.
    """
    target = Path(path).resolve()
    folder = next(parent for parent in target.parents if os.path.lexists(parent))
    probe = _temporary(folder / target.name)
    with _named(path, target), _named(path, probe):
        with suppress(FileNotFoundError):
            _check_replaceable(target)
        if _is_stream(Path(path)):
            return
        try:
            probe.write_bytes(bytes(BLOCK))
            probe.unlink()
        except BaseException:  # an interruption, too, even of the line above
            probe.unlink(missing_ok=True)
            raise


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


def _temporary(target: Path) -> Path:
    """Return a new name beside target, no longer than names may be; remove what has such a name.

    Unless its process is alive, which has a lock on it, or is about to.
    """
    start = f".{target.name[:50]}."
    for stale in target.parent.glob(f"{glob.escape(start)}{'[0-9a-f]' * 8}.tmp"):
        if not _is_old(stale):
            continue
        with _locked(stale) as abandoned:
            if abandoned and stale.is_dir():
                shutil.rmtree(stale, ignore_errors=True)
            elif abandoned:
                with suppress(OSError):  # of another user, perhaps
                    stale.unlink()
    return target.with_name(f"{start}{secrets.token_hex(4)}.tmp")


def _is_old(path: Path) -> bool:
    """Return whether a file or folder was there before, not just made by a process beside."""
    try:
        return time.time() - path.stat().st_mtime > SETTLED
    except OSError:
        return False


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Lock a file or folder until the end of the block, or of the process; yield whether it is.

    It is not if another block has the lock, and where the system has none.
    """
    handle, locked = None, False
    with suppress(ImportError, OSError):
        import fcntl

        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        locked = True
    try:
        yield locked
    finally:
        if handle is not None:
            os.close(handle)


def _check_replaceable(target: Path) -> None:
    """Raise OSError for a folder, for a file that is protected, and where there is no file."""
    if stat.S_ISDIR(target.stat().st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _is_stream(path: Path) -> bool:
    """Return whether this is a device or a pipe, such as /dev/stdout: never to be replaced."""
    return path.exists() and not path.is_file() and not path.is_dir()


@contextmanager
def _named(path: str | Path, inner: Path) -> Iterator[None]:
    """Let an OSError about no file, or about `inner` and what is below it, be about `path`."""
    try:
        yield
    except OSError as error:
        about = Path(str(error.filename)) if error.filename else inner
        if error.errno is not None and (about == inner or inner in about.parents):
            error.filename, error.filename2 = str(path), None
        raise


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
