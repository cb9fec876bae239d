"""Plans: the size of a network, the batch and the steps for a budget of time or tokens.

N positions of an example. A plan is made on one machine, and then is a recipe like any other.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from unmask.errors import StrategyError
from unmask.training.arguments import CHECKPOINTS as ROUNDS
from unmask.training.measuring import FREE, MOST, SHARE
from unmask.training.recipe import Recipe
from unmask.training.watching import PASSES

SIZES = (
    (64, 2), (96, 3), (128, 4), (160, 6), (192, 6), (256, 6), (320, 8), (384, 8), (512, 8),
    (640, 10), (768, 12),
)  # fmt: skip
"""Widths and layers of the networks that a plan chooses from."""
BATCH = 1024  # tokens of a step, at least, in a power of two of rows
LARGE = 4096  # tokens of a step at most, more in wide networks
STEADY = 2000  # steps that a larger batch must leave: before, more steps teach more
TOKENS = 1.0  # of training, for each weight of the layers, at least
DATA = 0.1  # tokens of the data, for each weight of the layers, at least
STEPS = 100  # fewer teach a larger network nothing
RATE, WIDE = 2e-3, 192  # the learning rate falls with widths above this
GAIN = 0.9  # another precision is taken if its step takes less than this share
PRECISIONS = ("float32", "bfloat16")
SHORTEST = 20.0  # seconds
LOOKING = 0.04  # share of a budget of time spent on measuring the machine, at most
_TIME = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")


@dataclass(frozen=True)
class TrainingBudget:
    """What a run may cost: seconds of time, or tokens that are trained on. One of them is None."""

    seconds: float | None = None
    tokens: int | None = None

    @classmethod
    def of(cls, text: str | int) -> TrainingBudget:
        """Return the budget of `90s`, `30m`, `2h`, `1h30m`, or a number of tokens, `20_000_000`.

        Raises StrategyError for anything else, and for a budget too small to train anything.
        """
        words = str(text).strip()
        number = words.replace("_", "").replace(",", "")
        found = _TIME.fullmatch(words)
        if number.isdecimal() and int(number):
            return cls(tokens=int(number))
        if not words or found is None:
            raise StrategyError(
                f"budget={text!r}: pass a time, such as 90s, 30m, 2h or 1h30m, or a number of "
                "tokens, such as 20_000_000"
            )
        hours, minutes, seconds = (float(part or 0) for part in found.groups())
        whole = 3600 * hours + 60 * minutes + seconds
        if whole < SHORTEST:
            raise StrategyError(f"budget={text!r}: pass {SHORTEST:.0f}s or more")
        return cls(seconds=whole)


@dataclass(frozen=True)
class Scene:
    """What a plan has to know of the data."""

    positions: int  # N
    examples: int
    backbone: Callable[[int, int], dict[str, Any]]  # width, layers -> that of a recipe

    @property
    def tokens(self) -> int:
        """Tokens of all examples."""
        return self.positions * self.examples


Measure = Callable[[Recipe, int], float]
"""Of a recipe and a number of steps: seconds of one of its steps on this machine, the median."""


def planned(
    budget: TrainingBudget,
    recipe: Recipe,
    scene: Scene,
    measure: Measure,
    keep: Collection[str] = (),
    clock: Callable[[], float] = time.perf_counter,
    gone: float = 0.0,
) -> tuple[Recipe, str]:
    """Return the recipe with a network, batch and steps for a budget, and a line that says why.

    The largest network is chosen that still sees TOKENS tokens for each weight of its layers, then
    the largest batch that leaves STEADY steps. keep: names of fields that stay as they are. gone:
    seconds of the budget that are spent. Raises StrategyError for a budget in which nothing can be
    trained.
    """
    choices = [_sized(recipe, scene, *size) for size in SIZES]
    choices = [replace(recipe, batch_size=choices[0].batch_size)] if "backbone" in keep else choices
    stays = {name: getattr(recipe, name) for name in keep}
    choices = [replace(one, **stays) for one in choices]

    def larger(recipe: Recipe) -> Recipe | None:
        return None if "batch_size" in keep else _doubled(recipe, scene)

    if budget.seconds is None:
        assert budget.tokens is not None
        return _for_tokens(budget.tokens, choices, larger, scene)
    other = {*PRECISIONS} - {recipe.precision} if "precision" not in keep else set()
    return _for_time(budget.seconds - gone, choices, larger, [*other], scene, measure, clock)


Larger = Callable[[Recipe], Recipe | None]
"""Of a recipe: that with the next larger batch, None where there is none."""


def _for_tokens(
    tokens: int, choices: list[Recipe], larger: Larger, scene: Scene
) -> tuple[Recipe, str]:
    def steps(recipe: Recipe) -> int:
        return tokens // (recipe.batch_size * scene.positions)

    fitting = [one for one in choices[1:] if _fits(one, steps(one), scene)]
    best = [choices[0], *fitting][-1]
    while (wider := larger(best)) and steps(wider) >= STEADY:
        best = wider
    if not steps(best):
        least = best.batch_size * scene.positions
        raise StrategyError(
            f"budget={tokens:,} tokens are less than one step of {least:,}: pass more"
        )
    return replace(best, steps=steps(best)), f"{tokens:,} tokens"


def _for_time(
    seconds: float,
    choices: list[Recipe],
    larger: Larger,
    precisions: list[Any],
    scene: Scene,
    measure: Measure,
    clock: Callable[[], float],
) -> tuple[Recipe, str]:
    begun = clock()

    def steps(recipe: Recipe, each: float) -> int:
        left = seconds - (clock() - begun)
        return int((left - _measuring(recipe, each, left)) / each)

    best, each = choices[0], measure(choices[0], 2)
    for network in choices[1:]:
        growth = _weights(network) / _weights(best)
        spent = clock() - begun
        if spent > LOOKING * seconds or not _fits(network, steps(best, each * growth), scene):
            break  # without measuring what cannot fit
        found = measure(network, 2)
        if not _fits(network, steps(network, found), scene):
            break
        best, each = network, found
    while (wider := larger(best)) and steps(wider, 2 * each) >= STEADY:
        found = measure(wider, 2)
        if steps(wider, found) < STEADY:
            break
        best, each = wider, found
    for other in [replace(best, precision=name) for name in precisions]:
        found = measure(other, 2)
        best, each = (other, found) if found < each * GAIN else (best, each)
    each = measure(best, max(3, int(LOOKING * seconds / 2 / each)))
    count = steps(best, each)
    if count < 1:
        raise StrategyError(
            f"budget of {seconds:.0f} s: one step takes {each:.1f} s here, and its measuring as "
            "long; pass a longer one, or a smaller backbone"
        )
    return replace(best, steps=count), f"{each * 1000:,.0f} ms a step, measured on this machine"


def _sized(recipe: Recipe, scene: Scene, width: int, layers: int) -> Recipe:
    rate = RATE * min(1.0, WIDE / width) ** 0.5
    return replace(
        recipe,
        backbone=scene.backbone(width, layers),
        batch_size=_rows(BATCH, scene),
        learning_rate=rate,
    )


def _rows(tokens: float, scene: Scene) -> int:
    """Return the rows of a batch of so many tokens: 8 or more, if there are so many examples."""
    rows = 2 ** round(math.log2(tokens / scene.positions))
    return int(min(2 ** int(math.log2(scene.examples)), max(8, rows)))


def _doubled(recipe: Recipe, scene: Scene) -> Recipe | None:
    width = int(recipe.backbone["hidden_size"])
    rows = 2 * recipe.batch_size
    most = _rows(LARGE * max(1.0, width / WIDE), scene)
    return replace(recipe, batch_size=rows) if rows <= most else None


def _weights(recipe: Recipe) -> int:
    """Return the weights of a network's layers: four square matrices, and three of twice a side."""
    width, layers = recipe.backbone["hidden_size"], recipe.backbone["num_hidden_layers"]
    return 10 * int(width) ** 2 * int(layers)


def _fits(recipe: Recipe, steps: int, scene: Scene) -> bool:
    """Return whether a network is not too large for its data and for so many steps."""
    weights = _weights(recipe)
    trained = steps * recipe.batch_size * scene.positions
    return steps >= STEPS and trained >= TOKENS * weights and scene.tokens >= DATA * weights


def _measuring(recipe: Recipe, each: float, left: float) -> float:
    """Return the seconds that samples, held-out rounds and the final figure will take."""
    room = max(FREE, SHARE * left / (1 + 2 * SHARE))
    one = each / (4 * recipe.batch_size)  # pass of a row
    rows = min(room / 2, ROUNDS * recipe.held_out_rows * 2 * one)
    samples = min(room / 2, ROUNDS * recipe.samples * PASSES * one)
    return rows + samples + min(room, MOST * 2 * one)
