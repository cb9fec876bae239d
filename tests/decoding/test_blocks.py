"""A denoiser that must be decoded in blocks is told what is unknown, and is decoded in blocks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.models.decoders import VOCAB, canvas, decoder
from tests.reference.network import Network

import unmask
from unmask import Groups, Guidance, presets, stopping
from unmask.errors import StrategyError
from unmask.models import BlockCache
from unmask.revise import Edit

SEEDS = [1, 2, 3, 4, 5]


class Toy(Network):
    """Says of the open block where it stands, and notes what it is told."""

    vocab_size, mask_id, inputs, block_size = 4, 3, frozenset({"masked"}), 2

    def __init__(self):
        self.told = []

    @property
    def spec(self):
        return replace(super().spec, block_size=self.block_size, open_block_only=True)

    def hidden(self, tokens, *, valid, masked, condition=None):
        self.told.append(masked)
        return torch.ones(*tokens.shape, 4)

    def logits(self, hidden):
        return hidden * torch.tensor([0.0, 1.0, 2.0, 3.0])


class Backward(Edit):
    """Looks at everything that is known."""

    def watches(self, state):
        return state.editable & ~state.masked


BY_BLOCKS = presets.threshold(0.5).but(groups=Groups.blocks(4))
REFUSED = {
    "no groups": (presets.confidence(4), r"groups of confidence are none: pass .*blocks\(4\)"),
    "other blocks": (presets.sdar(steps=2, block=3), "in blocks of 4.* are blocks of 3"),
    "blocks from the prompt": (presets.llada(2, block=4), "blocks of 4 from the prompt"),
    "levels": (presets.confidence(4).but(groups=Groups.levels(3)), "are 3 levels"),
    "side by side": (
        presets.confidence(4).but(groups=Groups.blocks(4, side_by_side=True)),
        "left to right",
    ),
    "a budget": (
        BY_BLOCKS.but(stopping=[stopping.Budget(1)]),
        r"Budget\(1\): row 0 has 2 blocks, which take 2 .* pass Budget\(\d\) or more",
    ),
    "edits of finished blocks": (
        presets.llada21(block=4).but(revise=Backward(), groups=Groups.blocks(4)),
        "Backward watches blocks that are finished.*watch the open group only",
    ),
}
ACCEPTED = {
    "blocks": presets.sdar(steps=2, block=4),
    "a budget": BY_BLOCKS.but(stopping=[stopping.Budget(3)]),
    "divergences": presets.klass(block=4).but(groups=Groups.blocks(4)),
    "edits": presets.llada21(block=4),
    "verified": presets.wino(block=4).but(groups=Groups.blocks(4)),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_looks_elsewhere_is_refused(what):
    strategy, words = REFUSED[what]
    inner = decoder(block=4)
    with pytest.raises(StrategyError, match=words):
        unmask.init(BlockCache(inner), canvas(), strategy, SEEDS)
    assert unmask.init(inner, canvas(), strategy, SEEDS)


@pytest.mark.parametrize("what", ACCEPTED)
def test_what_goes_by_the_blocks_is_accepted(what):
    assert unmask.init(BlockCache(decoder(block=4)), canvas(), ACCEPTED[what], SEEDS)


def test_listed_blocks_are_accepted():
    strategy = presets.confidence(2).but(groups=Groups.listed([0] * 4 + [1] * 4 + [2] * 4))
    assert unmask.init(BlockCache(decoder(block=4)), unmask.Canvas.blank(2, 12), strategy, [1, 2])


def test_one_block_needs_no_groups():
    cached = BlockCache(decoder(block=12))
    assert unmask.generate(cached, canvas(), presets.confidence(3), seed=1).max() < VOCAB
    longer = unmask.Canvas.blank(1, 13)
    with pytest.raises(StrategyError, match=r"Groups\.blocks\(12\)"):
        unmask.generate(cached, longer, presets.confidence(3), seed=1)


def test_scoring_is_referred_to_the_inner_denoiser():
    inner, rows = decoder(block=4), torch.zeros(2, 8, dtype=torch.int64)
    with pytest.raises(StrategyError, match="to score, or in another order, use its inner"):
        unmask.score(BlockCache(inner), rows, seed=1)
    assert unmask.score(inner, rows, seed=1)


def test_an_ordered_score_by_blocks_is_that_of_the_inner_denoiser():
    inner, rows = decoder(block=4), canvas()
    strategy = presets.random_order(4).but(groups=Groups.blocks(4))
    way = unmask.scoring.Ordered(strategy)
    ids = [row[:7] for row in rows.tokens[:2]]
    one, other = (
        unmask.score(d, torch.stack(ids), by=way, seed=1) for d in (inner, BlockCache(inner))
    )
    torch.testing.assert_close(one.per_example, other.per_example, atol=1e-4, rtol=1e-5)


def test_it_is_told_what_is_unknown_and_not_by_the_mask_id():
    toy, given = Toy(), torch.full((1, 4), Toy.mask_id)
    editable = torch.tensor([[False, True, False, True]])
    whole = unmask.Canvas.infill(given, editable)
    out = unmask.generate(toy, whole, presets.llada(1, block=2), seed=0)
    assert [told.tolist() for told in toy.told] == [
        [[False, True, False, True]],
        [[False, False, False, True]],
    ]
    assert out.tolist() == [[3, 2, 3, 2]]


def test_guidance_hands_it_on():
    toy, classes = Toy(), torch.tensor([0, 1])
    whole = unmask.Canvas.blank(2, 4, condition=classes)
    by = Guidance(2.0)
    with pytest.raises(StrategyError, match=r"Groups\.blocks\(2\)"):
        unmask.init(toy, whole, presets.confidence(2).but(guidance=by), [1, 2])
    unmask.generate(toy, whole, presets.llada(1, block=2).but(guidance=by), seed=0)
    assert [told.shape for told in toy.told] == [(4, 4)] * 2
    assert toy.told[-1].tolist() == [[False, False, True, True]] * 4


def test_others_are_told_nothing_of_it():
    inner = decoder(block=4)
    assert unmask.generate(inner, canvas(), presets.llada(2, block=4), seed=1).max() < VOCAB
    assert "masked" not in inner.spec.inputs
    assert not inner.spec.open_block_only
