"""Runs whose examples share rows: the same network, from fewer rows, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.text.models import byte_level, causal, decoder
from tests.training.stops import Stop, stop_at
from tests.training.talks import llada, talk, written

import unmask
from unmask.data import read
from unmask.errors import ModelError, StrategyError
from unmask.models import Decoder, Packed
from unmask.training import Base, LoraOptions, Recipe, described, train
from unmask.training.trainer import latest

QUICK = {"samples": 0, "held_out_rows": 0}


def talks(path):
    """Twelve short talks and one that is much longer."""
    said = [talk("hi", "a" * (i % 3 + 1)) for i in range(12)]
    return written(path, *({"messages": each} for each in (*said, talk("hi", "a" * 60))))


@pytest.fixture
def base(request, tmp_path):
    return {
        "sdar": lambda: Base(decoder(tmp_path / "base", byte_level(), "sdar")),
        "dream": lambda: Base(decoder(tmp_path / "base", byte_level())),
        "left": lambda: Base(causal(tmp_path / "base", byte_level(False)), convert=True, block=4),
    }[request.param]()


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("base", ["sdar", "dream", "left"], indirect=True)
def test_packed_and_apart_are_one_run_but_for_rows(base, rank, tmp_path, monkeypatch):
    """Weights agree; the trunk computes fewer positions; the folder has no Packed in it."""
    sizes = {}
    trunk = Decoder.trunk

    def counted(self, tokens, *given, **more):
        if self.training:
            sizes[width] = sizes.get(width, 0) + tokens.numel()
        return trunk(self, tokens, *given, **more)

    monkeypatch.setattr(Decoder, "trunk", counted)
    corpus = base.read(talks(tmp_path / "chat.jsonl"))
    recipe = Recipe(base=base.options, steps=3, batch_size=8, learning_rate=1e-3,
                    lora=LoraOptions(rank=rank), **QUICK)  # fmt: skip
    for width in (None, 128):
        train(corpus, tmp_path / str(width), base=base, recipe=replace(recipe, packed=width))
    assert sizes[128] < 0.7 * sizes[None]
    apart, together = (unmask.load(tmp_path / name) for name in ("None", "128"))
    assert type(together) is Decoder
    assert together.spec == apart.spec
    for name, weight in apart.state_dict().items():
        torch.testing.assert_close(together.state_dict()[name], weight, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("base", ["sdar"], indirect=True)
def test_packed_runs_resume_are_extended_and_said(base, tmp_path):
    corpus = base.read(talks(tmp_path / "chat.jsonl"))
    recipe = Recipe(base=base.options, steps=4, batch_size=4, samples=1, held_out_rows=2,
                    ema_decay=0.5, packed=128)  # fmt: skip
    assert "packed into rows of 128" in " ".join(described(corpus, recipe, base))
    how = {"base": base, "recipe": recipe}
    train(corpus, tmp_path / "whole", **how)
    with pytest.raises(Stop):
        train(corpus, tmp_path / "cut", report=stop_at(3), **how)
    checkpoint = latest(tmp_path / "cut.training")
    assert type(unmask.load(checkpoint / "model")) is Decoder
    train(corpus, tmp_path / "cut", resume=True, **how)
    one, other = (unmask.load(tmp_path / name).state_dict() for name in ("whole", "cut"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    train(corpus, tmp_path / "cut", resume=True, steps=5, **how)
    more = unmask.load(tmp_path / "cut").state_dict()
    assert not all(torch.equal(one[name], more[name]) for name in one)


def test_new_networks_on_shared_rows(tmp_path):
    (tmp_path / "names.txt").write_text("ann\nbo\nchristopher\n" * 10)
    corpus = read(tmp_path / "names.txt", documents=True)
    data = replace(Recipe().data, documents=True)
    recipe = Recipe(steps=2, batch_size=4, packed=64, data=data, padding="excluded", **QUICK)
    train(corpus, tmp_path / "m", recipe=recipe)
    assert not isinstance(unmask.load(tmp_path / "m"), Packed)
    train(corpus, tmp_path / "m", recipe=recipe, resume=True, steps=3)


def test_what_cannot_share_rows(tmp_path):
    base = Base(llada(tmp_path / "llada"))
    corpus = base.read(talks(tmp_path / "chat.jsonl"))
    recipe = Recipe(base=base.options, steps=1, packed=20)
    with pytest.raises(StrategyError, match="packed=20, and examples have up to"):
        train(corpus, tmp_path / "m", base=base, recipe=recipe)
    left = Base(causal(tmp_path / "left", byte_level(False)), convert=True)
    with pytest.raises(StrategyError, match="anneal_steps=1 with packed=128"):
        Recipe(base=left.options, packed=128, anneal_steps=1)
    tiny = {"model_type": "distilbert", "dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 16}
    (tmp_path / "a.txt").write_text("the cat sat\n" * 20)
    with pytest.raises(ModelError, match="packed=64: packing is not tested for distilbert"):
        train(read(tmp_path / "a.txt", length=8), tmp_path / "m",
              recipe=Recipe(backbone=tiny, steps=1, packed=64))  # fmt: skip
    assert not (tmp_path / "m").exists()
