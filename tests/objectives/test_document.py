"""docs/objectives.md runs."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "objectives.md"


def test_the_document_runs():
    """Every Python block, in order, in one namespace."""
    text = DOCUMENT.read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) >= 2
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, DOCUMENT.name, "exec"), namespace)


def test_every_objective_is_in_it():
    from unmask import objectives

    parts = {
        "Corrupted",
        "Reading",
        "corrupt_by_count",
        "critic_loss",
        "evaluate",
        "fill",
        "read_corrupted",
    }
    text = DOCUMENT.read_text(encoding="utf-8")
    assert [name for name in objectives.__all__ if name not in parts and name not in text] == []
