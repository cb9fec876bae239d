"""Files of prompts, and the completions that are there already when a command starts again.

A line of a .jsonl file is an object with a "prompt"; its other entries go along. A line of another
file is a prompt itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unmask.cli.io.canvas_input import text_of
from unmask.core.files import replacing_file
from unmask.errors import InputError


def read_prompts(path: Path) -> list[dict[str, Any]]:
    """Return one object a line, each with a "prompt". Raises InputError that names a wrong line."""
    lines = [line for line in text_of(path).splitlines() if line.strip()]
    if path.suffix.lower() != ".jsonl":
        return [{"prompt": line} for line in lines]
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}, line {number} is not JSON: {error}") from None
        if not isinstance(row, dict) or not isinstance(row.get("prompt"), str):
            raise InputError(
                f'{path}, line {number}: pass an object with a text, as in {{"prompt": "Hello"}}'
            )
        rows.append(row)
    if not rows:
        raise InputError(f"{path} has no prompt: pass one a line")
    return rows


@dataclass(frozen=True)
class Ledger:
    """Completions beside an output file, `OUT.part`, until all are there.

    asked: what they are made of; a file that was made of something else is begun anew.
    """

    path: Path
    asked: str

    @classmethod
    def of(cls, out: Path, rows: Sequence[Mapping[str, Any]], **asked: Any) -> Ledger:
        """Return the ledger of a command with these rows and options."""
        text = json.dumps([list(rows), asked], default=str)
        return cls(out.with_name(out.name + ".part"), hashlib.sha256(text.encode()).hexdigest())

    def begin(self) -> dict[int, dict[str, Any]]:
        """Return the completions that are there, by the number of their row."""
        found: dict[int, dict[str, Any]] = {}
        lines = self.path.read_text(encoding="utf-8").split("\n") if self.path.exists() else []
        if lines[:1] != [json.dumps({"asked": self.asked})]:
            self.path.write_text(json.dumps({"asked": self.asked}) + "\n", encoding="utf-8")
            return found
        for line in lines[1:-1]:  # what follows the last newline was cut short
            entry = json.loads(line)
            found[entry.pop("index")] = entry
        self.path.write_text("\n".join([*lines[:-1], ""]), encoding="utf-8")
        return found

    def add(self, index: int, entry: Mapping[str, Any]) -> None:
        """Keep one completion."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"index": index, **entry}, ensure_ascii=False) + "\n")

    def finish(self, out: Path, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write all rows to the output file, and remove the ledger."""
        with replacing_file(out) as temporary:
            lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
            temporary.write_text("".join(lines), encoding="utf-8")
        self.path.unlink(missing_ok=True)
