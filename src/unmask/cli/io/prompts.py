"""Files of texts, and the completions that are there already when a command starts again.

A line of a .jsonl file is an object with a "prompt", or a "text"; its other entries go along. FASTA
gives each record with its header. A line of another file is a text itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unmask.cli.io import fasta
from unmask.cli.io.canvas_input import text_of
from unmask.core.checks import is_integer
from unmask.core.files import replacing_file
from unmask.core.lines import json_line, lines_of
from unmask.errors import InputError

Row = dict[str, Any]


def rows_of(texts: Sequence[str] | None, file: Path | None, key: str) -> list[Row]:
    """Return one object a text, which is its entry `key`: of the command line, else of a file.

    file: None for standard input. Raises InputError for texts and a file.
    """
    if texts and file is not None:
        raise InputError(f"{key}s and --file FILE are both given: pass one of them")
    return [{key: text} for text in texts] if texts else read_rows(file, key)


def read_rows(path: Path | None, key: str) -> list[Row]:
    """Return one object a text of a file. Raises InputError that names a wrong line."""
    text, where = text_of(path), "standard input" if path is None else str(path)
    records = fasta.read_records(path, text, key)
    if records is not None:
        return records
    lines = [(n, line) for n, line in enumerate(lines_of(text), 1) if line.strip()]
    if not lines:
        raise InputError(f"{where} has no {key}: pass one a line")
    if path is None or path.suffix.lower() != ".jsonl":
        return [{key: line} for _, line in lines]
    return [_json_row(line, f"{path}, line {n}", key) for n, line in lines]


def _json_row(line: str, where: str, key: str) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not JSON: {error}") from None
    if not isinstance(row, dict) or not isinstance(row.get(key), str):
        raise InputError(f'{where}: pass an object with a text, as in {{"{key}": "Hello"}}')
    return row


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one JSON object a line."""
    with replacing_file(path) as temporary:
        temporary.write_text("".join(f"{json_line(row)}\n" for row in rows), encoding="utf-8")


@dataclass(frozen=True)
class Ledger:
    """Completions beside an output file, `OUT.part`, until all are there.

    asked: what they are made of; a file that was made of something else is begun anew. rows: how
    many there are.
    """

    path: Path
    asked: str
    rows: int

    @classmethod
    def of(cls, out: Path, rows: Sequence[Mapping[str, Any]], **asked: Any) -> Ledger:
        """Return the ledger of a command with these rows and options."""
        text = json.dumps([list(rows), asked], default=str)
        asked_for = hashlib.sha256(text.encode()).hexdigest()
        return cls(out.with_name(out.name + ".part"), asked_for, len(rows))

    def begin(self) -> dict[int, Row]:
        """Return the completions that are there, by the number of their row."""
        found: dict[int, Row] = {}
        lines = self.path.read_bytes().split(b"\n") if self.path.exists() else []
        first = json.dumps({"asked": self.asked}).encode()
        if lines[:1] != [first]:
            self.path.write_bytes(first + b"\n")
            return found
        for number, line in enumerate(lines[1:-1], 2):  # behind the last newline: cut short
            index, entry = self._entry(number, line)
            found[index] = entry
        self.path.write_bytes(b"\n".join([*lines[:-1], b""]))
        return found

    def add(self, index: int, entry: Mapping[str, Any]) -> None:
        """Keep one completion."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json_line({"index": index, **entry}) + "\n")

    def finish(self, write: Callable[[], None]) -> None:
        """Write the output file, and remove the ledger."""
        write()
        self.path.unlink(missing_ok=True)

    def _entry(self, number: int, line: bytes) -> tuple[int, Row]:
        """Return the index and the completion of a line. Raises InputError for another one."""
        try:
            entry = json.loads(line)
            index = entry.pop("index")
        except (ValueError, KeyError, TypeError, AttributeError):
            index = None
        if not is_integer(index, 0) or index >= self.rows or "completion" not in entry:
            raise InputError(
                f"{self.path}, line {number} is no completion of this command: remove the line to "
                "have it made again, or the file to begin anew"
            )
        return index, entry
