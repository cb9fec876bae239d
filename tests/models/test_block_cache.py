"""A cache of finished blocks: what it gives is what no cache gives, and nothing passes twice."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from tests.models.decoders import LENGTHS, MASK, canvas, decoder, network
from torch.utils._pytree import tree_leaves, tree_map

import unmask
from unmask import Groups, presets
from unmask.core.errors import CanvasError, ModelError, StrategyError
from unmask.models import BlockCache, Decoder

W, SEEDS = 4, [3, 4, 5, 6, 7]
BLOCKS = Groups.blocks(W)
STRATEGIES = {
    "llada": presets.llada(2, block=W, temperature=1.0),
    "threshold": presets.threshold(0.3, block=W, temperature=1.0),
    "factor": presets.factor(1.0, block=W, temperature=1.0),
    "llada21": presets.llada21(0.3, 0.2, block=W),
    "wino": presets.wino(0.1, 0.5, block=W),
    "random order": presets.random_order(3).but(groups=BLOCKS),
    "re-masking": presets.p2(3, eta=2.0).but(groups=BLOCKS),
    "last draws shown": presets.llada(3, block=W).but(noise=unmask.PreviousSample()),
    "random ids shown": presets.llada(3, block=W).but(noise=unmask.UniformIds()),
    "an end": presets.llada(2, block=W, temperature=1.0).but(end_id=6),
}
NETWORKS = {
    "llama": {},
    "llama, eager": {"attention": "eager"},
    "llama, shifted": {"shift": True},
    "qwen3": {"kind": "qwen3", "head_dim": 8},
    "gpt2": {"kind": "gpt2"},
}


def pair(name="llama", block=W):
    inner = decoder(block=block, **NETWORKS[name])
    return inner, BlockCache(inner)


def open_rows(state):
    return state.take((~state.done).nonzero().squeeze(1))


def hidden(denoiser, state):
    """What the denoiser says of a state, unknown positions shown as the mask id."""
    told = {"masked": state.masked} if isinstance(denoiser, BlockCache) else {}
    shown = state.tokens.masked_fill(state.masked, MASK)
    memory = state.memory if told else None
    with torch.no_grad():
        return denoiser.hidden(shown, valid=state.valid, memory=memory, **told)[0]


def states(denoiser, strategy, rows=range(5)):
    """The open rows before each step."""
    state = unmask.init(denoiser, canvas(rows), strategy, [SEEDS[r] for r in rows])
    while not unmask.done(state):
        yield open_rows(state)
        state = unmask.step(state, denoiser, strategy)


def same_record(one, other):
    for name in ("tokens", "commit_step", "steps", "forwards"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    for name in ("logprob", "sampling_logprob"):
        got, wanted = getattr(one, name), getattr(other, name)
        torch.testing.assert_close(got, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_step_and_the_whole_record_are_those_of_no_cache(name):
    inner, cached = pair()
    for state in states(cached, STRATEGIES[name]):
        asked = state.valid & state.open
        torch.testing.assert_close(
            hidden(cached, state)[asked], hidden(inner, state)[asked], atol=1e-5, rtol=1e-4
        )
    runs = [unmask.run(d, canvas(), STRATEGIES[name], seeds=SEEDS) for d in (inner, cached)]
    same_record(*runs)
    assert (runs[0].tokens != canvas().tokens)[canvas().editable].any()


@pytest.mark.parametrize("block", [1, 3, 5, 12])
@pytest.mark.parametrize("name", NETWORKS)
def test_so_it_is_for_other_networks_and_blocks(name, block):
    inner, cached = pair(name, block)
    strategy = presets.random_order(2).but(groups=Groups.blocks(block))
    for state in states(cached, strategy):
        asked = state.valid & state.open
        got, wanted = hidden(cached, state), hidden(inner, state)
        torch.testing.assert_close(got[asked], wanted[asked], atol=1e-5, rtol=1e-4)
    same_record(*(unmask.run(d, canvas(), strategy, seeds=SEEDS) for d in (inner, cached)))


def naive_queries(canvas, masks):
    """What each row must ask at each step, by hand: its open block, and what was finished since."""
    done, out = [0] * len(canvas.valid), []
    for masked in masks:
        asked = {}
        for row, (valid, unknown) in enumerate(zip(canvas.valid, masked, strict=True)):
            if not unknown.any():
                continue
            opened = int(unknown.nonzero()[0]) // W
            first, last = done[row] * W, min((opened + 1) * W, int(valid.sum()))
            asked[row], done[row] = list(range(first, last)), opened
        out.append(asked)
    return out


def recorded(cached):
    """Hooks the network: a list that gets the positions (R,Q) of each pass."""
    passes = []
    cached.inner.backbone.base_model.register_forward_pre_hook(
        lambda _, args, given: passes.append(given["position_ids"].tolist()), with_kwargs=True
    )
    return passes


@pytest.mark.parametrize("name", ["llada", "threshold", "random order"])
def test_queries_and_passes_are_counted_and_no_more_than_needed(name):
    _, cached = pair()
    passes, masks = recorded(cached), [canvas().editable]
    for info in unmask.stream(cached, canvas(), STRATEGIES[name], seeds=SEEDS):
        masks.append(info.masked)
    steps = naive_queries(canvas(), masks[:-1])
    assert cached.tally.queries == sum(len(q) for asked in steps for q in asked.values())
    assert cached.tally.queries == sum(len(row) for rows in passes for row in rows)
    assert cached.tally.passes == sum(len({len(q) for q in s.values()}) for s in steps)
    assert cached.tally.passes == len(passes)
    whole = sum(len(asked) for asked in steps) * 12
    assert cached.tally.queries < whole / 2


@pytest.mark.parametrize("row", range(5))
@pytest.mark.parametrize("name", ["llada", "threshold"])
def test_no_position_is_asked_again_once_it_is_remembered(name, row):
    """Of a row alone: which positions each pass asks, and one pass a step."""
    _, cached = pair()
    passes, masks = recorded(cached), [canvas([row]).editable]
    for info in unmask.stream(cached, canvas([row]), STRATEGIES[name], seeds=[SEEDS[row]]):
        masks.append(info.masked)
    steps = naive_queries(canvas([row]), masks[:-1])
    assert [rows[0] for rows in passes] == [asked[0] for asked in steps]
    assert len(passes) == len(masks) - 1
    opened = [int(m[0].nonzero()[0]) // W for m in masks[:-1]]
    finished = [[p for p in rows[0] if p // W < o] for rows, o in zip(passes, opened, strict=True)]
    once = [p for part in finished for p in part]
    assert once == list(range(opened[-1] * W))


@pytest.mark.parametrize("name", ["threshold", "random order", "llada21"])
def test_a_row_does_not_notice_its_batch(name):
    _, cached = pair()
    together = unmask.run(cached, canvas(), STRATEGIES[name], seeds=SEEDS)
    assert together.steps.unique().numel() > 1
    order = [3, 0, 4]
    some = unmask.run(cached, canvas(order), STRATEGIES[name], seeds=[SEEDS[r] for r in order])
    for row, length in enumerate(LENGTHS):
        alone = unmask.run(cached, canvas([row]), STRATEGIES[name], seeds=[SEEDS[row]])
        assert alone.tokens[0].tolist() == together.tokens[row, :length].tolist()
        if row in order:
            here = some.tokens[order.index(row), :length]
            assert alone.tokens[0].tolist() == here.tolist()


def test_a_row_that_goes_on_elsewhere_ends_as_it_would_have():
    _, cached = pair("llama, shifted")
    strategy = STRATEGIES["llada"]
    whole = unmask.run(cached, canvas(), strategy, seeds=SEEDS)
    state = unmask.init(cached, canvas(), strategy, SEEDS)
    for _ in range(3):
        state = unmask.step(state, cached, strategy)
    part = state.take(torch.tensor([2, 0]))
    before = cached.tally.queries
    while not unmask.done(part):
        part = unmask.step(part, cached, strategy)
    assert torch.equal(part.tokens, whole.tokens[[2, 0]])
    assert cached.tally.queries - before < 2 * (8 + 4 + 8 + 4)  # it did not start anew


def test_a_state_is_a_value():
    """Stepped twice from one state, with what it remembers as it was."""
    _, cached = pair()
    strategy = presets.random_order(1).but(groups=BLOCKS)
    state = unmask.init(cached, canvas([0, 4]), strategy, SEEDS[:2])
    for _ in range(2):
        kept = deepcopy(state.memory)
        first = unmask.step(state, cached, strategy)
        leaves = zip(tree_leaves(kept), tree_leaves(state.memory), strict=True)
        assert all(was is now or torch.equal(was, now) for was, now in leaves)
        assert torch.equal(first.tokens, unmask.step(state, cached, strategy).tokens)
        state = first
    assert unmask.done(state)


def test_only_finished_blocks_are_remembered():
    _, cached = pair()
    for state in states(cached, STRATEGIES["threshold"]):
        if state.memory is None:
            continue
        behind = state.group >= state.memory.blocks.unsqueeze(1)
        for one in state.memory.states.values():
            known = one.abs().sum((1, 3)) > 0
            assert torch.equal(known, ~behind & state.valid)


def some_way_in():
    """Rows some of which have finished blocks, and are past the first step of another."""
    inner, cached = pair()
    found = list(states(cached, presets.random_order(4).but(groups=BLOCKS)))
    state = next(s for s in found if s.memory is not None and s.memory.blocks.count_nonzero() > 1)
    return inner, cached, state


def test_zeros_mean_that_nothing_is_remembered():
    _, cached, state = some_way_in()
    blank = replace(state, memory=tree_map(torch.zeros_like, state.memory))
    known = state.valid & state.open
    torch.testing.assert_close(hidden(cached, blank)[known], hidden(cached, state)[known])


def test_what_is_remembered_is_read():
    """Negative control: other keys of finished blocks change what is said of the open one."""
    _, cached, state = some_way_in()
    keys = {name: s.clone() for name, s in state.memory.states.items()}
    for one in keys.values():
        one[:, :, 0] += 1
    other = replace(state, memory=state.memory._replace(states=keys))
    moved = (hidden(cached, other) - hidden(cached, state)).abs().amax((1, 2)) > 1e-3
    assert moved.tolist() == (state.memory.blocks > 0).tolist()


@pytest.mark.parametrize("how", ["another token", "unknown again", "unknown, and shown"])
def test_a_row_in_which_a_finished_block_changed_starts_anew(how):
    inner, cached, state = some_way_in()
    tokens, masked = state.tokens.masked_fill(state.masked, MASK), state.masked.clone()
    tokens[:, 2] = {"another token": 9, "unknown again": MASK}.get(how, tokens[:, 2])
    masked[:, 2] = state.valid[:, 2] & torch.tensor(how != "another token")
    given = {"valid": state.valid, "memory": state.memory, "masked": masked}
    with torch.no_grad():
        got, _ = cached.hidden(tokens, **given)
        wanted, _ = inner.hidden(tokens, valid=state.valid, memory=None)
    known = state.valid & (replace(state, masked=masked).open)
    torch.testing.assert_close(got[known], wanted[known], atol=1e-5, rtol=1e-4)
    assert how != "another token" or not torch.allclose(hidden(inner, state)[known], wanted[known])


def test_nothing_is_said_where_nothing_was_computed():
    _, cached, state = some_way_in()
    silent = (state.group > state.open_group.unsqueeze(1)) | ~state.valid
    assert (hidden(cached, state)[silent] == 0).all()
    assert (hidden(cached, state)[state.open & state.valid] != 0).any(1).all()


def test_without_being_told_what_is_unknown_it_is_the_inner_one():
    inner, cached = pair()
    ids, maskable = canvas().tokens, canvas().editable
    losses = [
        unmask.objectives.count(d, ids, maskable, 5, valid=canvas().valid).loss
        for d in (inner, cached)
    ]
    assert torch.equal(*losses)


def test_refusals_say_what_to_do():
    with pytest.raises(ModelError, match="has no keys and values to keep"):
        BlockCache(unmask.wrap(lambda t: t, mask_id=1, vocab_size=3))
    with pytest.raises(ModelError, match="use ReusedCache, which is approximate"):
        BlockCache(decoder())
    with pytest.raises(ModelError, match="takes no keys and values from elsewhere"):
        BlockCache(decoder("falcon_h1", W, mamba_n_heads=2, mamba_d_ssm=16, mamba_d_state=4))
    with pytest.raises(ModelError, match="differ when they are computed apart"):
        BlockCache(Decoder(network("mpt", n_heads=2, d_model=16), MASK, block=W))
    _, cached, state = some_way_in()
    with pytest.raises(StrategyError, match="pass masked="):
        cached.hidden(state.tokens, valid=state.valid, memory=state.memory)
    with pytest.raises(CanvasError, match="takes no condition"):
        cached.hidden(state.tokens, valid=state.valid, memory=None, condition=1)
