"""All presets in one table, made from the presets themselves: `python -m unmask.presets.table`.

It is `docs/methods.md`, and a test holds the two together.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

from unmask import presets
from unmask.commit import AllSteps, Ancestral, ByGroup, NoPlan, OneAtATime
from unmask.decoding.strategy import Strategy
from unmask.revise import Never, Verify
from unmask.sampling import Sampling
from unmask.schedules import Schedule

HEAD = """# Methods

Every published rule is a preset: it binds one member of each axis of the loop and nothing else.
This table is made from the presets (`python -m unmask.presets.table`). U is how many positions of a
row are unknown at the start and T how many steps its plan has; a part that is not named is the
default one (revise nothing, the whole canvas as one group, end no row early). *Exact*: with one
position a step the law is that of the model. Guidance is bound where a preset is given `guidance=`,
and a budget where it is given `budget=`.

"""
COLUMNS = (
    "preset", "paper", "published defaults", "commit", "sampling", "order", "revise", "groups",
    "stopping", "forwards", "law", "code",
)  # fmt: skip
ABSENT = "–"
LAWS = {  # what a docstring says of the law, in these words
    "approximate": "Approximate",
    "exact": "xact with one position a step",
    "nears the model's": "nears the model's",
}
NEEDED: dict[str, Any] = {"critic": lambda tokens, **_: tokens, "height": 16, "width": 16}


def table() -> str:
    """The document, in Markdown."""
    rows = [COLUMNS, ["---"] * len(COLUMNS), *map(_cells, presets.__all__)]
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cells(name: str) -> list[str]:
    make = getattr(presets, name)
    parameters = inspect.signature(make).parameters
    strategy = make(**{key: value for key, value in NEEDED.items() if key in parameters})
    return [
        f"`{name}`",
        _papers(make),
        ", ".join(_default(p) for p in parameters.values()),
        shown(strategy.commit),
        "as the model says" if strategy.sampling == Sampling() else shown(strategy.sampling),
        shown(strategy.order),
        ABSENT if strategy.revise == Never() else shown(strategy.revise),
        ABSENT if strategy.groups is None else strategy.groups.name,
        shown(strategy.stopping) or ABSENT,
        forwards(strategy),
        law(make),
        f"[{make.__module__.split('.')[-1]}.py](../src/{make.__module__.replace('.', '/')}.py)",
    ]


def _papers(make: Callable[..., Strategy]) -> str:
    found = re.findall(r"\d{4}\.\d{5}", make.__doc__ or "")
    return ", ".join(f"[{p}](https://arxiv.org/abs/{p})" for p in dict.fromkeys(found)) or ABSENT


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is parameter.empty:
        return f"`{parameter.name}`"
    value = parameter.default
    return f"`{parameter.name}={value.name if isinstance(value, Schedule) else value!r}`"


def shown(part: Any) -> str:
    """A part with what it is bound to: `Scheduled(cosine, steps=12)`, defaults left out."""
    if isinstance(part, Schedule):
        return part.name
    if isinstance(part, list | tuple):
        return ", ".join(map(shown, part))
    if not is_dataclass(part) or isinstance(part, type):
        return "critic" if callable(part) else f"{part:g}" if isinstance(part, float) else str(part)
    values = [(field, getattr(part, field.name)) for field in fields(part)]
    inside = [
        shown(value) if nth == 0 else f"{field.name}={shown(value)}"
        for nth, (field, value) in enumerate(values)
        if value != field.default
    ]
    return f"{type(part).__name__}({', '.join(inside)})"


def forwards(strategy: Strategy) -> str:
    """Network passes of a row, of U unknown positions and T steps."""
    plan = strategy.commit.counts
    if isinstance(strategy.revise, Verify):
        return "1 to U steps, and one pass for each token verified"
    if isinstance(plan, NoPlan):
        return "1 to U"
    if isinstance(plan, OneAtATime):
        return "U"
    if isinstance(plan, Ancestral):
        return "at most T"
    if isinstance(plan, AllSteps):
        return "T"
    each = " of each level" if isinstance(plan, ByGroup) else ""
    return f"min(T, U){each or (' of each group' if strategy.groups else '')}"


def law(make: Callable[..., Strategy]) -> str:
    """What the docstring says, in one of its sentences."""
    doc = " ".join((make.__doc__ or "").split())
    said = [law for law, words in LAWS.items() if words in doc]
    return said[0] if len(said) == 1 else "unsaid"


if __name__ == "__main__":
    print(table(), end="")
