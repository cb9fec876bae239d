"""Square boards of digits as tokens: their text form, their rule and a solver, for any side.

B rows (one board each), N = side² positions in row-major order. Ids 0..side−1 are the digits
1..side, and the id side is an unknown cell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from unmask.core.ids import are_integers
from unmask.core.lines import numbered_lines
from unmask.errors import DataError


def units_of(side: int, box: int) -> np.ndarray:
    """Return the positions of each row, column and box, (3·side, side) int64."""
    cell = np.arange(side * side).reshape(side, side)
    boxes = cell.reshape(box, box, box, box).transpose(0, 2, 1, 3).reshape(side, side)
    return np.concatenate([cell, cell.T, boxes])


@dataclass(frozen=True, eq=False)
class Board:
    """The boards of one kind of puzzle."""

    side: int
    box: int  # the side of a box
    digits: str  # how a message names them, such as "1, 2, 3 or 4"
    example: str  # what a message tells to type where there is no puzzle
    solve: Callable[[Tensor], tuple[Tensor, Tensor]]
    """(B,N) -> how many solutions (B,), where 2 may stand for more, and the first one (B,N)."""

    @cached_property
    def units(self) -> Tensor:
        """(3·side, side) int64: the positions of each row, column and box."""
        return torch.from_numpy(units_of(self.side, self.box))

    @property
    def cells(self) -> int:
        """N."""
        return self.side * self.side

    @property
    def mask_id(self) -> int:
        """The id of an unknown cell."""
        return self.side

    def is_valid(self, boards: Tensor) -> Tensor:
        """(B,N) of any integer dtype -> (B,) bool: every row, column and box holds every digit.

        Raises DataError for another shape or dtype.
        """
        self.check(boards)
        units = boards.long()[:, self.units.to(boards.device)]
        wanted = torch.arange(self.side, device=boards.device)
        return (units.sort(dim=-1).values == wanted).all((1, 2))

    def parse(self, text: str) -> tuple[Tensor, Tensor]:
        """Lines of N digits, '.' or '0' where unknown -> tokens (B,N) long, known (B,N) bool.

        Blank lines and `#` comments are skipped. DataError names line and column, from 1.
        """
        rows = [self._line(line, number) for number, line in numbered_lines(text)]
        if not rows:
            raise DataError(
                f"no puzzle found: type one line of {self.cells} characters, {self.example}"
            )
        tokens = torch.tensor(rows)
        return tokens, tokens != self.mask_id

    def check_clues(self, tokens: Tensor) -> None:
        """(B,N), other ids than digits unknown. Raise DataError for a digit twice in a unit."""
        self.check(tokens)
        for number, board in enumerate(tokens.tolist(), start=1):
            for unit in self.units.tolist():
                seen: dict[int, int] = {}
                for cell in unit:
                    digit = board[cell]
                    if 0 <= digit < self.side and seen.setdefault(digit, cell) != cell:
                        up, left = divmod(seen[digit], self.side)
                        down, right = divmod(cell, self.side)
                        raise DataError(
                            f"puzzle {number} contradicts itself: {digit + 1} is given at row "
                            f"{up + 1}, column {left + 1}, and again at row {down + 1}, column "
                            f"{right + 1}; remove one of them"
                        )

    def format(self, tokens: Tensor) -> str:
        """(B,N) -> lines of N characters, '.' for every id that is no digit."""
        self.check(tokens)
        return "\n".join(
            "".join(str(cell + 1) if 0 <= cell < self.side else "." for cell in row)
            for row in tokens.tolist()
        )

    def hide(self, solved: Tensor, known: np.ndarray) -> tuple[Tensor, Tensor]:
        """Solved boards (B,N), known (B,N) -> tokens with unknown cells, known as a tensor."""
        kept = torch.from_numpy(known).to(solved.device)
        return solved.long().masked_fill(~kept, self.mask_id), kept

    def solved(self, boards: Tensor, maker: str) -> np.ndarray:
        """Return boards (B,N) as int64. Raises DataError where one is not solved."""
        wrong = (~self.is_valid(boards)).nonzero().flatten().tolist()
        if wrong:
            raise DataError(f"rows {wrong[:5]} are not solved boards; pass rows of {maker}()")
        rows: np.ndarray = boards.cpu().long().numpy()
        return rows

    def check(self, boards: Tensor) -> None:
        """Raise DataError for another shape or dtype."""
        if boards.dim() != 2 or boards.shape[1] != self.cells:
            raise DataError(
                f"boards of shape {tuple(boards.shape)}: pass (B, {self.cells}), one row per "
                "board; a single board is board[None]"
            )
        if not are_integers(boards):
            raise DataError(
                f"boards of dtype {boards.dtype}: pass integer ids, such as boards.long()"
            )

    def _line(self, line: str, number: int) -> list[int]:
        if len(line) != self.cells:
            raise DataError(
                f"line {number}, column {min(len(line), self.cells) + 1}: {line!r} has {len(line)} "
                f"characters; a puzzle has {self.cells}, one per cell, '.' for an unknown cell"
            )
        known = "".join(str(digit + 1) for digit in range(self.side))
        for column, character in enumerate(line, start=1):
            if character not in ".0" + known:
                raise DataError(
                    f"line {number}, column {column}: {character!r} is no cell of a "
                    f"{self.side}×{self.side} board; type {self.digits} for a clue and '.' or '0' "
                    "for an unknown cell"
                )
        return [known.index(c) if c in known else self.mask_id for c in line]
