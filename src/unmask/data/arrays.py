"""Ids from `.npy` and `.safetensors` files, mapped into memory.

T values; R rows of width W.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from unmask.data.rows import Place, StoredPart
from unmask.errors import DataError, MissingExtraError, nearest

INTEGERS = {"I8": "<i1", "I16": "<i2", "I32": "<i4", "I64": "<i8",
            "U8": "<u1", "U16": "<u2", "U32": "<u4", "U64": "<u8"}  # fmt: skip


def from_npy(path: Path) -> tuple[StoredPart, bool]:
    """Return the rows of an array (R,W), or the row of a stream (T,), and whether it is a stream.

    Raises DataError for a file that is cut short, has Python objects, or is not `.npy`.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path}: {_why(path, error)}") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise DataError(f"{path}: an archive of several arrays; store one with np.save")
    return _part(array, path)


def from_safetensors(path: Path, column: str | None) -> tuple[StoredPart, bool]:
    """Return the same of the only tensor of a `.safetensors` file, or of the one named by column.

    Raises DataError for a broken file, an unknown name, and several tensors without a name.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise MissingExtraError(
            f"{path}: reading safetensors needs safetensors: pip install 'unmask[hf]'"
        ) from None
    try:
        with safe_open(path, framework="numpy") as file:  # checks header and size
            names = sorted(file.keys())
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"{path}: not a complete safetensors file ({error}); write it again"
        ) from error
    return _part(_mapped(path, _choose(path, names, column)), path)


def _choose(path: Path, names: list[str], column: str | None) -> str:
    if column is not None and column not in names:
        raise DataError(f"{path} holds no tensor {column!r}: {nearest(column, names)}")
    if column is None and len(names) != 1:
        first = (names or ["ids"])[0]
        raise DataError(
            f"{path} holds {len(names)} tensors ({', '.join(names) or 'none'}): name one, "
            f"column={first!r} (--column {first})"
        )
    return column or names[0]


def _mapped(path: Path, name: str) -> np.ndarray:
    """Return a tensor of a complete file, mapped into memory; the library would copy it."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(size))[name]
    shape, first = tuple(entry["shape"]), entry["data_offsets"][0]
    if entry["dtype"] not in INTEGERS:
        raise DataError(
            f"{path}, tensor {name!r}: ids of dtype {entry['dtype']}; store integers, such as "
            "ids.to(torch.int32)"
        )
    dtype = np.dtype(INTEGERS[entry["dtype"]])
    if 0 in shape:
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, mode="r", offset=8 + size + first, shape=shape)


def _part(array: np.ndarray, path: Path) -> tuple[StoredPart, bool]:
    if array.ndim not in (1, 2):
        raise DataError(
            f"{path}: an array of shape {array.shape}; pass (rows, positions), or one long stream "
            "(positions,)"
        )
    if array.size == 0:
        raise DataError(f"{path}: an array of shape {array.shape} holds no ids")
    rows, width = (1, array.size) if array.ndim == 1 else array.shape
    # A view, but for arrays in Fortran order, which are copied.
    values = array.reshape(-1).view(np.ndarray)
    number = np.arange(rows, dtype=np.int64)
    place = Place(path, "file" if array.ndim == 1 else "row")
    part = StoredPart(values, number * width, np.full(rows, width), number, place)
    return part, array.ndim == 1


def _why(path: Path, error: Exception) -> str:
    """Return why numpy does not read a `.npy` file."""
    message = str(error)
    if "bject" in message or "pickle" in message:
        return (
            "holds Python objects, or no array at all; such files can run code and are not read: "
            "store one integer array with np.save"
        )
    if any(w in message for w in ("mmap", "EOF", "reshape")) or path.stat().st_size == 0:
        return f"cut short at {path.stat().st_size:,} bytes; write it again"
    return f"not a complete .npy file ({message}); store one integer array with np.save"
