"""Every public preset, order and reviser, found in the package; later ones need no edit here.

Only a required argument of a new kind does: add it to `REQUIRED`, by the parameter's name.
"""

import inspect
import itertools
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from tests.conformance.toys import critic

from unmask import Strategy, commit, orders, presets, revise
from unmask.commit import Scheduled, TopK
from unmask.errors import StrategyError

REQUIRED: dict[str, Callable[[int], list[Any]]] = {  # N -> values to try
    "critic": lambda length: [critic],
    "order": lambda length: [orders.Probability(choose="after"), orders.Random()],
    "scale": lambda length: [2.0],
    "delimiters": lambda length: [(0, 3)],
    "height": lambda length: [rows_of(length)],
    "width": lambda length: [length // rows_of(length)],
}
GROWING: dict[str, Any] = {  # sizes at which rows of a few positions grow
    "initial": 2,
    "expansion": 2,
    "window": 2,
    "low": 0.3,
    "threshold": 0.6,
    "end_id": 3,
}
GRID = {"height", "width"}  # an order with these works for one length only


def rows_of(length):
    return max(h for h in range(1, length + 1) if length % h == 0 and h * h <= length)


def choices(function, length):
    """For each parameter worth varying: the values to try."""
    hints = get_type_hints(function)
    grows = "initial" in inspect.signature(function).parameters
    found: dict[str, list[Any]] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.default is inspect.Parameter.empty:
            assert name in REQUIRED, f"{function.__name__}({name}=): add it to REQUIRED"
            found[name] = REQUIRED[name](length)
        elif grows and name in GROWING:
            found[name] = [GROWING[name]]
        elif get_origin(hints.get(name)) is Literal:
            found[name] = list(get_args(hints[name]))
        elif hints.get(name) is bool:
            found[name] = [False, True]
    return found


def variants(function, length=4):
    """Every combination of arguments, as keyword arguments; impossible ones are left out."""
    options = choices(function, length)
    every = [
        dict(zip(options, values, strict=True)) for values in itertools.product(*options.values())
    ]
    return [arguments for arguments in every if possible(function, arguments)]


def possible(function, arguments):
    try:
        function(**arguments)
    except StrategyError:
        return False
    return True


SKIPPED = {orders.FromFunction}  # what wraps the user's own


def classes(module):
    """Public classes of a module that can be made."""
    members = [getattr(module, name) for name in module.__all__]
    return [m for m in members if inspect.isclass(m) and is_dataclass(m) and m not in SKIPPED]


@dataclass(frozen=True)
class Entry:
    """A strategy of the catalogue, still to be given its length, steps and schedule."""

    name: str
    function: Callable[..., Any]
    chosen: tuple[tuple[str, Any], ...]
    revise: Any = None  # orders only

    @property
    def fixed_length(self):
        return bool(GRID & set(dict(self.chosen)))

    @property
    def grows(self):
        """Whether rows grow, so that their last positions must be those to generate."""
        return "initial" in dict(self.chosen)

    @property
    def takes_steps(self):
        """Whether a canvas may give rows steps of their own."""
        if self.revise is not None:
            return True
        return self.function(**dict(self.chosen)).commit.count_plan.takes_steps

    def _takes(self, name):
        return name in inspect.signature(self.function).parameters

    def make(self, length, steps, schedule):
        arguments = dict(self.chosen)
        if self.fixed_length:
            arguments |= {name: REQUIRED[name](length)[0] for name in GRID}
        if self.revise is not None:
            order = self.function(**arguments)
            return Strategy(TopK(schedule, steps), order, revise=self.revise)
        wanted = {"steps": steps, "schedule": schedule}
        if not self.takes_steps:
            del wanted["steps"]
        return self.function(**arguments, **{k: v for k, v in wanted.items() if self._takes(k)})


def entry(function, arguments, revise=None):
    shown = [str(v) for v in arguments.values() if isinstance(v, str | bool)]
    shown += [type(v).__name__ for v in arguments.values() if isinstance(v, tuple(ORDER_CLASSES))]
    shown += [type(revise).__name__] if revise is not None else []
    return Entry("-".join([function.__name__, *shown]), function, tuple(arguments.items()), revise)


ORDER_CLASSES = classes(orders)
PRESETS = [
    entry(function, arguments)
    for function in (getattr(presets, name) for name in presets.__all__)
    for arguments in variants(function)
]
ORDERS = [
    entry(kind, arguments, reviser())
    for kind in ORDER_CLASSES
    for arguments in variants(kind)
    for reviser in classes(revise)
]
EVERY = [*PRESETS, *ORDERS]


def planned(strategy):
    """Whether steps and schedule alone decide how many are unknown after each step."""
    return (
        isinstance(strategy.commit, commit.TopK)
        and isinstance(strategy.commit.plan, Scheduled)
        and not isinstance(strategy.revise, revise.Verify | revise.Doubt)
        and strategy.groups is None
    )


def greedy(strategy):
    """Whether every draw is the likeliest id."""
    return strategy.sampling.temperature == 0
