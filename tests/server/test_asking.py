"""From the fields of a body to a strategy."""

import pytest

from unmask import presets
from unmask.core.network import DenoiserSpec
from unmask.errors import StrategyError
from unmask.guidance import Guidance, HidePrompt
from unmask.sampling import Sampling
from unmask.server.asking import strategy_of
from unmask.server.wire.decoding import Decoding
from unmask.stopping import Budget

LLADA = {"name": "llada", "steps": 16, "block": 16}
SPEC = DenoiserSpec(100, 99, recommended=LLADA)
CASES = [
    ({}, None),
    ({"n": 3, "seed": 5, "cfg_scale": 0.0}, None),
    ({"preset": "llada"}, presets.llada()),
    ({"steps": 8}, presets.llada(8, 16)),
    ({"block_length": 4, "temperature": 0.5}, presets.llada(16, 4, 0.5)),
    ({"preset": "sdar", "block": 8, "top_p": 0.5}, presets.sdar(block=8, top_p=0.5)),
    (
        {"top_k": 5, "top_p": 0.5, "min_p": 0.1},
        presets.llada(16, 16).but(sampling=Sampling(0.0, 5, 0.5, 0.1)),
    ),
    ({"preset": "dream", "algorithm": "entropy", "options": {"epsilon": 1e-2}},
     presets.dream(algorithm="entropy", epsilon=1e-2)),
    ({"preset": "threshold", "threshold": 0.7}, presets.threshold(0.7)),
    ({"max_forwards": 5}, presets.llada(16, 16).but(stopping=(Budget(5),))),
    (
        {"cfg_scale": 2.0},
        presets.llada(16, 16).but(guidance=Guidance(2.0, "from_conditional", HidePrompt())),
    ),
    ({"preset": "diffusion_gemma", "temperature": 0.5},
     presets.diffusion_gemma().but(sampling=Sampling(0.5))),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "expected"), CASES, ids=lambda value: f"{value}"[:60])
def test_fields_are_a_strategy(fields, expected):
    found = strategy_of(Decoding(**fields), SPEC)
    assert found == expected
    if expected is not None:
        assert found.name == expected.name


def test_the_strategy_of_a_model_of_its_own_is_shaped():
    own = presets.wino(block=8)
    found = strategy_of(Decoding(temperature=0.3, max_forwards=9), SPEC, own)
    assert found.sampling == Sampling(0.3)
    assert found.revise == own.revise
    assert found.budget == 9
    assert strategy_of(Decoding(), SPEC, own) is None
    assert strategy_of(Decoding(preset="llada", steps=8), SPEC, own) == presets.llada(8)
    with pytest.raises(StrategyError, match="pass a preset, too"):
        strategy_of(Decoding(steps=8), SPEC, own)


def test_guidance_twice_is_refused():
    with pytest.raises(StrategyError, match="cfg_scale and the preset's guidance"):
        strategy_of(Decoding(preset="muse", guidance=3.0, cfg_scale=1.0), SPEC)
