"""Logits of the stock classes are those of the authors' networks."""

import pytest
import torch
from tests.families.networks import FAMILIES, MASK, network, opened

from unmask import Query
from unmask.models import Decoder

# Rounding: routed experts and fused attention add up in another order. Logits have deviation 1.
CLOSE = {"atol": 1e-5, "rtol": 0}
BLOCKS = {"logits": None, "logits_block4": 4, "logits_block8": 8}
CASES = [
    (name, which)
    for name, family in FAMILIES.items()
    for which in BLOCKS
    if which in family.expected
]


@pytest.mark.parametrize(("name", "which"), CASES)
def test_logits_are_those_of_the_authors_network(name, which):
    expected = FAMILIES[name].expected
    logits = network(name, BLOCKS[which]).raw(expected["ids"])
    torch.testing.assert_close(logits, expected[which], **CLOSE)
    assert expected[which].std() > 0.1


def test_nobody_sees_padding():
    expected = FAMILIES["a2d_qwen3"].expected
    valid = expected["valid"].bool()
    assert not valid.all()
    logits = network("a2d_qwen3").raw(expected["ids"], valid)
    torch.testing.assert_close(logits[valid], expected["logits_padded"][valid], **CLOSE)


@pytest.mark.parametrize(("name", "which"), CASES)
def test_a_decoder_has_the_same_logits(name, which):
    expected = FAMILIES[name].expected
    denoiser = Decoder(opened(name), MASK, block=BLOCKS[which])
    with torch.no_grad():
        hidden, _ = denoiser.forward(Query.of(expected["ids"]), None)
        logits = denoiser.logits(hidden.flatten(0, 1)).view_as(expected[which])
    torch.testing.assert_close(logits, expected[which], **CLOSE)


@pytest.mark.parametrize("name", ["llada2_moe", "sdar"])
def test_the_attention_matters(name):
    """The control: these networks among all positions are others."""
    family = FAMILIES[name]
    which = f"logits_block{family.block}"
    logits = network(name, block=24).raw(family.expected["ids"])
    assert (logits - family.expected[which]).abs().max() > 0.1
