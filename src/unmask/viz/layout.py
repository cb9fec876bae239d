"""Layouts of a row of ids for display: an image, a board, or text. Plain data.

B rows, N positions, S frames, H lines and W cells per line. Unknown positions are -1 in frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unmask.core.ids import are_integers
from unmask.errors import InputError, nearest

UNKNOWN = -1
BLANK = -2  # in `cells` where a line of text is longer than the row: nothing is drawn there

KINDS = ("image", "board", "text")
LINE = 32

Cells = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Layout:
    """The place of each position of a row, and the look of its ids.

    Build one with `Layout.image`, `Layout.board` or `Layout.text`; `to_dict` and `from_dict`
    carry it through JSON.
    """

    kind: str  # one of KINDS
    height: int = 0  # lines of an image or board; 0 for text, which has as many as it needs
    width: int = LINE  # cells in a line
    levels: int = 0  # grey levels of an image: ids 0..levels-1, dark ink last
    symbols: tuple[str, ...] = ()  # text of each id, but of images; empty in text: the id itself
    box: tuple[int, int] = (0, 0)  # height and width of what thick lines enclose; (0, 0): none
    offset: int = 0  # leading positions that are not drawn, such as a class id

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"kind={self.kind!r} is no layout; {nearest(str(self.kind), KINDS)}")
        sizes: Any = (self.height, self.width, self.levels, self.offset)
        pair = self.box if type(self.box) is tuple and len(self.box) == 2 else (None,)
        if any(type(size) is not int for size in (*sizes, *pair)):
            raise InputError(f"sizes of a layout are integers, box is two of them; not {self}")
        if type(self.symbols) is not tuple or any(type(text) is not str for text in self.symbols):
            raise InputError(f"symbols is a tuple of strings, one per id; not {self.symbols!r}")
        fits = self.height == 0 if self.kind == "text" else self.height > 0
        if not fits or self.width < 1 or self.offset < 0:
            raise InputError(
                f"height={self.height}, width={self.width}, offset={self.offset}: {self.kind} "
                "needs a width of 1 or more, an offset of 0 or more, and a height of 1 or more "
                "(text: 0, it has as many lines as it needs)"
            )
        if self.kind == "image" and self.levels < 2:
            raise InputError(f"levels={self.levels}: an image needs two grey levels or more")
        if self.kind == "board" and not self.symbols:
            raise InputError('a board needs a symbol per id, such as symbols="1234"')
        tall, wide = self.box
        fits = min(tall, wide) > 0 and self.height % tall == 0 and self.width % wide == 0
        if self.kind == "board" and self.box != (0, 0) and not fits:
            raise InputError(
                f"boxes of {tall}×{wide} do not tile a board of {self.height}×{self.width}; "
                "pass box=(0, 0) for none"
            )

    @classmethod
    def image(cls, height: int, width: int, levels: int, *, offset: int = 0) -> Layout:
        """A greyscale image of height × width pixels whose ids are the levels 0..levels-1."""
        return cls("image", height, width, levels=levels, offset=offset)

    @classmethod
    def board(
        cls,
        height: int,
        width: int,
        symbols: str | tuple[str, ...],
        *,
        box: tuple[int, int] = (0, 0),
        offset: int = 0,
    ) -> Layout:
        """A board of height × width cells: `symbols[id]` is written in each, boxes drawn thick."""
        return cls("board", height, width, symbols=tuple(symbols), box=box, offset=offset)

    @classmethod
    def text(
        cls, symbols: str | tuple[str, ...] = (), *, width: int = LINE, offset: int = 0
    ) -> Layout:
        """A line of symbols (or of bare ids), wrapped every `width` positions.

        Pictures wrap at `width` characters, and where a symbol has a line end. A symbol may be a
        part of a character: bytes as Python's surrogate escapes.
        """
        return cls("text", 0, width, symbols=tuple(symbols), offset=offset)

    def cells(self, frame: Tensor) -> Cells:
        """Arrange ids (B, N) as (B, H, W); -1 stays unknown, -2 fills the end of the last line.

        Raises InputError for another shape or dtype, and for ids that this layout cannot show.
        """
        self._check(frame)
        cells: Cells = self._arranged(frame.to(torch.int64), BLANK)
        return cells

    def marks(self, mask: Tensor) -> npt.NDArray[np.bool_]:
        """Arrange a mask (B, N) bool beside `cells`: (B, H, W), False past the end of a row."""
        marks: npt.NDArray[np.bool_] = self._arranged(mask, False)
        return marks

    def symbol(self, token: int) -> str:
        """Return the text of an id: its symbol, or the number itself without symbols."""
        return self.symbols[token] if self.symbols else str(token)

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON knows them: strings, integers, lists."""
        return {**asdict(self), "symbols": list(self.symbols), "box": list(self.box)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Layout:
        """The layout that `to_dict` wrote. Raises InputError for keys that are not its own."""
        known = [field.name for field in fields(cls)]
        for key in data:
            if key not in known:
                raise InputError(f"a layout has no field {key!r}; {nearest(str(key), known)}")
        if "kind" not in data:
            raise InputError(f"the layout {dict(data)} says no kind; known: {', '.join(KINDS)}")
        listed = {key: tuple(value) for key, value in data.items() if isinstance(value, list)}
        return cls(**{**data, **listed})

    def _arranged(self, rows: Tensor, end: int) -> Any:
        drawn = rows[:, self.offset :].cpu().numpy()
        lines = self.height or max(1, -(-drawn.shape[1] // self.width))
        spare = lines * self.width - drawn.shape[1]
        padded = np.pad(drawn, ((0, 0), (0, spare)), constant_values=end)
        return padded.reshape(len(drawn), lines, self.width)

    def _check(self, frame: Tensor) -> None:
        if frame.dim() != 2 or not are_integers(frame):
            raise InputError(
                f"a frame is {frame.dtype} of shape {tuple(frame.shape)}; pass integer ids (B, N)"
            )
        wanted = self.offset + self.height * self.width
        found, tiled = frame.shape[1], self.kind != "text"
        if found < wanted or (tiled and found > wanted):
            cells = f" of {self.height}×{self.width} cells; pass (B, {wanted})" if tiled else ""
            raise InputError(
                f"rows of {found} positions, of which {self.offset} are not drawn (offset), do not "
                f"fit this {self.kind}{cells}"
            )
        count = self.levels if self.kind == "image" else len(self.symbols)
        outside = frame < UNKNOWN
        if count:
            outside = outside | (frame >= count)
        outside[:, : self.offset] = False
        if outside.any():
            row, position = outside.nonzero()[0].tolist()
            bound = f"0..{count - 1}" if count else "0 and above"
            raise InputError(
                f"id {int(frame[row, position])} at row {row}, position {position}: this layout "
                f"shows {bound}, and -1 for unknown; type tokens.masked_fill(masked, -1)"
            )
