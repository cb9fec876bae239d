"""Recipe files and words of the command line: every key and type is checked, nothing is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import Field, Strict

from unmask.errors import ArgumentError, InputError, StrategyError
from unmask.training.recipe import Recipe
from unmask.training.settings import commented, read_settings, settings


@settings
class Inner:
    width: int = 8
    """Positions
    of one example."""
    name: str | None = None
    keep: bool = False


@settings
class Outer:
    steps: int = Field(100, description="optimiser steps")
    rate: float = Field(1e-5, description="highest learning rate, " + "long " * 20)
    title: str = "yes: it is # quoted"
    mode: Literal["a", "b"] = "a"
    pair: Annotated[tuple[float, float], Strict(False)] = (0.5, 1.0)
    many: Annotated[tuple[int, ...], Strict(False)] = ()
    rows: list[int] = Field(default_factory=lambda: [1, 2])
    limit: int | None = None
    options: dict[str, Any] = Field(default_factory=lambda: {"name": "x", "steps": 3})
    inner: Inner = Field(Inner(width=9), description="a section")


@settings
class Needy:
    steps: int
    rate: float = 0.1


FILLED = Outer(7, 2.0, "on", "b", (1.0, 2.0), (4, 5), [], 3, {"k": {"z": [1, None]}}, Inner(1, "n"))
AS_TOML = """
steps = 7
rate = 2
title = "on"
mode = "b"
pair = [1, 2.0]
many = [4, 5]
rows = []
limit = 3
options = {k = {z = [1, 2]}}
[inner]
width = 1
name = "n"
"""


def written(folder: Path, text: str, name: str = "recipe.yaml") -> Path:
    (path := folder / name).write_text(text, encoding="utf-8")
    return path


def test_a_commented_recipe_reads_back_as_the_defaults(tmp_path):
    text = commented(Outer)
    assert read_settings(Outer, written(tmp_path, text)) == Outer()
    # any YAML 1.1 reader sees the same: 1e-5 is written with a point
    plain = yaml.safe_load(text)
    assert plain["rate"] == 1e-5
    assert plain["inner"] == {"width": 9, "name": None, "keep": False}


def test_a_commented_recipe_of_values_reads_back_as_those(tmp_path):
    assert read_settings(Outer, written(tmp_path, commented(Outer, values=FILLED))) == FILLED


def test_a_long_value_stays_on_its_line():
    long = Outer(options={f"name{i}": "a text of some words" for i in range(9)})
    [line] = [line for line in commented(Outer, values=long).splitlines() if "name8" in line]
    assert line.startswith("options: {name0: a text of some words, name1")


def test_comments_come_from_descriptions_and_docstrings():
    lines = commented(Outer).splitlines()
    assert "steps: 100  # optimiser steps" in lines
    assert "inner:  # a section" in lines
    assert "  width: 9  # Positions of one example." in lines
    assert "  keep: false" in lines
    below = lines.index("rate: 1.0e-05")
    assert lines[below - 2].startswith("# highest learning rate, long")
    assert max(map(len, lines)) <= 100


def test_toml_and_yaml_say_the_same(tmp_path):
    toml = read_settings(Outer, written(tmp_path, AS_TOML, "recipe.toml"))
    same = yaml.safe_dump({**vars(toml), "pair": [1, 2], "many": [4, 5], "inner": vars(toml.inner)})
    assert toml == read_settings(Outer, written(tmp_path, same))
    assert toml.pair == (1.0, 2.0)
    assert [type(x) for x in (toml.rate, *toml.pair, toml.steps)] == [float, float, float, int]
    assert toml.inner == Inner(1, "n", False)


def test_a_section_of_the_file_keeps_the_defaults_of_the_section(tmp_path):
    path = written(tmp_path, "inner:\n  keep: true\n")
    assert read_settings(Outer, path).inner == Inner(9, None, True)


def test_words_come_last_and_change_single_parts(tmp_path):
    path = written(tmp_path, "steps: 5\noptions: {name: y, steps: 4}\ninner: {name: f}\n")
    words = ["steps=6", "steps=8", "options.steps=9", "options.deep.er=1e-3", "inner.width=2"]
    made = read_settings(Outer, path, words)
    assert made.steps == 8
    assert made.options == {"name": "y", "steps": 9, "deep": {"er": 0.001}}
    assert made.inner == Inner(2, "f", False)
    assert Outer().options == {"name": "x", "steps": 3}


def test_values_begin_with_start_where_nothing_is_said(tmp_path):
    made = read_settings(Outer, None, ["inner.keep=true", "options.more=1"], start=FILLED)
    expected = {
        **vars(FILLED),
        "inner": Inner(1, "n", True),
        "options": {"k": {"z": [1, None]}, "more": 1},
    }
    assert vars(made) == expected
    assert FILLED.options == {"k": {"z": [1, None]}}
    assert read_settings(Needy, None, start=Needy(3)) == Needy(3)


@pytest.mark.parametrize(
    ("word", "name", "value"),
    [
        ("title=007", "title", "007"),
        ("title=null", "title", "null"),
        ("title=", "title", ""),
        ("title=a=b: c", "title", "a=b: c"),
        ("title='quoted'", "title", "quoted"),
        ("title=[half", "title", "[half"),
        ("rate=3", "rate", 3.0),
        ("rate=1e-3", "rate", 0.001),
        ("rate=-2E+2", "rate", -200.0),
        ("limit=null", "limit", None),
        ("limit=4", "limit", 4),
        ("many=[1, 2, 3]", "many", (1, 2, 3)),
        ("rows=[3]", "rows", [3]),
        ("options={a: 1}", "options", {"a": 1}),
        ("inner={width: 3, keep: true}", "inner", Inner(3, None, True)),
        (" steps = 4", "steps", 4),
    ],
)
def test_a_word_is_read_as_its_field_wants(word, name, value):
    found = getattr(read_settings(Outer, None, [word]), name)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("stepz=3", "stepz=3: unknown key 'stepz': did you mean 'steps'?"),
        ("inner.widht=3", "inner.widht=3: unknown key 'widht': did you mean 'width'?"),
        ("steps=yes", "steps=yes: input should be a valid integer, got True"),
        ("steps=many", "input should be a valid integer, got 'many'"),
        ("steps=1e3", "a valid integer, got 1000.0; write 1000"),
        ("steps=null", "a valid integer, got None"),
        ("rate=true", "a valid number, got True"),
        ("inner.keep=1", "inner.keep=1: input should be a valid boolean"),
        ("mode=c", "mode=c: known: a, b"),
        ("limit=x", "a valid integer, got 'x'"),
        ("pair=[1]", r"pair=\[1\]: expected 2 values, got 1"),
        ("pair=1", "pair=1: input should be a valid list"),
        ("many=[1, x]", r"many=\[1, x\]\[1\]: input should be a valid integer, got 'x'"),
        ("options=3", "options=3: input should be a valid dictionary"),
        ("inner=3", "expected a section of entries, got 3"),
        ("steps.x=3", "'steps' has no parts; type steps=VALUE"),
        ("steps", "is not a setting: type key=value"),
        ("=3", "is not a setting: type key=value"),
        ("steps=[1", "no valid YAML"),
        ("rate=!!python/object/apply:os.getcwd []", "no valid YAML.*could not determine"),
    ],
)
def test_what_a_field_cannot_hold_is_refused(word, told):
    with pytest.raises(InputError, match=told):
        read_settings(Outer, None, [word])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("stepz: 3", "recipe.yaml: stepz: unknown key 'stepz': did you mean 'steps'?"),
        ("inner: {widht: 3}", "recipe.yaml: inner.widht: unknown key"),
        ("inner: {width: w}", "recipe.yaml: inner.width: input should be a valid integer, got 'w'"),
        ("steps: yes", "recipe.yaml: steps: input should be a valid integer, got True"),
        (
            "title: on",
            "recipe.yaml: title: input should be a valid string, got True; write a text in quotes",
        ),
        ("steps: 1\nrate: 2\nsteps: 3", "no valid YAML.*'steps' stands twice.*line 3"),
        ("inner: {width: 1, width: 2}", "'width' stands twice"),
        ("steps: [1", "recipe.yaml: no valid YAML"),
        ("- steps", "this one is a list"),
        ("options: {1: 2}", r"options\[1\]: input should be a valid string, got 1"),
    ],
)
def test_a_broken_recipe_names_file_and_key(tmp_path, text, told):
    with pytest.raises(InputError, match=f"(?s){told}"):
        read_settings(Outer, written(tmp_path, text))


def test_files_that_are_no_recipe(tmp_path):
    with pytest.raises(InputError, match=r"a recipe is a file ending in \.yaml"):
        read_settings(Outer, written(tmp_path, "{}", "recipe.json"))
    with pytest.raises(InputError, match=r"cannot be read.*No such file"):
        read_settings(Outer, tmp_path / "none.yaml")
    with pytest.raises(InputError, match=r"broken\.toml: no valid TOML"):
        read_settings(Outer, written(tmp_path, "steps = ", "broken.toml"))
    (bad := tmp_path / "bad.yaml").write_bytes(b"title: \xff")
    with pytest.raises(InputError, match="cannot be read"):
        read_settings(Outer, bad)


def test_an_empty_recipe_is_all_defaults_and_needed_fields_are_asked_for(tmp_path):
    assert read_settings(Outer, written(tmp_path, "# nothing\n")) == Outer()
    with pytest.raises(InputError, match="steps: has no value; type steps=VALUE"):
        read_settings(Needy, None, ["rate=1"])
    assert read_settings(Needy, None, ["steps=1"]) == Needy(1)
    assert commented(Needy).splitlines()[0] == "steps:"


def test_json_is_yaml(tmp_path):
    """A recipe as a model card keeps it can be read again."""
    text = json.dumps({"steps": 3, "rate": 1e-7, "inner": {"name": "x"}})
    assert read_settings(Outer, written(tmp_path, text)) == Outer(
        steps=3, rate=1e-7, inner=Inner(9, "x")
    )


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Recipe({}, "7"), r"^steps='7': "),
        (
            lambda: Recipe({}, steps=5, backbone={}),
            r"Recipe\(\) got backbone twice; its arguments: ",
        ),
        (lambda: Recipe(*range(99)), r"Recipe\(\) got too many; its arguments: backbone, steps"),
    ],
)
def test_values_by_their_place(make, told):
    with pytest.raises((ArgumentError, StrategyError), match=told):
        make()


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("foo.bar=1", "foo.bar=1: unknown key 'foo'"),
        ("data.shape=[8]", r"data.shape=\[8\]: expected 2 values, got 1"),
        ("data.shape=[8,8,8]", r"data.shape=\[8,8,8\]: expected 2 values, got 3"),
    ],
)
def test_words_are_told_as_they_were_typed(word, told):
    with pytest.raises(InputError, match=told):
        read_settings(Recipe, None, [word])
