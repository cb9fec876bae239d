"""Rows of canvases and of generations, by index or slice."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_map

from unmask.decoding import Canvas
from unmask.types import Generation


def rows_of(tree: Any, rows: Tensor | slice) -> Any:
    """These rows of every tensor in a tree."""
    return tree_map(lambda leaf: leaf[rows] if isinstance(leaf, Tensor) else leaf, tree)


def canvas_rows(canvas: Canvas, rows: Tensor) -> Canvas:
    """These rows of a canvas, in this order; one may stand more than once."""
    parts = (canvas.tokens, canvas.editable, canvas.valid, canvas.condition)
    return Canvas(*(rows_of(part, rows) for part in parts))


def generation_rows(generation: Generation, rows: Tensor) -> Generation:
    """These rows of a generation, in this order."""
    named = {field.name: getattr(generation, field.name) for field in fields(generation)}
    return Generation(**{name: rows_of(part, rows) for name, part in named.items()})
