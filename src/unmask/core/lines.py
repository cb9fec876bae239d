"""Lines of a text file that a person wrote: numbered, without comments and empty lines."""

from __future__ import annotations

from collections.abc import Iterator

COMMENT = "#"


def numbered_lines(text: str, comment: str | None = COMMENT) -> Iterator[tuple[int, str]]:
    """Yield number, from 1, and text of each line, without comment (None: there is none).

    Trailing space and lines of nothing else are left out; columns stay those of the file.
    """
    for number, line in enumerate(text.splitlines(), start=1):
        kept = (line if comment is None else line.partition(comment)[0]).rstrip()
        if kept:
            yield number, kept
