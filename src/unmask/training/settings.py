"""Recipe files and key=value settings as a frozen dataclass, and a commented recipe file."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_type_hints

from unmask.errors import InputError, nearest
from unmask.training.setting_files import parse_file, parse_yaml, yaml_text
from unmask.training.setting_values import from_text, settable, validated

Kind = TypeVar("Kind")
WIDTH = 100


class _Word(NamedTuple):
    """One key=value setting of the command line."""

    keys: tuple[str, ...]  # the remaining parts of a.b.c
    text: str
    whole: str


def read_settings(
    kind: type[Kind],
    path: str | Path | None,
    overrides: Sequence[str] = (),
    *,
    start: Kind | None = None,
) -> Kind:
    """Return a dataclass from a recipe (`.yaml`, `.yml`, `.toml`) and settings such as `steps=500`.

    Fields in neither keep their value in `start`, or their default. A part of a section, which is a
    field that is a dataclass or a dict, is named with a dot: `backbone.hidden_size=64`. A dict in
    the file replaces the whole default; a setting changes one entry. Settings are applied last.

    Raises InputError for a file that cannot be read, unknown keys, values of another type, fields
    without a value, and errors of the dataclass itself.
    """
    tree = {} if path is None else parse_file(Path(path))
    words = [_word(text) for text in overrides]
    return _build(kind, tree, words, start, "" if path is None else f"{path}: ")


def commented(
    kind: type[Any], comments: Mapping[str, str] | None = None, *, values: Any = None
) -> str:
    """Return a recipe in YAML with every field, its value and a comment, for `read_settings`.

    The values are those of `values`, a `kind`, or the defaults. A comment comes from `comments`
    (by field, `section.field` in a section), the field's metadata["help"], or the docstring below
    the field in its class. Raises InputError for comments on unknown fields.
    """
    comments = dict(comments or {})
    lines = _lines(kind, comments, values, "")
    if comments:
        name = next(iter(comments))
        raise InputError(
            f"comment on unknown field {name!r}: {nearest(name, [f.name for f in fields(kind)])}"
        )
    return "\n".join(lines) + "\n"


def _word(text: str) -> _Word:
    name, sign, value = text.partition("=")
    keys = tuple(part.strip() for part in name.split("."))
    if not sign or not all(keys):
        raise InputError(f"{text!r} is not a setting: type key=value, such as steps=500")
    return _Word(keys, value, text)


def _build(
    kind: type[Kind], tree: Mapping[Any, Any], words: list[_Word], start: Kind | None, where: str
) -> Kind:
    """Return an instance of entries, settings and start; where: file and section in errors."""
    names = [field.name for field in settable(kind)]
    said = [(word.keys[0], word.whole) for word in words]
    for key, place in [*((key, f"{where}{key}") for key in tree), *said]:
        if key not in names:
            raise InputError(f"{place}: unknown key {key!r}: {nearest(str(key), names)}")
    values, sections = {}, {}
    for field in settable(kind):
        name, hint = field.name, get_type_hints(kind)[field.name]
        value = _default(field) if start is None else getattr(start, name)
        own = [w._replace(keys=w.keys[1:]) for w in words if w.keys[0] == name]
        if is_dataclass(hint):
            assert isinstance(hint, type)
            section = _section(tree.get(name, {}), where + name)
            for word in own:
                if not word.keys:
                    section = {**section, **_section(parse_yaml(word.text, word.whole), word.whole)}
            before = None if value is MISSING else value
            parts = [word for word in own if word.keys]
            sections[name] = _build(hint, section, parts, before, f"{where}{name}.")
            continue
        value = tree.get(name, value)
        for word in own:
            value = _changed(hint, value, name, word)
        if value is not MISSING:
            values[name] = value
    places = {**{name: where + name for name in names}, **dict(said)}
    return kind(**validated(kind, values, places.__getitem__), **sections)


def _changed(hint: Any, value: Any, name: str, word: _Word) -> Any:
    """Return a value after one setting: replaced, or with one entry of a dict replaced."""
    if not word.keys:
        return from_text(hint, word.text, word.whole)
    if not isinstance(value, Mapping):
        raise InputError(f"{word.whole}: {name!r} has no parts; type {name}=VALUE")
    head, *rest = word.keys
    inner = value.get(head, {})
    return {**value, head: _changed(Any, inner, head, word._replace(keys=tuple(rest)))}


def _section(value: Any, where: str) -> Mapping[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(f"{where}: expected a section of entries, got {value!r}")
    return value


def _lines(kind: type[Any], comments: dict[str, str], values: Any, prefix: str) -> list[str]:
    """Return the lines of a section, and remove the comments used from `comments`."""
    said, hints, lines = _docstrings(kind), get_type_hints(kind), []
    for field in settable(kind):
        full = prefix + field.name
        comment = field.metadata.get("help") or said.get(field.name, "")
        comment = " ".join(comments.pop(full, comment).split())
        value = _default(field) if values is None else getattr(values, field.name)
        indent = "  " * full.count(".")
        if is_dataclass(hint := hints[field.name]):
            assert isinstance(hint, type)
            lines += _line(f"{indent}{field.name}:", comment)
            lines += _lines(hint, comments, None if value is MISSING else value, f"{full}.")
        else:
            text = "" if value is MISSING else " " + yaml_text(value)
            lines += _line(f"{indent}{field.name}:{text}", comment)
    return lines


def _line(text: str, comment: str) -> list[str]:
    """Return an entry with its comment beside it, or above if that is too long."""
    if not comment:
        return [text]
    if len(beside := f"{text}  # {comment}") <= WIDTH:
        return [beside]
    indent = text[: len(text) - len(text.lstrip())]
    return [*textwrap.wrap(comment, WIDTH, initial_indent=f"{indent}# ",
                           subsequent_indent=f"{indent}# "), text]  # fmt: skip


def _default(field: Field[Any]) -> Any:
    """Return a field's default, or MISSING."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def _docstrings(kind: type[Any]) -> dict[str, str]:
    """Return the docstrings below the fields of a class, if its source is available."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    except (OSError, TypeError):
        return {}
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    return {
        field.target.id: text.value.value
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }  # fmt: skip
