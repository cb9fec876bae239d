"""docs/methods.md is what the presets say of themselves."""

from pathlib import Path

import pytest

from unmask import presets
from unmask.presets.table import LAWS, law, table

DOCUMENT = Path(__file__).parents[2] / "docs" / "methods.md"


def test_the_document_is_the_table():
    said = DOCUMENT.read_text(encoding="utf-8")
    assert said == table(), "run: python -m unmask.presets.table > docs/methods.md"


def test_every_preset_has_a_line():
    lines = [line for line in table().splitlines() if line.startswith("| `")]
    assert [line.split("`")[1] for line in lines] == presets.__all__


@pytest.mark.parametrize("name", presets.__all__)
def test_every_preset_says_what_its_law_is(name):
    assert law(getattr(presets, name)) in LAWS, f"say it in the docstring, as one of {LAWS}"


@pytest.mark.parametrize("name", presets.__all__)
def test_presets_bind_parts_in_twenty_lines(name):
    """Without signature and docstring."""
    import ast
    import inspect

    function = ast.parse(inspect.getsource(getattr(presets, name))).body[0]
    body = function.body[1:]
    assert body[-1].end_lineno - body[0].lineno + 1 <= 20
