"""Figures in a CSV file that is whole after every measurement, so that a comparison can go on."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from itertools import chain, starmap
from pathlib import Path

from unmask.core.files import write_file
from unmask.errors import DataError
from unmask.evaluation.figures import Figure, Quality, Setting, Terms

_TERMS = ("task", "fingerprint", "seed", "samples", "preset", "setting")

Key = tuple[str, ...]


class Ledger:
    """The rows of one file, by what was measured.

    A row is a setting under its terms; each quality has three columns: its value, the standard
    error of that, and the mean forwards of a row. Raises DataError where the file holds anything
    else, which is then left alone.
    """

    def __init__(self, path: Path, qualities: Sequence[Quality]) -> None:
        self.path = path
        self._keys = [quality.key for quality in qualities]
        self._rows: dict[Key, dict[str, Figure]] = self._read()

    def find(self, terms: Terms, setting: Setting) -> Mapping[str, Figure] | None:
        """The figures of a setting, None where it was not measured under these terms."""
        return self._rows.get(_key(terms, setting))

    def add(self, terms: Terms, setting: Setting, figures: Mapping[str, Figure]) -> None:
        """Put figures in the file: all of it is written anew beside it, then renamed.

        What another process has put there meanwhile stays.
        """
        meanwhile = self._read()
        rows = {**self._rows, **meanwhile, _key(terms, setting): dict(figures)}
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self._columns)
        for key, row in rows.items():
            numbers = chain.from_iterable(astuple(row[name]) for name in self._keys)
            writer.writerow([*key, *map(repr, numbers)])
        write_file(self.path, text.getvalue().encode())
        self._rows = rows

    @property
    def _columns(self) -> list[str]:
        ends = ("", "_error", "_forwards")
        return [*_TERMS, *(key + end for key in self._keys for end in ends)]

    def _read(self) -> dict[Key, dict[str, Figure]]:
        if not self.path.exists():
            return {}
        try:
            with self.path.open(encoding="utf-8", newline="") as file:
                lines = list(csv.reader(file, strict=True))
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{self.path} is not a CSV file: {error}; {_ELSEWHERE}") from None
        if not lines or lines[0] != self._columns:
            raise DataError(
                f"{self.path} was not written for this task: its columns are "
                f"{', '.join(lines[0]) if lines else 'missing'} instead of "
                f"{', '.join(self._columns)}; {_ELSEWHERE}"
            )
        return dict(self._row(number, line) for number, line in enumerate(lines[1:], start=2))

    def _row(self, number: int, line: list[str]) -> tuple[Key, dict[str, Figure]]:
        try:
            if len(line) != len(self._columns):
                raise ValueError(f"{len(line)} entries for {len(self._columns)} columns")
            figures = [float(text) for text in line[len(_TERMS) :]]
        except ValueError as error:
            raise DataError(
                f"{self.path}, line {number}: {error}; remove the line to measure it again"
            ) from None
        threes = zip(figures[0::3], figures[1::3], figures[2::3], strict=True)
        parts = dict(zip(self._keys, starmap(Figure, threes), strict=True))
        return tuple(line[: len(_TERMS)]), parts


_ELSEWHERE = "type another --out folder, or remove the file"


def _key(terms: Terms, setting: Setting) -> Key:
    return (*map(str, astuple(terms)), setting.preset, setting.label)
