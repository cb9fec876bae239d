"""Blocks behind the last one that a step asks for are not shown to a block-causal network."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from tests.models.decoders import canvas, decoder

import unmask
from unmask import Groups, Guidance, noise, presets, stopping
from unmask.decoding.packing import needed
from unmask.guidance import HidePrompt
from unmask.models.forwarding import Forwarding
from unmask.revise import Revise

W, SEEDS = 4, [3, 4, 5, 6, 7]
BLOCKS = Groups.blocks(W)


@dataclass(frozen=True)
class Anywhere(Revise):
    """Looks at everything that is known, and takes back what was least likely, in any block."""

    amends = True
    exact_counts = False

    def watches(self, state):
        return state.editable & ~state.masked

    def amend(self, change, state, proposal, leave_one_out):
        score = proposal.logprob.masked_fill(~self.watches(state), torch.inf)
        least = torch.zeros_like(state.masked).scatter(1, score.argmin(1, keepdim=True), True)
        few = (state.masked.sum(1) > 6) & (change.commit.sum(1) > 1)
        return replace(change, remask=least & self.watches(state) & few.unsqueeze(1))


IN_BLOCKS = {
    "llada": presets.llada(2, block=W, temperature=1.0),
    "threshold": presets.threshold(0.3, block=W, temperature=1.0),
    "smaller groups": presets.llada(2, block=3, temperature=1.0),
    "larger groups": presets.llada(2, block=6, temperature=1.0),
    "random order": presets.random_order(3).but(groups=BLOCKS),
    "edits": presets.llada21(0.3, 0.2, block=W),
    "verified": presets.wino(0.1, 0.5, block=W),
    "re-masking": presets.p2(3, eta=2.0).but(groups=BLOCKS),
    "doubt": presets.token_to_mask(block=W),
    "last draws shown": presets.llada(3, block=W).but(noise=noise.PreviousSample()),
    "an end": presets.llada(2, block=W, temperature=1.0).but(stopping=[stopping.EndOfSequence(6)]),
    "klass": presets.klass(0.1, 0.5, 2, block=W, temperature=1.0),
    "a budget": presets.threshold(0.9, block=W).but(stopping=[stopping.Budget(3)]),
    "guided": presets.llada(2, block=W).but(guidance=Guidance(1.5, null=HidePrompt())),
}
ELSEWHERE = {
    "no groups": presets.random_order(4),
    "side by side": presets.llada(3).but(groups=Groups.blocks(W, side_by_side=True)),
    "a reviser of one's own": presets.llada(4, block=W).but(revise=Anywhere()),
    "levels": presets.llada(2, block=W).but(groups=Groups.levels(3)),
}


class Counting(Forwarding):
    """The denoiser, counting the positions that it is shown."""

    def __init__(self, inner):
        super().__init__(inner)
        self.positions = 0

    def forward(self, query, cache):
        self.positions += query.tokens.numel()
        return self.inner.forward(query, cache)


def both(strategy, block=W):
    """The records, and the positions shown, with and without the right to cut rows."""
    found = []
    for trims in (True, False):
        inner = decoder(block=block)
        inner.spec = replace(inner.spec, supports_trimming=trims)
        denoiser = Counting(inner)
        record = unmask.run(denoiser, canvas(), strategy, seeds=SEEDS)
        found.append((record, denoiser.positions))
    return found


@pytest.mark.parametrize("name", [*IN_BLOCKS, *ELSEWHERE])
def test_what_is_left_out_changes_nothing(name):
    (cut, fewer), (whole, all_of_them) = both((IN_BLOCKS | ELSEWHERE)[name])
    for field in ("tokens", "commit_step", "steps", "forwards"):
        assert torch.equal(getattr(cut, field), getattr(whole, field)), field
    torch.testing.assert_close(cut.logprob, whole.logprob, atol=1e-4, rtol=1e-4)
    assert fewer < all_of_them  # of padding at least


def lengths(strategy, block=W, steps=1):
    """How many positions of each row a step needs."""
    denoiser = decoder(block=block)
    state = unmask.init(denoiser, canvas(), strategy, SEEDS)
    for _ in range(steps - 1):
        state = unmask.step(state, denoiser, strategy).state
    return needed(denoiser.spec, unmask.prepare(state, strategy)), state


@pytest.mark.parametrize("name", sorted(IN_BLOCKS.keys() - {"a budget"}))
def test_rows_end_with_the_block_in_which_the_open_group_ends(name):
    strategy = IN_BLOCKS[name]
    found, state = lengths(strategy)
    last = [max(np.flatnonzero(row), default=-1) for row in (state.open & state.editable).numpy()]
    expected = [min(n, (i // W + 1) * W) for n, i in zip(state.rows.length, last, strict=True)]
    assert found.tolist() == np.repeat(expected, state.readings).tolist()


@pytest.mark.parametrize("name", ["no groups", "side by side", "a reviser of one's own"])
def test_rows_are_whole_where_a_step_may_look_anywhere(name):
    found, state = lengths(ELSEWHERE[name])
    assert found.tolist() == state.rows.length.tolist()


def test_rows_are_whole_at_a_last_step_that_fills_later_blocks():
    strategy = presets.threshold(0.99, block=W).but(stopping=[stopping.Budget(1)])
    found, state = lengths(strategy)
    beyond = state.rows.unknown > state.rows.open_unknown
    assert beyond.any()
    assert (found == state.rows.length)[beyond].all()


def test_rows_of_a_bidirectional_network_are_cut_at_their_padding_alone():
    found, state = lengths(IN_BLOCKS["llada"], block=None)
    assert found.tolist() == state.rows.length.tolist()


def test_strategies_of_several_kinds_share_passes():
    denoiser = Counting(decoder(block=W))
    engine, alone = unmask.Engine(denoiser), {}
    strategies = [IN_BLOCKS["llada"], ELSEWHERE["no groups"], IN_BLOCKS["guided"]]
    found = {}
    for strategy in strategies:
        ids = engine.submit(canvas(), strategy, SEEDS)
        record = unmask.run(decoder(block=W), canvas(), strategy, seeds=SEEDS)
        alone |= dict(zip(ids.tolist(), record.tokens.tolist(), strict=True))
    while len(engine.unfinished):
        for event in engine.step():
            found |= {row: record.tokens[0].tolist() for row, record in event.results()}
    assert {row: alone[row][: len(ids)] for row, ids in found.items()} == found
