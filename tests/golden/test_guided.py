"""Presets with guidance, against the same references told a class."""

import dataclasses
import inspect

import pytest
import torch
from tests.golden.cases import ROWS, canvas_of, expected, options_of, steps_of, strategy_of
from tests.golden.comparing import follow
from tests.golden.rules import RATIOS
from tests.golden.world import ToldNetwork

import unmask
from unmask import presets

CLASSES = [0, 1, 1, 0, 1]
GUIDED = [
    name
    for name in presets.__all__
    if "guidance" in inspect.signature(getattr(presets, name)).parameters
]


def told(name, options, schedule):
    return [
        expected(name, options | {"told": told}, row, steps, RATIOS[schedule])
        for (*row, steps), told in zip(ROWS, CLASSES, strict=True)
    ]


@pytest.mark.parametrize("schedule", RATIOS)
@pytest.mark.parametrize("name", GUIDED)
def test_every_guided_step_is_that_of_the_published_rule(name, schedule):
    options = options_of(name, {}) | {"guidance": 3.0}
    tokens, editable, seeds, steps = map(list, zip(*ROWS, strict=True))
    strategy = strategy_of(name, options, steps, schedule)
    plain = canvas_of(tokens, editable, steps_of(name, options, steps))
    canvas = dataclasses.replace(plain, condition=torch.tensor(CLASSES))
    infos = unmask.stream(ToldNetwork(), canvas, strategy, seeds=seeds)
    follow(infos, told(name, options, schedule), forwards=2)


@pytest.mark.parametrize("name", GUIDED)
def test_guidance_changes_what_is_generated(name):
    light, heavy = (
        [[step.committed for step in row] for row in told(name, options, "cosine")]
        for options in [options_of(name, {}) | {"guidance": weight} for weight in (0.5, 3.0)]
    )
    assert light != heavy
