"""The settings that `unmask compare` measures: presets at several steps, or several thresholds."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from unmask.cli.io.presets import build_strategy, value_of
from unmask.errors import StrategyError, nearest

if TYPE_CHECKING:
    from unmask.evaluation.figures import Setting
    from unmask.presets.by_name import Preset

# A preset without steps is measured at these values of its first option that is listed here.
KNOBS: dict[str, tuple[float, ...]] = {
    "threshold": (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99),
    "factor": (0.1, 0.3, 1.0, 3.0, 10.0),
    "bound": (0.01, 0.1, 0.3, 1.0, 3.0, 10.0),
    "fill": (0.3, 0.5, 0.7, 0.8, 0.9),
}

PATIENCE = 4  # the budget of a preset that takes one, in forwards per position

Values = tuple[Any, ...]
Grid = tuple[int, int] | None  # height and width of the model's grid


def swept(
    names: Sequence[str], steps: Sequence[int], pairs: Sequence[str], grid: Grid, length: int
) -> tuple[list[Setting], dict[str, str]]:
    """Return the settings to measure, and for each preset that does not apply the reason.

    names: presets to measure; if empty, all that apply. steps: for presets that have them.
    pairs: the values of --set. length: N, which budgets are multiples of.
    Raises StrategyError for a preset or option that does not exist or cannot be built.
    """
    from unmask.evaluation.figures import Setting
    from unmask.presets import by_name

    presets = by_name.known()
    for name in names:
        if name not in presets:
            raise StrategyError(f"--preset {name}: no such preset; {nearest(name, presets)}")
    unfit = {name: why for name, preset in presets.items() if (why := _unfit(preset, grid))}
    left_out = {} if names else unfit
    wanted = list(dict.fromkeys(names)) or [name for name in presets if name not in left_out]
    chosen = parsed(pairs, wanted)
    found = []
    for name in wanted:
        parameters = inspect.signature(presets[name]).parameters
        sweep = {**_default_sweep(parameters, steps, length), **chosen.get(name, {})}
        for values in product(*sweep.values()):
            options = dict(zip(sweep, values, strict=True))
            found.append(Setting(name, options, build_strategy(name, options, grid)))
    return found, left_out


def parsed(pairs: Sequence[str], wanted: Sequence[str]) -> dict[str, dict[str, Values]]:
    """`["threshold.threshold=0.5,0.9"]` as preset -> option -> values; of wanted presets only."""
    from unmask.presets import by_name

    presets = by_name.known()
    chosen: dict[str, dict[str, Values]] = {}
    for pair in pairs:
        target, equals, text = pair.partition("=")
        name, dot, option = target.partition(".")
        if not (name and dot and option and equals and text):
            raise StrategyError(
                f"--set {pair}: type PRESET.OPTION=VALUE,VALUE,..., "
                "such as --set threshold.threshold=0.5,0.9"
            )
        if name not in presets:
            raise StrategyError(f"--set {pair}: no preset {name!r}; {nearest(name, presets)}")
        if name not in wanted:
            raise StrategyError(f"--set {pair}: {name} is not compared; type --preset {name} too")
        options = chosen.setdefault(name, {})
        options[option] = _once([*options.get(option, ()), *map(value_of, text.split(","))])
    return chosen


def _default_sweep(
    options: Mapping[str, inspect.Parameter], steps: Sequence[int], length: int
) -> dict[str, Values]:
    """Return the default values to measure of a preset with these options.

    Steps of a preset with blocks are steps of a block, and at most as many as its positions.
    """
    if "steps" in options:
        block = options["block"].default if "block" in options else None
        most = block if isinstance(block, int) else max(steps)
        return {"steps": _once([min(each, most) for each in steps])}
    sweep: dict[str, Values] = {}
    knob = next((option for option in options if option in KNOBS), None)
    if knob is not None:
        sweep[knob] = KNOBS[knob]
    if "budget" in options:
        sweep["budget"] = (PATIENCE * length,)
    return sweep


def _unfit(preset: Preset, grid: Grid) -> str | None:
    """Why a preset does not apply, None if it does."""
    from unmask.presets import by_name

    if missing := by_name.needs(preset, grid):
        return f"needs a {missing[0]}"
    if "levels" in inspect.signature(preset).parameters:
        return "is for codebook levels; --preset runs it all the same"
    return None


def _once(values: Iterable[Any]) -> Values:
    return tuple(dict.fromkeys(values))
