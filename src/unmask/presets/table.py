"""The table of all presets, generated from the presets: `python -m unmask.presets.table`.

Its output is `docs/methods.md`; a test compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from itertools import starmap
from typing import Any

from unmask import presets
from unmask.commit import AllSteps, Ancestral, ByGroup, NoPlan, OneAtATime
from unmask.decoding.strategy import Strategy
from unmask.growth import EndConfidence, EndDensity
from unmask.noise import MaskToken
from unmask.presets import by_name
from unmask.revise import Never, Verify
from unmask.sampling import Sampling
from unmask.schedules import Schedule

HEAD = """# Methods

A preset is a published rule: it binds one member of each axis of the loop and nothing else.
This table is generated from the presets (`python -m unmask.presets.table`).

- *Options* are the arguments of the function, with their defaults. `critic`, `delimiters`,
  `height` and `width` have none; the row of `halton` is that of a grid of 16 × 16, the one of
  `adablock` that of the delimiter 198.
- *Commit* to *growth* are the parts that these defaults give. A dash is the default part: nothing
  is revised, the mask token is shown, the whole canvas is one group, no row ends early, and none
  grows. A preset has guidance only if `guidance=` is passed, and a budget only if `budget=` is
  passed.
- *Forwards* are the network passes of a row without guidance. U is the number of its unknown
  positions at the start, T the number of steps of its plan. `Edit(passes=16)` adds up to 16 to each
  group.
- *Distribution* compares that of the samples with the model's. *Exact*: equal with one position a
  step.

Two findings of others that bear on the choice:

- With several positions a step no preset is exact, however good the network: tokens of a step are
  drawn from a product of marginals. Few-step samplers are wrong under a perfect denoiser, and
  likelihood, generative perplexity or MAUVE need not show it
  ([2602.19619](https://arxiv.org/abs/2602.19619)). If the distribution matters, take as many steps
  as positions.
- Re-masking by confidence, as `wino` does, brought little or nothing over `threshold` in short
  blocks, and less diversity at temperatures above 0
  ([2606.12232](https://arxiv.org/abs/2606.12232)). It costs a pass for each verified token here, so
  measure both before you choose it.

"""
COLUMNS = (
    "preset", "paper", "options", "commit", "sampling", "order", "revise", "noise", "groups",
    "stopping", "growth", "forwards", "distribution", "file",
)  # fmt: skip
ABSENT = "–"
LAWS = {  # entry of the column "distribution": the words of a docstring that it is read from
    "approximate": "Approximate",
    "exact": "xact with one position a step",
    "nears the model's": "nears the model's",
}
FORWARDS: dict[type, str] = {
    AllSteps: "T",
    Ancestral: "at most T",
    ByGroup: "min(T, U) of each level",
    NoPlan: "1 to U",
    OneAtATime: "U",
}
GROWING: dict[type, str] = {
    EndConfidence: "1 to U, and one for each change before the first commit",
    EndDensity: "1 to U + 64",
}
NEEDED: dict[str, Any] = {
    "critic": lambda tokens, **_: tokens,
    "delimiters": (198,),
    "height": 16,
    "width": 16,
}


def table() -> str:
    """Return the text of `docs/methods.md`."""
    rows = [COLUMNS, ["---"] * len(COLUMNS), *map(_cells, presets.__all__)]
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cells(name: str) -> list[str]:
    make = getattr(presets, name)
    needed, usual = by_name.needs(make), by_name.defaults(make)
    strategy = make(**{key: NEEDED[key] for key in needed})
    return [
        f"`{name}`",
        _papers(make),
        ", ".join(f"`{each}`" for each in [*needed, *starmap(by_name.keyword, usual.items())]),
        part_text(strategy.commit),
        "the model's distribution"
        if strategy.sampling == Sampling()
        else part_text(strategy.sampling),
        part_text(strategy.order),
        ABSENT if strategy.revise == Never() else part_text(strategy.revise),
        ABSENT if strategy.noise == MaskToken() else part_text(strategy.noise),
        ABSENT if strategy.groups is None else strategy.groups.name,
        part_text(strategy.stopping) or ABSENT,
        ABSENT if strategy.growth is None else part_text(strategy.growth),
        forwards(strategy),
        law(make),
        f"[{make.__module__.split('.')[-1]}.py](../src/{make.__module__.replace('.', '/')}.py)",
    ]


def _papers(make: Callable[..., Strategy]) -> str:
    found = re.findall(r"\d{4}\.\d{5}", make.__doc__ or "")
    return ", ".join(f"[{p}](https://arxiv.org/abs/{p})" for p in dict.fromkeys(found)) or ABSENT


def part_text(part: Any) -> str:
    """Return a part as text, such as `Scheduled(cosine, steps=12)`, without default values."""
    if isinstance(part, Schedule):
        return part.name
    if isinstance(part, list | tuple):
        return ", ".join(map(part_text, part))
    if not is_dataclass(part) or isinstance(part, type):
        return "critic" if callable(part) else f"{part:g}" if isinstance(part, float) else str(part)
    values = [(field, getattr(part, field.name)) for field in fields(part)]
    inside = [
        part_text(value) if nth == 0 else f"{field.name}={part_text(value)}"
        for nth, (field, value) in enumerate(values)
        if value != field.default
    ]
    return f"{type(part).__name__}({', '.join(inside)})"


def forwards(strategy: Strategy) -> str:
    """Return the network passes of a row, in terms of U unknown positions and T steps."""
    if isinstance(strategy.revise, Verify):
        return "1 to U steps, and one pass for each token verified"
    if strategy.growth is not None:
        return GROWING[type(strategy.growth)]
    if strategy.commit.likeliest:
        return "at most T of each group"
    usual = "min(T, U) of each group" if strategy.groups else "min(T, U)"
    return FORWARDS.get(type(strategy.commit.count_plan), usual)


def law(make: Callable[..., Strategy]) -> str:
    """Return the entry of `LAWS` whose words are in the preset's docstring, "unsaid" if none is."""
    doc = " ".join((make.__doc__ or "").split())
    said = [law for law, words in LAWS.items() if words in doc]
    return said[0] if len(said) == 1 else "unsaid"


if __name__ == "__main__":
    print(table(), end="")
