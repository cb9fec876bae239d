"""Log-probabilities near 0 keep their digits, however large the logits are."""

import pytest
import torch

import unmask
from unmask import Canvas, presets

SURE = torch.tensor([[5.0, -2.0, 0.0], [5.0, -2.5, 0.0]])  # the second position is surer
SURER = torch.tensor([[5.0, -8.0, 0.0], [5.0, -8.5, 0.0]])  # both are nearly certain


def network(logits):
    return unmask.wrap(
        lambda tokens: logits.expand(len(tokens), 2, 3), mask_id=2, vocab_size=3, length=2
    )


def first_step(name, logits):
    preset = getattr(presets, name)
    strategy = preset(threshold=1.0) if name == "threshold" else preset(steps=2)
    return next(unmask.stream(network(logits), Canvas.blank(1, 2), strategy, seeds=[0]))


@pytest.mark.parametrize("level", [0.0, 20.0, 300.0])
@pytest.mark.parametrize("logits", [SURE, SURER])
@pytest.mark.parametrize("name", ["llada", "confidence", "threshold"])
def test_the_surer_position_comes_first_wherever_the_logits_lie(name, logits, level):
    info = first_step(name, logits + level)
    assert info.committed.tolist() == [[False, True]]
    exact = logits[1, :2].double().log_softmax(0)[0]
    assert float(info.state.logprob[0, 1]) == pytest.approx(float(exact), rel=0.1)


def test_what_was_drawn_at_a_low_temperature_is_measured_exactly():
    logits = torch.tensor([40.0, 40.0, 7.0])
    strategy = presets.random_order(1, temperature=1e-5)
    record = unmask.run(network(logits), Canvas.blank(1, 2), strategy, seeds=[0])
    assert record.sampling_logprob[0].tolist() == pytest.approx([-0.6931472] * 2, abs=1e-6)
