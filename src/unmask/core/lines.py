"""Lines of text files: all, or those that a person wrote, and those of JSON.

A line ends where it ends for Python's files, at \\n, \\r\\n or \\r. `str.splitlines` ends it at ten
characters, among them some that JSON and texts hold within a line, such as U+2028.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

COMMENT = "#"
LINE_END = re.compile(r"\r\n|\r|\n")


def lines_of(text: str) -> list[str]:
    """Return the lines of a text without their ends; what follows the last end is one if it is."""
    lines = LINE_END.split(text)
    return lines if lines[-1] else lines[:-1]


def numbered_lines(text: str, comment: str | None = COMMENT) -> Iterator[tuple[int, str]]:
    """Yield number, from 1, and text of each line, without comment (None: there is none).

    Trailing space and lines of nothing else are left out; columns stay those of the file.
    """
    for number, line in enumerate(lines_of(text), start=1):
        kept = (line if comment is None else line.partition(comment)[0]).rstrip()
        if kept:
            yield number, kept


def json_line(value: Any) -> str:
    """Return a value as a line of JSON, without its end.

    Half a character, which no file holds, is written as `\\udca8`.
    """
    text = json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode()
