"""Ids from `.npy` and `.safetensors` files, mapped into memory, and from `.npz` files.

T values; R rows of width W, or images of height H and width W.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from unmask.core.optional import library
from unmask.data.rows import IDS, MASK, Place, Source, StoredPart, StoredRows
from unmask.data.trimming import check_flags, cut_by_mask
from unmask.errors import DataError, nearest

INTEGERS = {"I8": "<i1", "I16": "<i2", "I32": "<i4", "I64": "<i8",
            "U8": "<u1", "U16": "<u2", "U32": "<u4", "U64": "<u8"}  # fmt: skip


def from_npy(path: Path) -> Source:
    """Return the rows of an array (R,W), the images of one (R,H,W), or a stream (T,) as one row.

    Raises DataError for a file that is cut short, has Python objects, or is not `.npy`.
    """
    with _complete(path):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray):
        array.close()
        raise DataError(f"{path}: an archive of several arrays; store one with np.save")
    return _source(_part(array, path), array)


def from_npz(path: Path, column: str | None) -> Source:
    """Return the same of one array of an archive of np.savez, held in memory.

    It is the only one, the one named by column, or the one with a name of IDS; MASK marks padding.
    """
    with _complete(path), path.open("rb") as file:
        archive = np.load(file, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise DataError(f"{path}: one array, and no archive; call it .npy")
        return _named(path, "array", archive.files, archive.__getitem__, column)


def from_safetensors(path: Path, column: str | None) -> Source:
    """Return the same of a tensor of a `.safetensors` file.

    Raises DataError for a broken file, an unknown name, and several tensors without a name.
    """
    safetensors = library("safetensors", "hf", f"{path}: reading safetensors needs safetensors")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:  # checks header and size
            names = sorted(file.keys())
    except (safetensors.SafetensorError, OSError) as error:
        raise DataError(
            f"{path}: not a complete safetensors file ({error}); write it again"
        ) from error
    return _named(path, "tensor", names, lambda name: _mapped(path, name), column)


def _named(
    path: Path,
    what: str,
    names: Sequence[str],
    load: Callable[[str], np.ndarray],
    column: str | None,
) -> Source:
    """Return the rows of one of several arrays, without their padding."""
    name = _choose(path, what, names, column)
    ids = load(name)
    part = _part(ids, path)
    masked = MASK in names and name != MASK
    if masked:
        flags = load(MASK)
        if flags.shape != ids.shape:
            raise DataError(
                f"{path}: {MASK!r} has not the shape of {name!r}; give one flag a token"
            )
        mask = _part(flags.view(np.uint8) if flags.dtype == bool else flags, path, MASK)
        part = cut_by_mask(part, check_flags(mask, part))
    unread = tuple(each for each in names if each not in (name, MASK))
    return replace(_source(part, ids), masked=masked, unread=unread)


def _choose(path: Path, what: str, names: Sequence[str], column: str | None) -> str:
    if column is not None and column not in names:
        raise DataError(f"{path} holds no {what} {column!r}: {nearest(column, names)}")
    others = [name for name in names if name != MASK]
    known = [name for name in (IDS if column is None else (column,)) if name in names]
    if known or len(others) == 1:
        return (known or others)[0]
    first = (others or ["ids"])[0]
    raise DataError(
        f"{path} holds {len(names)} {what}s ({', '.join(names) or 'none'}): name one, "
        f"column={first!r} (--column {first})"
    )


def _mapped(path: Path, name: str) -> np.ndarray:
    """Return a tensor of a complete file, mapped into memory; the library would copy it."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(size))[name]
    shape, first = tuple(entry["shape"]), entry["data_offsets"][0]
    known = INTEGERS | ({"BOOL": "?"} if name == MASK else {})
    if entry["dtype"] not in known:
        raise DataError(
            f"{path}, tensor {name!r}: ids of dtype {entry['dtype']}; store integers, such as "
            "ids.to(torch.int32)"
        )
    dtype = np.dtype(known[entry["dtype"]])
    if 0 in shape:
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, mode="r", offset=8 + size + first, shape=shape)


def _part(array: np.ndarray, path: Path, column: str | None = None) -> StoredPart:
    if array.ndim not in (1, 2, 3):
        raise DataError(
            f"{path}: an array of shape {array.shape}; pass (rows, positions), images (rows, "
            "height, width), or one long stream (positions,)"
        )
    if array.size == 0:
        raise DataError(f"{path}: an array of shape {array.shape} holds no ids")
    rows = 1 if array.ndim == 1 else len(array)
    width = array.size // rows
    # A view, but for arrays in Fortran order, which are copied.
    values = array.reshape(-1).view(np.ndarray)
    number = np.arange(rows, dtype=np.int64)
    place = Place(path, "file" if array.ndim == 1 else "row", column)
    return StoredPart(values, number * width, np.full(rows, width), number, place)


def _source(part: StoredPart, array: np.ndarray) -> Source:
    return Source(StoredRows([part]), stream=array.ndim == 1, shape=array.shape[1:])


@contextmanager
def _complete(path: Path) -> Iterator[None]:
    """Turn errors of numpy about a broken file into DataError."""
    try:
        yield
    except DataError:
        raise
    except BadZipFile as error:
        raise DataError(
            f"{path}: not a complete archive of np.savez ({error}); write it again"
        ) from error
    except (ValueError, OSError, EOFError) as error:
        message, size = str(error), path.stat().st_size
        told = f"not a complete .npy file ({message}); store one integer array with np.save"
        if "bject" in message or "pickle" in message:
            told = (
                "holds Python objects, or no array at all; such files can run code and are not "
                "read: store one integer array with np.save"
            )
        elif size == 0 or any(word in message for word in ("mmap", "EOF", "reshape")):
            told = f"cut short at {size:,} bytes; write it again"
        raise DataError(f"{path}: {told}") from error
