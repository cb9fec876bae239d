"""Text as signs in columns: where each token of a row stands, the same in all frames.

S frames of B rows of N positions, in H lines of W columns. A symbol may hold bytes of a character
that other tokens complete, as Python's surrogate escapes; together they are one unit, shown when
all of it is known. A unit has as many columns as it needs in any frame.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from rich.cells import cell_len

from unmask.data.pieces import BROKEN
from unmask.viz.highlights import FRESH, GIVEN, PLAIN
from unmask.viz.layout import BLANK, UNKNOWN, Cells, Layout

BREAK, TAB, OTHER = "↵", "→", "·"
TAB_COLUMNS = 4
JOINER = "\u200d"
_LETTERLESS = ("Cc", "Cn", "Co", "Cs")  # categories of what has no look


@dataclass(frozen=True)
class Sign:
    """The content of a column. part: 1 and 2 for the halves of a wide one, else 0.

    text: a character with its marks, empty for a space. pale: whether it stands for something
    without a look, such as a line end.
    """

    text: str
    part: int = 0
    pale: bool = False

    @property
    def breaks(self) -> bool:
        """Whether the line ends behind it."""
        return self.pale and self.text == BREAK


@dataclass(frozen=True, eq=False)
class Flow:
    """Rows as signs: `cells` (S·B,H,W) are numbers of `signs`, or UNKNOWN, or BLANK."""

    cells: Cells
    looks: Cells  # (S·B,H,W)
    signs: list[Sign]


@dataclass(frozen=True)
class _Pieces:
    """The text of each id, the columns of an unknown one, those left free behind it, of a line."""

    text: Callable[[int], str]
    unknown: int
    free: int
    line: int

    @classmethod
    def of(cls, layout: Layout, ids: Cells) -> _Pieces:
        """Return those of a layout; ids without symbols are numbers, all of one width."""
        if layout.symbols:
            return cls(layout.symbol, 1, 0, layout.width)
        digits = len(str(ids.max(initial=0)))
        wide = digits + 1
        return cls(lambda token: f"{token:<{wide}}", wide, 1, layout.width * wide)

    def columns(self, ids: Cells) -> tuple[Sign, ...] | None:
        """Return the columns of ids together, None if one is unknown."""
        return None if (ids == UNKNOWN).any() else columns_of("".join(map(self.text, ids.tolist())))


Spot = tuple[int, int] | None  # line and column; None for a space that a line begins with


@dataclass(frozen=True)
class _Unit:
    """Positions that are shown together. columns: of each frame, None where unknown."""

    positions: list[int]
    columns: list[tuple[Sign, ...] | None]
    width: int


def flow(layout: Layout, cells: Cells, looks: Cells, sheets: int) -> Flow:
    """Return rows of text as signs. cells, looks: (S·B,·,·), frame by frame; sheets: S."""
    rows, number = len(cells) // sheets, dict[Sign, int]()
    ids, marks = cells.reshape(len(cells), -1), looks.reshape(len(cells), -1)
    ids = ids[:, ~(ids == BLANK).all(0)]
    pieces = _Pieces.of(layout, ids)
    units = [_units(ids[row::rows], pieces) for row in range(rows)]
    spots = [_spots(each, pieces.line) for each in units]
    every = [spot for row in spots for unit in row for spot in unit if spot is not None]
    tall, wide = (1 + max((spot[axis] for spot in every), default=0) for axis in (0, 1))
    found = np.full((len(cells), tall, wide), BLANK, np.int64)
    looked = np.full(found.shape, PLAIN, np.int64)
    for row, (its, places) in enumerate(zip(units, spots, strict=True)):
        for unit, where in zip(its, places, strict=True):
            for frame, columns in enumerate(unit.columns):
                at = frame * rows + row
                look = _look(marks[at, unit.positions])
                count = unit.width - pieces.free if columns is None else len(columns)
                for k, spot in enumerate(where[:count]):
                    if spot is None:
                        continue
                    code = UNKNOWN
                    if columns is not None:
                        code = number.setdefault(columns[k], len(number))
                    found[at][spot], looked[at][spot] = code, look
    return Flow(found, looked, list(number))


def _look(marks: Cells) -> int:
    """Return the look of a unit by those of its positions."""
    if (marks == FRESH).any():
        return FRESH
    return GIVEN if (marks == GIVEN).all() else PLAIN


def _units(ids: Cells, pieces: _Pieces) -> list[_Unit]:
    """Return the units of a row, of ids (S,N), as they are in its last frame."""
    groups, text = list[list[int]](), ""
    for position, token in enumerate(ids[-1].tolist()):
        here = "" if token == UNKNOWN else pieces.text(token)
        if here and text and _joins(text, here):
            groups[-1].append(position)
            text += here
        else:
            groups.append([position])
            text = here
    units = []
    for each in groups:
        columns = [pieces.columns(frame) for frame in ids[:, each]]
        wide = max(pieces.unknown if found is None else len(found) for found in columns)
        units.append(_Unit(each, columns, wide))
    return units


def _joins(text: str, more: str) -> bool:
    """Whether a text goes on within a character: by its bytes, a mark, or a joiner."""
    if text.endswith(JOINER) or _is_mark(more[0]):
        return True
    if not "\udc80" <= more[0] <= "\udcff":
        return False
    data = text.encode("utf-8", "surrogateescape")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.end == len(data) and "unexpected end" in error.reason
    return False


def _is_mark(character: str) -> bool:
    """Whether a character belongs to the one before."""
    tone = "\U0001f3fb" <= character <= "\U0001f3ff"
    return tone or unicodedata.category(character) in ("Mn", "Me", "Cf")


@lru_cache(maxsize=1 << 16)
def columns_of(text: str) -> tuple[Sign, ...]:
    """Return the columns of a text."""
    try:
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    except UnicodeEncodeError:  # half a character that is no byte
        text = re.sub("[\ud800-\udfff]", BROKEN, text)
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n"))
    return tuple(sign for character in _characters(text) for sign in _signs(character))


def _characters(text: str) -> Iterator[str]:
    """Yield characters with the marks behind them, and what joiners join."""
    held = ""
    for character in text:
        if held and (_is_mark(character) or held.endswith(JOINER)):
            held += character
            continue
        if held:
            yield held
        held = character
    if held:
        yield held


def _signs(character: str) -> list[Sign]:
    if character == "\n":
        return [Sign(BREAK, pale=True)]
    if character == "\t":
        return [Sign(TAB, pale=True), *[Sign("")] * (TAB_COLUMNS - 1)]
    kept = "".join(c for c in character if unicodedata.category(c) != "Cf" and not _selects(c))
    wide = cell_len(kept[:1]) > 1
    if not kept or kept.isspace():
        return [Sign("")] * (2 if wide else 1 if kept else 0)
    if unicodedata.category(kept[0]) in _LETTERLESS or kept[0] == BROKEN:
        return [Sign(OTHER, pale=True)]
    return [Sign(kept, 1), Sign(kept, 2)] if wide else [Sign(kept)]


def _selects(character: str) -> bool:
    """Whether a character only chooses among looks of the one before."""
    return "\ufe00" <= character <= "\ufe0f"


def _spots(units: Sequence[_Unit], width: int) -> list[list[Spot]]:
    """Return the place of each column of each unit: lines break at line ends and at `width`."""
    line, column, begun = 0, 0, True  # begun: whether the line was begun by a line end
    found = list[list[Spot]]()
    for number, unit in enumerate(units):
        final = unit.columns[-1] or ()
        if column and column + unit.width > width >= unit.width:
            line, column, begun = line + 1, 0, False
        where = list[Spot]()
        for k in range(unit.width):
            sign = final[k] if k < len(final) else None
            room = 2 if sign is not None and sign.part == 1 else 1
            if column and column + room > width:
                line, column, begun = line + 1, 0, False
            space = sign is not None and not sign.text
            if space and not column and (not begun or number == 0) and unit.width > 1:
                where.append(None)
                continue
            where.append((line, column))
            column += 1
            if sign is not None and sign.breaks:
                line, column, begun = line + 1, 0, True
        found.append(where)
    return found
