"""DiffusionGemma against transformers' own generate(), with the same draws: token for token.

The naive loop of one row says what the rule is; the library's rows are held against it as well.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.families import gemma
from tests.families.gemma import Loop, alone, generated, tiny

_random = torch.Generator().manual_seed(1)
PROMPTS = [torch.randint(3, 60, (n,), generator=_random).tolist() for n in (5, 20, 11, 3, 9, 30)]
SEEDS = [3, 1, 2**40, 7, 8, 9]

# Rows and options: batches, lengths of prompts (two beyond the window), steps, bounds,
# temperatures, rules that stop, canvases, ends.
CASES = {
    "one row": (1, Loop()),
    "one step": (3, Loop(steps=1)),
    "low bound": (3, Loop(steps=12, bound=0.01)),
    "hot": (4, Loop(steps=10, bound=1.0, t_max=1.0, confidence=0.5)),
    "stability 0": (3, Loop(steps=8, bound=5.0, canvases=3, stability=0, confidence=2.0)),
    "high bound": (6, Loop(steps=8, bound=2.0, canvases=2, confidence=2.0)),
    "stability 2": (3, Loop(12, 3.0, 0.5, 0.1, stability=2, confidence=3.0, canvases=2)),
    "stability 3": (2, Loop(16, 20.0, 0.3, 0.01, stability=3, confidence=3.0, canvases=4)),
    "an end": (4, Loop(steps=5, canvases=3, ends=(25,))),
    "three ends": (6, Loop(7, 0.5, 0.6, 0.2, confidence=1.0, canvases=4, ends=(25, 14, 7))),
    "defaults": (2, Loop(steps=48)),
    "many ends": (3, Loop(6, 0.3, 1.5, 0.9, canvases=2, ends=(1, 2, 3, 4, 5, 6))),
}


def naive(count, how, net=None):
    """The rows of a case, each alone."""
    rows = zip(PROMPTS[:count], SEEDS[:count], strict=True)
    return [alone(net or tiny(), prompt, seed, how) for prompt, seed in rows]


@pytest.mark.parametrize("name", CASES)
def test_the_rule_is_that_of_generate(monkeypatch, name):
    count, how = CASES[name]
    rows = naive(count, how)
    given = tiny(), PROMPTS[:count], SEEDS[:count], [row.steps for row in rows], how
    assert generated(monkeypatch, *given) == [row.tokens for row in rows]


def test_the_cases_stop_early_and_end_within_a_canvas():
    def steps(name):
        return [each for row in naive(*CASES[name]) for each in row.steps]

    for name in ("stability 0", "stability 2", "stability 3"):
        assert min(steps(name)) < CASES[name][1].steps
    count, how = CASES["three ends"]
    ends = [len(row.steps) for row in naive(count, how)]
    assert min(ends) < max(ends)
    assert any(gemma.PAD in row.tokens for row in naive(count, how))


@pytest.mark.parametrize(
    "change", [{"bound": 0.2}, {"t_max": 0.9}, {"steps": 7}, {"stability": 0, "confidence": 9.0}]
)
def test_every_option_changes_something(change):
    """The control: the comparison would see it."""
    how = Loop(canvases=2)
    other = replace(how, **change)
    assert naive(3, how) != naive(3, other)
