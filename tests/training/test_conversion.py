"""Left-to-right models, and models of blocks, trained further: objective, conversion, packing."""

from __future__ import annotations

from dataclasses import replace

import torch
from tests.text.models import byte_level, decoder
from tests.training.talks import llada, talk, written

import unmask
from unmask import objectives
from unmask.models.checkpoint import read_card
from unmask.training import Base, Recipe, described, train

QUICK = {"samples": 0, "held_out_rows": 0}


def pairs(path, count=12):
    said = [{"prompt": f"the {i % 3} ", "completion": "cat" * (i % 4 + 1)} for i in range(count)]
    return written(path, *said)


def test_blocks_are_learnt_by_their_own_objective(tmp_path):
    """It is chosen by the base, said, used, and in the card; another one may be asked for."""
    sdar = Base(decoder(tmp_path / "sdar", byte_level(), "sdar"))
    corpus = sdar.read(pairs(tmp_path / "pairs.jsonl"))
    recipe = Recipe(base=sdar.options, steps=2, batch_size=4, **QUICK)
    told = " ".join(described(corpus, recipe, sdar))
    assert "objective block_diffusion" in told
    assert "partly hidden" not in told
    train(corpus, tmp_path / "m", base=sdar, recipe=recipe)
    card = read_card(tmp_path / "m")
    assert card.training["objective"] == "block_diffusion"
    assert card.about["recipe"]["objective"] == "block_diffusion"
    asked = replace(recipe, objective="complementary")
    assert "partly hidden" in " ".join(described(corpus, asked, sdar))
    train(corpus, tmp_path / "n", base=sdar, recipe=asked)
    assert read_card(tmp_path / "n").training["objective"] == "complementary"
    mine, other = (unmask.load(tmp_path / name).state_dict() for name in "mn")
    assert not all(torch.equal(mine[key], other[key]) for key in mine)


def test_other_networks_are_learnt_by_complementary_masks(tmp_path):
    assert Recipe().objective is None
    assert Recipe().settled().loss().func is objectives.complementary
    base = Base(llada(tmp_path / "llada"))
    path = written(tmp_path / "chat.jsonl", *[{"messages": talk("a", "one")}] * 4)
    told = described(base.read(path), Recipe(base=base.options), base)
    assert "objective complementary" in " ".join(told)
