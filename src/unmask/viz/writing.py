"""Rows of words as terminal characters: text that flows in lines, each character in a column.

Beside `glyphs.py`, where every position has a cell of one width. B rows, H lines of W columns.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.segment import Segment

from unmask.viz.flow import Flow, flow
from unmask.viz.glyphs import DOTS, Line, Way, inked
from unmask.viz.layout import BLANK, UNKNOWN, Cells, Layout


def has_words(layout: Layout) -> bool:
    """Return whether an id of a layout of text stands for several characters, or for none."""
    return layout.kind == "text" and any(len(symbol) != 1 for symbol in layout.symbols)


@dataclass(frozen=True, eq=False)
class Writing:
    """Rows that are drawn as text, each as a tile."""

    layout: Layout
    flow: Flow
    way: Way

    @classmethod
    def of(cls, layout: Layout, cells: Cells, looks: Cells, way: Way) -> Writing:
        """Return the drawing of cells with their looks, both (B,H,W) as of the layout."""
        return cls(layout, flow(layout, cells, looks, 1), way)

    @property
    def size(self) -> tuple[int, int]:
        """Lines and characters of a tile."""
        _, lines, across = self.flow.cells.shape
        return lines, across

    def tile(self, row: int, looks: Cells) -> list[Line]:
        """Draw a row; its looks are those of `of`."""
        pairs = zip(self.flow.cells[row].tolist(), self.flow.looks[row].tolist(), strict=True)
        return [[self._sign(*each) for each in zip(*line, strict=True)] for line in pairs]

    def _sign(self, number: int, look: int) -> Segment:
        if number == BLANK:
            return Segment(" ")
        if number == UNKNOWN:
            return inked(DOTS[self.way], None)
        sign = self.flow.signs[number]
        return inked("" if sign.part == 2 else sign.text or " ", look)
