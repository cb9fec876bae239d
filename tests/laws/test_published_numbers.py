"""The numbers that exact and approximate samplers show on the joint."""

from itertools import product

import numpy as np
import pytest
import torch
from tests.laws.cases import ORACLE, ROWS, Told, counted, generated
from tests.laws.plain import (
    choose_then_draw,
    draw_then_choose,
    gap,
    largest_probability,
    leftness,
    negative_entropy,
    random_order,
)
from tests.laws.text import ancestral
from tests.laws.world import (
    JOINT,
    ONE_AT_A_TIME,
    UNKNOWN,
    conditionals,
    distance,
    finished,
    law_of,
    turns,
)
from tests.reference.oracles import chi_square

import unmask
from unmask import presets

ALPHA = 1e-4


def error(rule, counts):
    return distance(law_of(rule, turns(counts)))


@pytest.mark.parametrize("score", [largest_probability, negative_entropy, gap, leftness])
def test_choose_then_draw_one_at_a_time_is_exact(score):
    assert error(choose_then_draw(score), ONE_AT_A_TIME) < 1e-12


def test_random_order_one_at_a_time_is_exact():
    assert error(random_order(), ONE_AT_A_TIME) < 1e-12


def test_draw_then_choose_is_far_from_exact_even_one_at_a_time():
    assert error(draw_then_choose(), ONE_AT_A_TIME) == pytest.approx(0.387, abs=0.1)


def test_error_of_random_order_grows_with_the_tokens_committed_together():
    found = [error(random_order(), counts) for counts in [(2, 1, 1), (2, 2), (4,)]]
    assert found == pytest.approx([0.140, 0.247, 0.618], abs=0.06)


def test_error_of_ancestral_sampling_falls_like_one_over_steps():
    found = [error(ancestral(), [0] * steps) for steps in (4, 16, 64)]
    assert found == pytest.approx([0.207, 0.057, 0.014], rel=0.3)
    assert found[1] / found[2] == pytest.approx(4, rel=0.1)


def test_oracle_gives_the_true_conditionals():
    canvases = list(product(range(4), repeat=4))
    logits = ORACLE(torch.tensor(canvases))
    assert logits.dtype == torch.float32
    assert logits.shape == (256, 4, 4)
    assert bool((logits[..., UNKNOWN] == 0).all())
    for canvas, found in zip(canvases, logits[..., :3].exp().numpy(), strict=True):
        np.testing.assert_allclose(found, conditionals(canvas), rtol=1e-5)


def test_given_tokens_are_conditioned_on():
    tokens = torch.tensor([[0, 2, 0, 0]]).expand(ROWS, 4)
    editable = torch.tensor([[True, False, True, True]]).expand(ROWS, 4)
    canvas = unmask.Canvas.infill(tokens.clone(), editable.clone())
    out = unmask.generate(Told(), canvas, presets.random_order(steps=3), seed=0)
    truth = np.zeros(JOINT.shape)
    truth[:, 2] = JOINT[:, 2]
    assert chi_square(finished(counted(out)), truth) > ALPHA
    assert chi_square(finished(counted(out)), JOINT) < ALPHA


# Negative controls: the same helper must see these.


def test_choose_then_draw_fails_against_the_law_of_draw_then_choose():
    law = law_of(draw_then_choose(), turns(ONE_AT_A_TIME))
    assert chi_square(generated(presets.confidence(steps=4)), law) < 1e-12


@pytest.mark.parametrize(
    "wrong",
    [
        presets.random_order(steps=4).but(sampling=unmask.Sampling(min_p=0.03)),
        presets.random_order(steps=3),
    ],
    ids=["rare tokens lost", "one step too few"],
)
def test_slightly_wrong_samplers_fail_against_the_truth(wrong):
    assert chi_square(generated(wrong), JOINT) < ALPHA


def test_reused_randomness_fails_against_the_truth():
    """Rows that share their uniforms ten by ten: the engine is right, its randomness is not."""
    tenth = generated(presets.random_order(steps=4), rows=ROWS // 10)
    assert chi_square(tenth * 10, JOINT) < ALPHA
