"""Presets by name, with options given on the command line or recommended by a card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from unmask.errors import StrategyError

if TYPE_CHECKING:
    from unmask.decoding import Strategy
    from unmask.models.checkpoint import Card

FLAGS = ("steps", "temperature", "schedule")  # options of the commands; others need --set


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


def settings(pairs: Sequence[str]) -> dict[str, Any]:
    """Return pairs such as "keep=0.5" as a dict; values that are not JSON become strings."""
    return dict(_setting(pair) for pair in pairs)


def _setting(pair: str) -> tuple[str, Any]:
    name, equals, value = pair.partition("=")
    if not name or not equals:
        raise StrategyError(f"--set {pair}: type NAME=VALUE, such as --set keep=0.5")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def choose_preset(
    card: Card, name: str | None, flags: Mapping[str, Any], pairs: Sequence[str] = ()
) -> Strategy:
    """Return the strategy of a command's options, or, without a preset, the card's recommendation.

    Rows end at the id that ended them in training. flags: the values of `FLAGS`, None if not given.
    pairs: the values of --set.
    """
    from unmask.presets import by_name

    return by_name.ending(_chosen(card, name, flags, pairs), card.end_id)


def _chosen(
    card: Card, name: str | None, flags: Mapping[str, Any], pairs: Sequence[str]
) -> Strategy:
    asked = {key: value for key, value in flags.items() if value is not None}
    further = settings(pairs)
    for key in sorted(further.keys() & asked.keys()):
        raise StrategyError(f"--{key} and --set {key}= are both given: type one of them")
    asked |= further
    if name is not None:
        return build_strategy(name, asked, card.grid)
    from unmask.presets import by_name

    recommended = card.about.get("preset")
    strategy = by_name.build_recommended(
        recommended, grid=card.grid, spelling=typed, instead="--preset"
    )
    if not asked:
        return strategy
    chosen, options = by_name.name_and_options(recommended)
    return build_strategy(chosen, {**options, **asked}, card.grid)
