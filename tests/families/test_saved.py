"""Published families saved by `unmask.save`: in transformers' own files, and the same again."""

import pytest
import torch
from tests.families.networks import FAMILIES, load
from transformers import AutoModelForCausalLM

import unmask
from unmask import Query
from unmask.engine import default_strategy
from unmask.models import BlockCache, ReusedCache


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_the_same_again(name, tmp_path):
    denoiser, family = load(name), FAMILIES[name]
    wrapped = ReusedCache(denoiser, 4) if family.block is None else BlockCache(denoiser)
    tokens = family.expected["ids"]
    with torch.no_grad():
        query = Query.of(tokens)
        logits = denoiser.logits(denoiser.forward(query, None)[0])
        for nth, each in enumerate((denoiser, wrapped)):
            again = unmask.load(unmask.save(each, tmp_path / str(nth)))
            assert type(again) is type(each)
            assert torch.equal(again.logits(again.forward(query, None)[0]), logits)
            names = ("recommended", "end_id", "reserved", "grid", "mask_id", "block_size")
            for field in names:
                assert getattr(again.spec, field) == getattr(each.spec, field)
    again = unmask.load(tmp_path / "0")
    assert default_strategy(again) == default_strategy(denoiser)
    drawn = [unmask.generate(m, batch_size=2, length=16, seed=0) for m in (denoiser, again)]
    assert torch.equal(*drawn)
    net = AutoModelForCausalLM.from_pretrained(tmp_path / "0", trust_remote_code=False)
    assert type(net).__name__ == f"{family.stock}ForCausalLM"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_every_weight_keeps_its_dtype(dtype, tmp_path):
    denoiser = load("llada2_moe", dtype=dtype)
    again = unmask.load(unmask.save(denoiser, tmp_path / "model"))
    weights = dict(again.named_parameters()) | dict(again.named_buffers())
    for name, value in (*denoiser.named_parameters(), *denoiser.named_buffers()):
        assert weights[name].dtype == value.dtype, name
        assert torch.equal(weights[name], value), name
