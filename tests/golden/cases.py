"""What the presets are run on: rows, seeds, steps, and the options of each preset.

The options are chosen so that on these small rows the branches of a rule are really taken, which
`test_golden` checks.
"""

import inspect
import itertools
import typing

from tests.golden import (
    references,
    references_adaptive,
    references_audio,
    references_canvases,
    references_growing,
    references_image,
    references_revising,
    references_text,
)
from tests.golden.world import MASK, PLACES, critic

import unmask
from unmask import presets

FAMILIES = [
    references,
    references_text,
    references_adaptive,
    references_revising,
    references_image,
    references_audio,
    references_canvases,
    references_growing,
]


def to_generate(tokens):
    """Id 0 marks what is to be generated."""
    return [i for i, token in enumerate(tokens) if token == 0]


# Rows of (tokens, editable, seed, steps): prompts, one holding the mask id, one row with nothing to
# do, one that is all unknown.
ROWS = [
    (tokens, to_generate(tokens), seed, steps)
    for tokens, seed, steps in [
        ([3, 0, 0, 7, 0, 0, 0], 3, 4),
        ([0] * 9, 1, 5),
        ([MASK, 0, 0, 0, 0], 4, 2),
        ([2, 2], 1 + 2**40, 3),
        ([0, 0, 0, 0, 0, 10, 1, 0], 2**62, 11),
    ]
]

GROWING = ("daedal", "rho_eos")  # their rows end with what is to be generated


def rows_of(name, rows=ROWS):
    """The rows that a preset can be run on; a row is (tokens, editable, seed, steps)."""
    if name in GROWING:
        starts = [min(editable, default=len(row)) for row, editable, *_ in rows]
        behind = [list(range(at, len(row[0]))) for at, row in zip(starts, rows, strict=True)]
        return [(row[0], e, *row[2:]) for row, e in zip(rows, behind, strict=True)]
    return [row for row in rows if name != "halton" or len(row[0]) == PLACES]


# The row of the tables, under the linear schedule: the prompt 9, four steps.
TABLE_ROW = ([0, 0, 9, 0, 0, 0, 0, 0], [0, 1, 3, 4, 5, 6, 7], 5, 4)


def table_row_of(name):
    """The row of the table of a preset; the first line of rows that grow is the most they may."""
    return ([9, *[0] * 8], list(range(1, 9)), 5, 4) if name in GROWING else TABLE_ROW


OPTIONS = {
    "mask_predict": {"temperature": 1.0},
    "llada": {"block": 4, "temperature": 0.5},
    "dream": {"temperature": 0.7, "top_p": 0.9, "choice_temperature": 0.1},
    "dream, origin": {"choice_temperature": None},  # it ranks nothing
    "sdar": {"threshold": 0.6, "steps": 3, "block": 4, "temperature": 0.8},
    "llada2": {"threshold": 0.6, "steps": 2, "block": 5},
    "fast_dllm_v2": {"threshold": 0.6, "block": 3, "sub_block": 3},
    "top_margin": {"choice_temperature": 0.1},
    "dplm": {"temperature": 0.5},
    "threshold": {"threshold": 0.6, "block": 4},
    "factor": {"factor": 1.0, "block": 4, "temperature": 0.5},
    "frechet_profile": {"delta": 0.2, "block": 5, "temperature": 0.5},
    "local_leap": {"threshold": 0.7, "low": 0.4, "radius": 2, "block": 6},
    "hierarchy": {"threshold": 0.8, "low": 0.45, "block": 7},
    "prophet": {"block": 6, "early": 2.5, "middle": 1.5, "late": 0.5},
    "adablock": {
        "delimiters": [8, 2],
        "delimiter_threshold": 0.4,
        "threshold": 0.6,
        "block": 3,
        "window": 0.6,
    },
    "token_to_mask": {"fill": 0.3, "block": 6},
    "token_to_mask, rival": {"doubt": 0.4},
    "token_to_mask, change": {"doubt": 0.1},
    "credit": {"threshold": 0.85, "alpha": 2.0, "block": 6, "temperature": 0.6},
    "entropy_bound": {"bound": 0.8},
    "daedal": {
        "threshold": 0.6,
        "low": 0.5,
        "initial": 2,
        "expansion": 3,
        "enough": 0.2,
        "complete": 0.8,
        "window": 3,
        "end_id": 8,
        "block": 4,
    },
    "rho_eos": {"threshold": 0.6, "initial": 3, "expansion": 1, "end_id": 8, "block": 4},
    "diffusion_gemma": {"block": 4, "bound": 1.0, "confidence": 1.5},
    "klass": {"threshold": 0.4, "divergence": 0.05, "history": 1, "block": 6},
    "remdm": {"steps": 7, "eta": 0.4},
    "p2": {"eta": 2.0},
    "llada21": {"block": 4},
    "wino": {"block": 5, "fill": 0.4},
    "halton": {"height": 3, "width": 3},
    "esm3": {"tracks": 2, "steps": 3},
    "soundstorm": {"levels": 2, "later_steps": 2},
    "magnet": {"levels": 2, "steps": 2, "later_steps": 3, "span": 2},
    "magnet, overlapping": {"steps": 4},
}
ON_THE_TABLE = {
    "diffusion_gemma": {"bound": 0.5, "stability": 0, "confidence": 0.5},
    "threshold": {"threshold": 0.45, "block": 8},
    "factor": {"factor": 1.4, "block": 8},
    "wino": {"fill": 0.3, "block": 8},
    "halton": {"height": 2, "width": 4},
    "magnet": {"levels": 1, "steps": 4},
}


def values_of(parameter, hint):
    """What a test gives a parameter: every value of a flag or a choice, nothing to any other."""
    if isinstance(parameter.default, bool):
        return [False, True]
    return typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else None


def flags_of(name):
    """The parameters of a preset that are on or off or one of some words, with their values."""
    preset = getattr(presets, name)
    hints = typing.get_type_hints(preset)
    parameters = inspect.signature(preset).parameters
    found = {key: values_of(each, hints[key]) for key, each in parameters.items()}
    return {key: values for key, values in found.items() if values}


VARIANTS = [
    (name, dict(zip(flags_of(name), values, strict=True)))
    for name in presets.__all__
    for values in itertools.product(*flags_of(name).values())
]
# Values of other parameters that are rules of their own.
VARIANTS += [("dplm", {"tracks": 2}), ("mask_predict", {"temperature": 0.0})]


def key_of(name, flags):
    """A variant in words, such as "token_critic, remask", "dream, entropy" or "dplm, tracks=2"."""

    def said(flag, value):
        return value if isinstance(value, str) else flag if value is True else f"{flag}={value}"

    return ", ".join([name, *(said(*each) for each in flags.items() if each[1] is not False)])


def options_of(name, flags, on_the_table=False):
    options = OPTIONS.get(name, {}) | OPTIONS.get(key_of(name, flags), {})
    return (options | ON_THE_TABLE.get(name, {}) if on_the_table else options) | flags


def reference_of(name):
    """The reference of a preset, None where nobody has written one."""
    return next((getattr(f, name) for f in FAMILIES if hasattr(f, name)), None)


def expected(name, options, row, steps, ratio):
    """The steps of a reference; row is (tokens, editable, seed)."""
    options = {"steps": steps, **options}
    return list(reference_of(name)(*row, options.pop("steps"), ratio, **options))


def strategy_of(name, options, steps, schedule):
    """The strategy; steps of rows, where it is a list, are the canvas' (`steps_of`)."""
    steps = steps[0] if isinstance(steps, list) else steps
    wanted = {"steps": steps, "schedule": schedule, "critic": critic}
    preset = getattr(presets, name)
    known = inspect.signature(preset).parameters
    return preset(**{key: each for key, each in wanted.items() if key in known} | options)


def steps_of(name, options, steps):
    """The steps that a canvas gives its rows: none where the preset has none, or one for all."""
    takes = "steps" in inspect.signature(getattr(presets, name)).parameters
    return steps if takes and "steps" not in options else None


def canvas_of(rows, editable, steps=None):
    pairs = zip(rows, editable, strict=True)
    flags = [[i in places for i in range(len(row))] for row, places in pairs]
    return unmask.Canvas.ragged(rows, flags, steps=steps)
