"""Rows to fill in, read from text or an array: lists of ids, None where unknown."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from unmask.core.checks import is_integer
from unmask.core.lines import COMMENT, lines_of, numbered_lines
from unmask.errors import CanvasError, InputError

if TYPE_CHECKING:
    from unmask.decoding import Canvas
    from unmask.text import Encoding
    from unmask.viz import Layout

Row = list[int | None]
Around = tuple[list[int], list[int]]
UNKNOWN = ".0"
"""Characters that stand for an unknown cell, unless the layout writes an id that way."""


@dataclass(frozen=True)
class Given:
    """Rows to complete, and the format they were read in, which is also that of the result."""

    rows: list[Row]
    form: Literal["symbols", "ids", "image"]
    around: Around = ([], [])
    """Special tokens before and after each row, which the result does without."""

    def repeated(self, number: int) -> Given:
        """Return each row `number` times."""
        if number < 1:
            raise InputError(f"-n {number}: pass 1 or more completions of each row")
        return replace(self, rows=[row for row in self.rows for _ in range(number)])

    def canvas(self, condition: Any = None) -> Canvas:
        """Return the canvas (B,N) of these rows, which may differ in length."""
        from unmask.decoding import Canvas

        tokens = [[0 if token is None else token for token in row] for row in self.rows]
        unknown = [[token is None for token in row] for row in self.rows]
        return Canvas.ragged(tokens, unknown, condition=condition)


def read_text(text: str, layout: Layout, *, ids: bool) -> Given:
    """Read lines of JSON if `ids` is True or the text begins with a list, else lines of symbols.

    `#` begins a comment, unless it is a symbol of the layout.
    """
    comment = None if not ids and COMMENT in layout.symbols else COMMENT
    lines = list(numbered_lines(text, comment))
    if not lines:
        raise _empty(
            "a line such as [1, null, 3], or one character per position with '.' where unknown"
        )
    ids = ids or lines[0][1].lstrip().startswith("[")
    read = _json_row if ids else _symbols(layout)
    rows = []
    for number, line in lines:
        rows.append(read(line, number))
        _check_length(rows[-1], layout, f"line {number}")
    return Given(rows, "ids" if ids else "symbols")


def _empty(advice: str) -> InputError:
    return InputError(f"the input is empty, so there is nothing to fill in: type {advice}")


def text_of(path: Path | None, option: str = "") -> str:
    """Return the text of a file, or, for None and `-`, of standard input."""
    typed = path is None or str(path) == "-"
    where = "standard input" if typed else f"{option} {path}".strip()
    try:
        data = sys.stdin.buffer.read() if path is None or typed else path.read_bytes()
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where} is not text: byte {error.start} is no UTF-8; pass text, or an array of ids "
            "in .npy"
        ) from None
    except OSError as error:
        advice = f"; to fill it in itself, pass --puzzle '{path}'" if "[MASK" in str(path) else ""
        raise InputError(f"{where} cannot be read: {error.strerror}{advice}") from None


def is_ids(text: str) -> bool:
    """Return whether the first line that is not empty is a JSON list."""
    try:
        return isinstance(json.loads(text.strip().partition("\n")[0]), list)
    except (ValueError, RecursionError):
        return False


def marked_rows(text: str, encoding: Encoding, mask_id: int, most: int | None) -> list[Row]:
    """Read lines of text, in which [MASK] is one unknown position and [MASK:12] are twelve.

    The special tokens that belong around a text are around each row. most: positions that a row
    may have.
    """
    from unmask.text import masks
    from unmask.text.inputs import check_words

    numbered = [(n, line) for n, line in enumerate(lines_of(text), 1) if line.strip()]
    if not numbered:
        raise _empty("a line of text with [MASK] where unknown")
    parts = []
    for number, line in numbered:
        try:
            parts.append(masks.split(line, encoding.mask_token, most or masks.MOST))
        except CanvasError as error:
            raise InputError(f"line {number}: {error}") from None
        if not parts[-1][1]:
            raise InputError(
                f"line {number} has no unknown position: write [MASK] for one, or [MASK:12] for "
                "twelve"
            )
    every = masks.encoded(encoding, parts, mask_id)
    for (number, _), (pieces, _), (ids, _) in zip(numbered, parts, every, strict=True):
        check_words(encoding, f"line {number}", ids, pieces)
    return [
        [None if hidden else i for i, hidden in zip(ids, unknown, strict=True)]
        for ids, unknown in every
    ]


def _symbols(layout: Layout) -> Callable[[str, int], Row]:
    """Return a reader of lines of symbols such as `1..4....`, which names line and column."""
    if not layout.symbols or any(len(symbol) != 1 for symbol in layout.symbols):
        raise InputError(
            f"this model has no character for each id of its {layout.kind}s, so it cannot read "
            "lines of symbols: pass --tokens, with lines such as [1, null, 3]"
        )
    known = {symbol: index for index, symbol in enumerate(layout.symbols)}
    ids: dict[str, int | None] = {**dict.fromkeys(UNKNOWN), **known}

    def read(line: str, number: int) -> Row:
        for column, sign in enumerate(line.strip(), 1):
            if sign not in ids:
                raise InputError(
                    f"line {number}, column {column}: {sign!r} is none of {''.join(known)}; type "
                    "'.' if it is unknown"
                )
        return [ids[sign] for sign in line.strip()]

    return read


def _json_row(line: str, number: int) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        column = f", column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise InputError(
            f"line {number}{column}: not JSON ({getattr(error, 'msg', error)}); "
            "type one list a line, such as [1, null, 3]"
        ) from None
    cells = row if isinstance(row, list) and row else [row]
    for cell in cells:
        if cells is not row or not (cell is None or is_integer(cell)):
            raise InputError(
                f"line {number}: {json.dumps(cell)} cannot be read; a line is a list of ids, null "
                "where unknown, such as [1, null, 3]"
            )
    return cells


def read_image(path: Path, layout: Layout) -> Given:
    """Read a .npy array (H,W) or (B,H,W): ids where known, NaN or below 0 where unknown."""
    import numpy as np

    if layout.kind != "image":
        raise InputError(f"this model generates {layout.kind}s, not images: leave --image out")
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"--image {path} is not a .npy array of numbers: {error}") from None
    shape = (layout.height, layout.width)
    if array.dtype.kind not in "iuf" or array.ndim not in (2, 3) or array.shape[-2:] != shape:
        raise InputError(
            f"--image {path} holds {array.dtype} of shape {array.shape}: pass numbers of shape "
            f"{shape} or (B, {shape[0]}, {shape[1]}), -1 where unknown"
        )
    values = np.nan_to_num(array.astype(float), nan=-1, posinf=np.inf)
    wrong = values[(values >= layout.levels) | (values != np.rint(values))]
    if wrong.size:
        raise InputError(
            f"--image {path} holds {wrong.max():g}: pass whole grey levels from 0 to "
            f"{layout.levels - 1}"
        )
    cells = values.reshape(-1, shape[0] * shape[1])
    ahead: Row = [None] * layout.offset
    return Given([ahead + [int(v) if v >= 0 else None for v in row] for row in cells], "image")


def _check_length(row: Row, layout: Layout, where: str) -> None:
    wanted = layout.offset + layout.height * layout.width
    if layout.kind != "text" and len(row) != wanted:
        raise InputError(
            f"{where} has {len(row)} cells: this {layout.kind} of {layout.height}×{layout.width} "
            f"has {wanted}"
        )
