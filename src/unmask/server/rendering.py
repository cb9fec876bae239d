"""JSON in parts. One call of the encoder lets no other thread run, the event loop's included."""

from __future__ import annotations

import json
from typing import Any

SLICE = 512
"""Elements of a list that one call encodes."""
LEVELS = 5
_compact = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def rendered(value: Any, levels: int = LEVELS) -> str:
    """Return the JSON of a value. levels: of objects and lists whose parts are encoded one by one.

    Raises ValueError for numbers that JSON cannot write.
    """
    if levels and isinstance(value, dict):
        pairs = (f"{_compact.encode(k)}:{rendered(v, levels - 1)}" for k, v in value.items())
        return "{" + ",".join(pairs) + "}"
    if not isinstance(value, list):
        return _compact.encode(value)
    if levels and len(value) <= SLICE and any(isinstance(each, dict | list) for each in value):
        return "[" + ",".join(rendered(each, levels - 1) for each in value) + "]"
    slices = (value[i : i + SLICE] for i in range(0, len(value), SLICE))
    return "[" + ",".join(_compact.encode(each)[1:-1] for each in slices) + "]"
