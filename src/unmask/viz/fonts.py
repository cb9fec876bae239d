"""Fonts of text: DejaVu, which comes with matplotlib, or another one that has the character."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from unmask.core.optional import library

OWN = ("DejaVuSansMono.ttf", "DejaVuSans.ttf")
NO_LETTERS = "LastResort"  # a font of boxes
NEEDED = "text is drawn with the fonts of matplotlib, which is not installed; type"


def font_of(text: str, size: int) -> Any:
    """Return the first font with all characters of a text, at a size in pixels; None for none.

    Raises MissingExtraError where matplotlib or Pillow is not installed.
    """
    draw = library("PIL.ImageFont", "viz", "text is drawn by Pillow, which is not installed; type")
    for path in (*own(), *others()) if not _has(own()[0], text) else own()[:1]:
        if _has(path, text):
            try:
                return draw.truetype(path, size)
            except OSError:  # a font of pictures, of one size
                continue
    return None


@lru_cache(maxsize=1)
def own() -> tuple[str, ...]:
    """Return the fonts that are always there."""
    folder = Path(library("matplotlib", "viz", NEEDED).get_data_path()) / "fonts" / "ttf"
    return tuple(str(folder / name) for name in OWN)


@lru_cache(maxsize=1)
def others() -> tuple[str, ...]:
    """Return the fonts of this machine."""
    listed = library("matplotlib.font_manager", "viz", NEEDED).fontManager.ttflist
    paths = sorted({each.fname for each in listed})
    return tuple(path for path in paths if not Path(path).name.startswith(NO_LETTERS))


@lru_cache(maxsize=1 << 16)
def _has(path: str, text: str) -> bool:
    face = _face(path)
    return face is not None and all(face.get_char_index(ord(character)) for character in text)


@cache
def _face(path: str) -> Any:
    try:
        return library("matplotlib.ft2font", "viz", NEEDED).FT2Font(path)
    except (OSError, RuntimeError):  # a file that is gone, or none that it reads
        return None
