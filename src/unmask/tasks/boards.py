"""Square boards of digits as tokens: their text form and their rule, for any side.

B rows (one board each), N = side² positions in row-major order. Ids 0..side−1 are the digits
1..side, and the id side is an unknown cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.core.ids import are_integers
from unmask.core.lines import numbered_lines
from unmask.errors import DataError


@dataclass(frozen=True, eq=False)
class Board:
    """The boards of one kind of puzzle."""

    side: int
    units: Tensor  # (units, side) long: the positions of each row, column and box
    digits: str  # how a message names them, such as "1, 2, 3 or 4"
    example: str  # what a message tells to type where there is no puzzle

    @property
    def cells(self) -> int:
        """N."""
        return self.side * self.side

    @property
    def mask_id(self) -> int:
        """The id of an unknown cell."""
        return self.side

    def is_valid(self, boards: Tensor) -> Tensor:
        """(B,N) of any integer dtype -> (B,) bool: every unit holds every digit."""
        self.check(boards)
        units = boards.long()[:, self.units.to(boards.device)]
        wanted = torch.arange(self.side, device=boards.device)
        return (units.sort(dim=-1).values == wanted).all((1, 2))

    def parse(self, text: str) -> tuple[Tensor, Tensor]:
        """Lines of N characters -> tokens (B,N) long, known (B,N) bool; `#` begins a comment."""
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
                        (up, left), (down, right) = (
                            divmod(each, self.side) for each in (seen[digit], cell)
                        )
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
