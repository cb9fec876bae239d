"""Presets by name, with options given on the command line or recommended by a card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unmask.errors import StrategyError

if TYPE_CHECKING:
    from unmask.decoding import Strategy
    from unmask.models.checkpoint import Card

FLAGS = ("steps", "temperature", "schedule")  # options of the commands; others need --set


@dataclass(frozen=True)
class Drawn:
    """The options about the method of drawing, of every command that draws."""

    preset: str | None = None
    steps: int | None = None
    temperature: float | None = None
    schedule: str | None = None
    set_: list[str] | None = None
    seed: int = 0

    @property
    def flags(self) -> dict[str, Any]:
        """The values of `FLAGS`, None where not given."""
        return {flag: getattr(self, flag) for flag in FLAGS}


def build_strategy(
    name: str, options: Mapping[str, Any], grid: tuple[int, int] | None = None
) -> Strategy:
    """Return the preset of this name. StrategyError lists the known names and options.

    grid: height and width of the model's grid.
    """
    from unmask.presets import by_name

    return by_name.build(name, options, grid=grid, spelling=typed)


def typed(name: str, value: Any) -> str:
    """Return an option of a preset as it is typed: `--steps 12`, `--set keep=0.3`."""
    text = value if isinstance(value, str) else json.dumps(value)
    return f"--{name} {text}" if name in FLAGS else f"--set {name}={text}"


def merged(flags: Mapping[str, Any], pairs: Sequence[str]) -> dict[str, Any]:
    """Return the flags that are given and the pairs of --set, such as "keep=0.5".

    Values that are not JSON become strings. Raises StrategyError for an option given as both.
    """
    asked = {key: value for key, value in flags.items() if value is not None}
    further = dict(map(_setting, pairs))
    for key in sorted(further.keys() & asked.keys()):
        raise StrategyError(f"--{key} and --set {key}= are both given: type one of them")
    return asked | further


def _setting(pair: str) -> tuple[str, Any]:
    name, equals, value = pair.partition("=")
    if not name or not equals:
        raise StrategyError(f"--set {pair}: type NAME=VALUE, such as --set keep=0.5")
    return name, value_of(value)


def value_of(text: str) -> Any:
    """Return the value of --set that a text stands for: JSON, or else the text itself."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def choose_preset(
    card: Card, name: str | None, flags: Mapping[str, Any], pairs: Sequence[str] = ()
) -> Strategy:
    """Return the strategy of a command's options, or, without a preset, the card's recommendation.

    Rows end at the id that ended them in training. flags: the values of `FLAGS`, None if not given.
    pairs: the values of --set.
    """
    from unmask.presets import by_name

    asked = merged(flags, pairs)
    if name is not None:
        strategy = build_strategy(name, asked, card.grid)
    else:
        recommended = card.about.get("preset")
        strategy = by_name.build_recommended(
            recommended, grid=card.grid, spelling=typed, instead="--preset"
        )
        if asked:
            chosen, options = by_name.name_and_options(recommended)
            strategy = build_strategy(chosen, {**options, **asked}, card.grid)
    return by_name.ending(strategy, card.end_id)
