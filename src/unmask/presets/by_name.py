"""Presets by name, for a model's card, a recipe or the command line.

```python
from unmask.presets import by_name

by_name.build("annealed", {"steps": 12, "keep": 0.5})
```

Presets are collected from `unmask.presets`, never listed here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import starmap
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from unmask import presets
from unmask.decoding.strategy import Strategy
from unmask.errors import InputError, StrategyError, closest, nearest
from unmask.stopping import EndOfSequence

Preset = Callable[..., Strategy]
Grid = tuple[int, int]
Spelling = Callable[[str, Any], str]
DEFAULT = {"name": "random_order", "steps": 18}
"""The preset where a model's card recommends none: its law nears the model's with every step."""


def known() -> dict[str, Preset]:
    """Every preset of the package, by name."""
    return {name: getattr(presets, name) for name in presets.__all__}


def defaults(preset: Preset) -> dict[str, Any]:
    """The options of a preset with their defaults, as JSON knows them: a schedule by its name."""
    usual = {p.name: p.default for p in inspect.signature(preset).parameters.values()}
    missing = needs(preset)
    return {key: getattr(v, "name", v) for key, v in usual.items() if key not in missing}


def needs(preset: Preset, grid: Grid | None = None) -> list[str]:
    """Arguments that a preset cannot do without and a grid, where there is one, does not give."""
    parameters = inspect.signature(preset).parameters.values()
    given = _sides(grid)
    return [p.name for p in parameters if p.default is p.empty and p.name not in given]


def keyword(name: str, value: Any) -> str:
    """An option as Python spells it: `keep=0.3`."""
    return f"{name}={value!r}"


def build(
    name: str,
    options: Mapping[str, Any] | None = None,
    *,
    grid: Grid | None = None,
    spelling: Spelling = keyword,
) -> Strategy:
    """Return the preset of this name with these options. StrategyError names what exists instead.

    grid: height and width of the model's grid, for presets that need them and options without them.
    spelling: how errors write an option and its value.
    """
    found = known()
    if name not in found:
        raise StrategyError(f"no preset {name!r}: {nearest(str(name), found)}")
    preset, chosen = found[name], dict(options or {})
    missing = [each for each in needs(preset, grid) if each not in chosen]
    if missing:
        listed = " and ".join(f"a {each}" for each in missing)
        raise StrategyError(
            f"preset {name!r} needs {listed}, which neither the options nor the model "
            f"give; from Python: unmask.presets.{name}({', '.join(missing)}, ...)"
        )
    _check_options(name, preset, chosen, spelling)
    given = {key: side for key, side in _sides(grid).items() if key in needs(preset)}
    return preset(**{**given, **chosen})


def ending(strategy: Strategy, end_id: int | None, also: Sequence[int] = ()) -> Strategy:
    """Return the strategy with rows that end at end_id, if there is one and they can.

    also: further ids that end a row. Rows that grow go by the same end, if they name none.
    """
    growth = strategy.growth
    if growth is not None and growth.end_id is None and end_id is not None:
        strategy = strategy.but(growth=replace(growth, end_id=end_id))  # type: ignore[type-var]
    if end_id is None or strategy.end_id is not None or strategy.commit.takes_all_steps:
        return strategy
    return strategy.but(stopping=(*strategy.stopping, EndOfSequence(end_id, also)))


def build_recommended(
    recommended: Any, *, grid: Grid | None = None, spelling: Spelling = keyword, instead: str
) -> Strategy:
    """Return the preset that a model's card recommends, as `name_and_options` reads it.

    instead: what to pass where the card is wrong, for the StrategyError that says so.
    """
    try:
        name, options = name_and_options(recommended)
        return build(name, options, grid=grid, spelling=spelling)
    except InputError as error:
        raise StrategyError(
            f"the model's card recommends {recommended!r}, which cannot be used: {error}; "
            f"pass {instead}"
        ) from None


def name_and_options(recommended: Any) -> tuple[str, dict[str, Any]]:
    """Return name and options of {"name": "maskgit", "steps": 12}, or of `DEFAULT` for None."""
    if recommended is None:
        recommended = DEFAULT
    if not isinstance(recommended, Mapping) or not isinstance(recommended.get("name"), str):
        raise StrategyError('a preset is written as {"name": "maskgit", "steps": 12}')
    options = dict(recommended)
    return options.pop("name"), options


def _check_options(
    name: str, preset: Preset, options: Mapping[str, Any], spelling: Spelling
) -> None:
    hints, usual = get_type_hints(preset), defaults(preset)
    for key, value in options.items():
        if key not in inspect.signature(preset).parameters:
            listed = ", ".join(starmap(spelling, usual.items()))
            close = closest(key, usual)
            hint = f"; did you mean {spelling(close, value)}?" if close else ""
            raise StrategyError(
                f"preset {name!r} takes no {spelling(key, value)}; its options and their "
                f"defaults: {listed}{hint}"
            )
        if not _fits(value, hints[key]):
            hint = f"; the default is {spelling(key, usual[key])}" if key in usual else ""
            raise StrategyError(f"{spelling(key, value)} is of the wrong kind{hint}")


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type that an annotation allows; an integer is a float too."""
    if get_origin(hint) is Literal:
        return isinstance(value, str)  # the preset itself knows the names
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    kinds = {get_origin(kind) or kind for kind in members}
    if value is None or isinstance(value, bool | str):
        return type(value) in kinds
    return isinstance(value, tuple(kinds)) or (isinstance(value, int) and float in kinds)


def _sides(grid: Grid | None) -> dict[str, int]:
    return {} if grid is None else {"height": grid[0], "width": grid[1]}
