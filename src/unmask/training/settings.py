"""Settings: dataclasses that pydantic checks, from Python, recipe files and key=value words."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import ArgsKwargs, PydanticUndefined
from typing_extensions import dataclass_transform

from unmask.errors import ArgumentError, InputError, StrategyError, nearest
from unmask.training.setting_files import parse_file, parse_yaml, yaml_text

Kind = TypeVar("Kind")
Keys = tuple[str, ...]  # the parts of a.b.c
CONFIG = ConfigDict(strict=True, allow_inf_nan=False, use_attribute_docstrings=True, extra="forbid")
WIDTH = 100


@dataclass_transform(frozen_default=True, field_specifiers=(Field,))
def settings(kind: type[Kind]) -> type[Kind]:
    """Make a class a frozen dataclass whose fields pydantic checks, and numpy's numbers Python's.

    A docstring below a field is its comment in a recipe. Its constructor raises StrategyError for
    a value that does not fit, ArgumentError for an unknown name.
    """
    made: Any = dataclass(kind, frozen=True, config=CONFIG)

    @wraps(made.__init__)
    def init(self: Any, *args: Any, **values: Any) -> None:
        names = list(made.__pydantic_fields__)
        if unknown := [name for name in values if name not in names]:
            raise ArgumentError.unknown(kind.__name__, unknown[0], names)
        if len(args) > len(names) or (twice := set(names[: len(args)]) & values.keys()):
            wrong = "too many" if len(args) > len(names) else f"{min(twice)} twice"
            raise ArgumentError(f"{kind.__name__}() got {wrong}; its arguments: {', '.join(names)}")
        values = {**dict(zip(names, args, strict=False)), **values}
        said: dict[Keys, str] = {(name,): f"{name}={values[name]!r}" for name in values}
        _fill(self, _plain(values), said)

    made.__init__ = init
    finished: type[Kind] = made
    return finished


def read_settings(
    kind: type[Kind],
    path: str | Path | None,
    overrides: Sequence[str] = (),
    *,
    start: Kind | None = None,
) -> Kind:
    """Return settings from a recipe (`.yaml`, `.yml`, `.toml`) and words such as `steps=500`.

    kind: a class made by `settings`. Fields in neither keep their value in `start`, or their
    default. A part of a section, which is a field that is such a class or a dict, is named with a
    dot: `backbone.hidden_size=64`. A dict in the file replaces the whole default; a word changes
    one entry. Words are applied last.

    Raises InputError for a file that cannot be read, unknown keys, values of another type, fields
    without a value, and errors of the class itself.
    """
    values = _nested(kind, start)
    said: dict[Keys, str] = {}
    tree = {} if path is None else parse_file(Path(path))
    for keys, value in _entries(kind, tree):
        said[keys] = f"{path}: {'.'.join(keys)}"
        _assign(values, keys, value, said[keys])
    for word in overrides:
        name, sign, text = word.partition("=")
        parts = tuple(part.strip() for part in name.split("."))
        if not sign or not all(parts):
            raise InputError(f"{word!r} is not a setting: type key=value, such as steps=500")
        hint = _hint(kind, *parts)
        for keys, value in _entries(hint, _read(hint, text, word), parts):
            said[keys] = word
            _assign(values, keys, value, word)
    made: Kind = _build(kind, values, said)
    return made


def commented(kind: type[Any], *, values: Any = None) -> str:
    """Return a recipe in YAML with every field, its value and its comment, for `read_settings`.

    The values are those of `values`, a `kind`, or the defaults.
    """
    return "\n".join(_lines(kind, _nested(kind, values), "")) + "\n"


def _plain(value: Any) -> Any:
    """Return a value with Python's numbers for numpy's."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    return value.item() if isinstance(value, np.generic) else value


def _hint(hint: Any, *keys: Any) -> Any:
    """Return the type of a field, or of a field of a section; Any where nothing is known."""
    for key in keys:
        hint = get_type_hints(hint).get(key, Any) if is_dataclass(hint) else Any
    return hint


def _nested(kind: Any, settings: Any) -> dict[str, Any]:
    """Return the fields of settings, or their defaults, with sections as dicts."""
    if settings is not None:
        return asdict(settings)
    fields = kind.__pydantic_fields__.items()
    values = {name: info.get_default(call_default_factory=True) for name, info in fields}
    return {
        name: asdict(value) if is_dataclass(value) else value  # type: ignore[arg-type]
        for name, value in values.items()
        if value is not PydanticUndefined
    }


def _entries(hint: Any, value: Any, keys: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Yield the keys and the value of each field, also in sections; a dict is one value."""
    if is_dataclass(hint) and (value is None or isinstance(value, Mapping)):
        for key, part in (value or {}).items():
            yield from _entries(_hint(hint, key), part, (*keys, str(key)))
    else:
        yield keys, value


def _read(hint: Any, text: str, word: str) -> Any:
    """Return text of the command line as YAML, or as it is where only a text fits."""
    texts = hint in (str, str | None)
    try:
        value = parse_yaml(text, word)
    except InputError:
        if texts:
            return text
        raise
    fits = isinstance(value, str) or (value is None and hint is not str)
    return value if fits or not texts else text


def _assign(values: dict[str, Any], keys: Keys, value: Any, where: str) -> None:
    *sections, last = keys
    for key in sections:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise InputError(f"{where}: {key!r} has no parts; type {key}=VALUE")
    values[last] = value


def _build(kind: Any, values: Any, said: Mapping[Keys, str], keys: Keys = ()) -> Any:
    """Return a `kind` of nested values; keys: of this section."""
    if not isinstance(values, dict):
        raise InputError(f"{said[keys]}: expected a section of entries, got {values!r}")
    values = {
        name: _build(hint, value, said, (*keys, name)) if is_dataclass(hint) else value
        for name, value in values.items()
        for hint in [_hint(kind, name)]
    }
    made = kind.__new__(kind)
    _fill(made, values, said, keys)
    return made


def _fill(made: Any, values: Any, said: Mapping[Keys, str], keys: Keys = ()) -> None:
    """Set the fields of a new instance."""
    given = ArgsKwargs((), values)
    try:
        made.__pydantic_validator__.validate_python(given, self_instance=made)
    except ValidationError as error:
        raise _refusal(type(made), error, said, keys) from None


def _refusal(
    kind: Any, errors: ValidationError, said: Mapping[Keys, str], keys: Keys = ()
) -> InputError:
    """Return the first error in a section. said: the places of values, by their keys."""
    error: Any = errors.errors(include_url=False)[0]
    if error["type"] == "value_error":
        found: InputError = error["ctx"]["error"]
        return found
    name, *parts = error["loc"]
    field = _hint(kind, name)
    whole = (*keys, name)
    within = next((text for each, text in said.items() if each[: len(whole)] == whole), None)
    where = said.get(whole) or within or ".".join(map(str, whole))
    if error["type"] == "unexpected_keyword_argument":
        hint = nearest(name, kind.__pydantic_fields__)
        return StrategyError(f"{where}: unknown key {name!r}: {hint}")
    if error["type"] == "missing" and not parts:
        return StrategyError(f"{where}: has no value; type {name}=VALUE")
    value, problem = error["input"], error["msg"][:1].lower() + error["msg"][1:]
    problem = problem.replace("tuple", "list")
    if error["type"] in ("missing", "too_long"):  # of a list
        kinds = [hint for hint in (field, *get_args(field)) if get_origin(hint) is tuple]
        size = len(get_args(kinds[0]))
        return StrategyError(f"{where}: expected {size} values, got {len(value)}")
    if error["type"] == "literal_error":
        every = [field, *get_args(field)]  # one of a Literal, or null
        known = [each for kind in every if get_origin(kind) is Literal for each in get_args(kind)]
        problem = nearest(str(value), known)
    where += "".join(f"[{part!r}]" for part in parts if part != "[key]")
    got = "" if where.endswith(f"={value!r}") else f", got {value!r}"
    return StrategyError(f"{where}: {problem}{got}{_advice(error['type'], value)}")


def _advice(problem: str, value: Any) -> str:
    """Return advice on writing the value that was probably meant."""
    if problem == "string_type" and isinstance(value, bool | int | float):
        return "; write a text in quotes"
    if problem == "int_type" and isinstance(value, float) and value.is_integer():
        return f"; write {int(value)}"
    return ""


def _lines(kind: Any, values: dict[str, Any], indent: str) -> list[str]:
    lines = []
    for name, info in kind.__pydantic_fields__.items():
        section = is_dataclass(info.annotation)
        text = "" if section or name not in values else " " + yaml_text(values[name])
        lines += _line(f"{indent}{name}:{text}", " ".join((info.description or "").split()))
        lines += _lines(info.annotation, values[name], indent + "  ") if section else []
    return lines


def _line(text: str, comment: str) -> list[str]:
    """Return an entry with its comment beside it, or above if that is too long."""
    if not comment:
        return [text]
    if len(beside := f"{text}  # {comment}") <= WIDTH:
        return [beside]
    mark = text[: len(text) - len(text.lstrip())] + "# "
    return [*textwrap.wrap(comment, WIDTH, initial_indent=mark, subsequent_indent=mark), text]
