"""A cache of finished blocks: what it gives is what no cache gives, and nothing passes twice."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.models.decoders import LENGTHS, MASK, canvas, decoder, network

import unmask
from unmask import Groups, Guidance, noise, presets, stopping
from unmask.core.network import Query
from unmask.errors import CanvasError, ModelError, StrategyError
from unmask.guidance import HidePrompt
from unmask.models import BlockCache, Decoder

W, SEEDS = 4, [3, 4, 5, 6, 7]
BLOCKS = Groups.blocks(W)
PLAIN = presets.random_order()
BY_PROMPT = Guidance(1.5, null=HidePrompt())
STRATEGIES = {
    "llada": presets.llada(2, block=W, temperature=1.0),
    "threshold": presets.threshold(0.3, block=W, temperature=1.0),
    "factor": presets.factor(1.0, block=W, temperature=1.0),
    "llada21": presets.llada21(0.3, 0.2, block=W),
    "wino": presets.wino(0.1, 0.5, block=W),
    "random order": presets.random_order(3).but(groups=BLOCKS),
    "re-masking": presets.p2(3, eta=2.0).but(groups=BLOCKS),
    "last draws shown": presets.llada(3, block=W).but(noise=noise.PreviousSample()),
    "random ids shown": presets.llada(3, block=W).but(noise=noise.UniformIds()),
    "an end": presets.llada(2, block=W, temperature=1.0).but(stopping=[stopping.EndOfSequence(6)]),
    "klass": presets.klass(0.1, 0.5, 2, block=W, temperature=1.0),
    "at rest": presets.llada(4, block=W).but(stopping=[stopping.StableAndConfident(2.5)]),
    "a budget": presets.threshold(0.9, block=W).but(stopping=[stopping.Budget(4)]),
    "guided": presets.llada(2, block=W, temperature=1.0).but(guidance=BY_PROMPT),
    "guided klass": presets.klass(0.2, 0.3, 1, block=W).but(guidance=BY_PROMPT),
    "guided, a budget": presets.threshold(0.9, block=W).but(
        guidance=BY_PROMPT, stopping=[stopping.Budget(9)]
    ),
    "guided wino": presets.wino(0.1, 0.5, block=W).but(guidance=BY_PROMPT),
}
STRATEGIES = {name: strategy.but(groups=BLOCKS) for name, strategy in STRATEGIES.items()}
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


def hidden(denoiser, state, strategy=PLAIN):
    """What the denoiser says of what a step would show of a state."""
    cache = state.cache if isinstance(denoiser, BlockCache) else None
    with torch.no_grad():
        return denoiser.forward(unmask.prepare(state, strategy), cache)[0]


def states(denoiser, strategy, rows=range(5)):
    """The open rows before each step."""
    state = unmask.init(denoiser, canvas(rows), strategy, [SEEDS[r] for r in rows])
    while not unmask.done(state):
        yield state.take(state.rows.unfinished)
        state = unmask.step(state, denoiser, strategy).state


def same_record(one, other):
    for name in ("tokens", "commit_step", "steps", "forwards"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    for name in ("logprob", "sampling_logprob"):
        got, wanted = getattr(one, name), getattr(other, name)
        torch.testing.assert_close(got, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_step_and_the_whole_record_are_those_of_no_cache(name):
    inner, cached = pair()
    strategy = STRATEGIES[name]
    for state in states(cached, strategy):
        asked = (state.valid & state.open).repeat_interleave(strategy.readings, 0)
        got, wanted = (hidden(d, state, strategy)[asked] for d in (cached, inner))
        torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)
    runs = [unmask.run(d, canvas(), strategy, seeds=SEEDS) for d in (inner, cached)]
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


def naive_passes(asked):
    """Passes of a step: one for each number of positions that rows ask.

    A finished block and the open one behind it go along with rows that ask their open block alone.
    """
    widths = {len(positions) for positions in asked.values()}
    return len(widths - {2 * W} if W in widths else widths)


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
    assert cached.tally.passes == sum(map(naive_passes, steps)) == len(passes)
    assert cached.tally.passes < sum(len({len(q) for q in s.values()}) for s in steps)
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


@pytest.mark.parametrize("name", ["guided", "guided klass", "guided, a budget"])
def test_guidance_keeps_both_readings_of_a_row_and_asks_twice(name):
    """The second reading sees a prompt of mask ids, and remembers its own."""
    _, cached = pair()
    masks = [canvas().editable]
    for info in unmask.stream(cached, canvas(), STRATEGIES[name], seeds=SEEDS):
        masks.append(info.masked)
        if info.state.cache is not None:
            assert len(info.state.cache.tokens) == 2 * len(info.state)
    steps = naive_queries(canvas(), masks[:-1])
    assert cached.tally.queries == 2 * sum(len(q) for asked in steps for q in asked.values())
    told, untold = info.state.cache.states["keys 0"].unflatten(0, (-1, 2)).unbind(1)
    assert not torch.allclose(told[0], untold[0])


def longer():
    """Three blocks of 6, of which the first begins with two given tokens."""
    ids = torch.randint(MASK, (6, 18), generator=torch.Generator().manual_seed(5))
    return unmask.Canvas.infill(ids, torch.arange(18).expand(6, 18) >= 2)


def of_six(make, *arguments, budget=None, guided=False):
    """A preset in blocks of 6."""
    stop = [] if budget is None else [stopping.Budget(budget)]
    strategy = make(*arguments, temperature=1.0).but(groups=Groups.blocks(6))
    return strategy.but(stopping=stop, guidance=BY_PROMPT if guided else None)


# Each with one that lacks what it has, and must come out otherwise.
THRESHOLD, KLASS, WINO = (
    (presets.threshold, 0.15),
    (presets.klass, 0.15, 0.3, 1),
    (presets.wino, 0.15, 0.9),
)
SOMETHING_MORE = {
    "the history": (of_six(*KLASS), of_six(*THRESHOLD)),
    "more of the history": (of_six(presets.klass, 0.15, 0.3, 2), of_six(*KLASS)),
    "a budget": (of_six(*THRESHOLD, budget=7), of_six(*THRESHOLD)),
    "the history, a budget": (of_six(*KLASS, budget=7), of_six(*KLASS)),
    "second thoughts": (of_six(*WINO), of_six(presets.wino, 0.15, 0.0)),
    **{
        f"second thoughts, a budget of {passes}": (of_six(*WINO, budget=passes), of_six(*WINO))
        for passes in (3, 6, 9, 12, 15)
    },
    "guidance": (of_six(*THRESHOLD, guided=True), of_six(*THRESHOLD)),
    "guidance, the history": (of_six(*KLASS, guided=True), of_six(*KLASS)),
    "the history, guidance": (of_six(*KLASS, guided=True), of_six(*THRESHOLD, guided=True)),
    "guidance, a budget": (of_six(*KLASS, budget=14, guided=True), of_six(*KLASS, guided=True)),
}


@pytest.mark.parametrize("name", SOMETHING_MORE)
def test_histories_budgets_and_guidance_work_as_without_a_cache(name):
    inner, cached = pair(block=6)
    strategy, without = SOMETHING_MORE[name]
    seeds = range(6)
    runs = [unmask.run(d, longer(), strategy, seeds=seeds) for d in (inner, cached)]
    same_record(*runs)
    other = unmask.run(cached, longer(), without, seeds=seeds)
    assert not torch.equal(other.commit_step, runs[1].commit_step)


@pytest.mark.parametrize("passes", [3, 4, 5, 8])
@pytest.mark.parametrize("guided", [False, True])
def test_a_budget_leaves_a_pass_for_each_block_to_come(passes, guided):
    inner, cached = pair(block=6)
    reading = 1 + guided

    def limited(budget):
        return of_six(presets.llada, 6, budget=budget, guided=guided)

    budget = passes * reading
    runs = [unmask.run(d, longer(), limited(budget), seeds=range(6)) for d in (inner, cached)]
    same_record(*runs)
    assert runs[1].forwards.tolist() == [budget] * 6
    free = min(passes - 2, 4)  # steps of the first block, of which two passes are kept back
    steps = runs[1].commit_step[:, 2:].split([4, 6, 6], 1)
    assert [int(part.max()) for part in steps] == [free - 1, passes - 2, passes - 1]
    with pytest.raises(StrategyError, match=rf"3 blocks.*pass Budget\({3 * reading}\) or more"):
        unmask.run(cached, longer(), limited(3 * reading - 1), seeds=range(6))


@pytest.mark.parametrize("name", ["llada", "klass", "guided", "a budget"])
def test_rows_that_join_later_or_wait_their_turn_come_out_alike(name):
    """Caches of rows of several lengths, some begun and some not, as one."""
    _, cached = pair("llama, shifted")
    strategy, engine, ids, found = STRATEGIES[name], unmask.Engine(cached, max_rows=4), {}, {}
    for rows in ([1, 3], [0], [4, 2]):
        made = engine.submit(canvas(rows), strategy, [SEEDS[r] for r in rows])
        ids.update(zip(made.tolist(), rows, strict=True))
        for event in engine.step():
            found.update(event.results())
    while len(engine.unfinished):
        for event in engine.step():
            found.update(event.results())
    whole = unmask.run(cached, canvas(), strategy, seeds=SEEDS)
    for one, record in found.items():
        row = ids[one]
        assert record.tokens[0].tolist() == whole.tokens[row, : LENGTHS[row]].tolist()
    assert len(found) == 5


def test_where_memory_runs_out_the_caches_are_halved_with_their_rows():
    _, cached = pair()
    strategy, trunk, failed = STRATEGIES["guided klass"], cached.inner.trunk, []
    whole = unmask.run(cached, canvas(), strategy, seeds=SEEDS)

    def small(tokens, *arguments, **given):
        if cached.tally.passes > start + 4 and len(tokens) > 2:
            failed.append(len(tokens))
            raise torch.OutOfMemoryError("out of memory")
        return trunk(tokens, *arguments, **given)

    start, cached.inner.trunk = cached.tally.passes, small
    with pytest.warns(unmask.errors.SplitWarning):
        split = unmask.run(cached, canvas(), strategy, seeds=SEEDS)
    assert failed
    same_record(whole, split)


def test_a_row_that_goes_on_elsewhere_ends_as_it_would_have():
    _, cached = pair("llama, shifted")
    strategy = STRATEGIES["llada"]
    whole = unmask.run(cached, canvas(), strategy, seeds=SEEDS)
    state = unmask.init(cached, canvas(), strategy, SEEDS)
    for _ in range(3):
        state = unmask.step(state, cached, strategy).state
    part = state.take([2, 0])
    before = cached.tally.queries
    while not unmask.done(part):
        part = unmask.step(part, cached, strategy).state
    assert torch.equal(part.tokens, whole.tokens[[2, 0]])
    assert cached.tally.queries - before < 2 * (8 + 4 + 8 + 4)  # it did not start anew


def same_cache(one, other):
    if one is None or other is None:
        return one is other
    named = [vars(cache) | cache.states for cache in (one, other)]
    del named[0]["states"], named[1]["states"]
    assert named[0].keys() == named[1].keys()
    return all(np.array_equal(value, named[1][name]) for name, value in named[0].items())


def test_a_state_is_a_value():
    """Stepped twice from one state, with what it remembers as it was."""
    _, cached = pair()
    strategy = presets.random_order(1).but(groups=BLOCKS)
    state = unmask.init(cached, canvas([0, 4]), strategy, SEEDS[:2])
    for _ in range(2):
        kept = deepcopy(state.cache)
        first = unmask.step(state, cached, strategy).state
        assert same_cache(kept, state.cache)
        assert torch.equal(first.tokens, unmask.step(state, cached, strategy).tokens)
        state = first
    assert unmask.done(state)


def test_only_finished_blocks_are_remembered():
    _, cached = pair()
    for state in states(cached, STRATEGIES["threshold"]):
        if state.cache is None:
            continue
        assert state.cache.begun.all()
        behind = state.group >= state.cache.blocks.unsqueeze(1)
        for one in state.cache.states.values():
            known = one.abs().sum((1, 3)) > 0
            assert torch.equal(known, ~behind & state.valid)


def some_way_in():
    """Rows some of which have finished blocks, and are past the first step of another."""
    inner, cached = pair()
    found = list(states(cached, presets.random_order(4).but(groups=BLOCKS)))
    state = next(s for s in found if s.cache is not None and s.cache.blocks.count_nonzero() > 1)
    return inner, cached, state


def test_zeros_mean_that_nothing_is_remembered():
    _, cached, state = some_way_in()
    blank = replace(state, cache=state.cache.blank(len(state)))
    assert not blank.cache.begun.any()
    assert all((leaf == 0).all() for leaf in blank.cache.states.values())
    known = state.valid & state.open
    torch.testing.assert_close(hidden(cached, blank)[known], hidden(cached, state)[known])


def test_what_is_remembered_is_read():
    """Negative control: other keys of finished blocks change what is said of the open one."""
    _, cached, state = some_way_in()
    keys = {name: s.clone() for name, s in state.cache.states.items()}
    for one in keys.values():
        one[:, :, 0] += 1
    other = replace(state, cache=replace(state.cache, states=keys))
    moved = (hidden(cached, other) - hidden(cached, state)).abs().amax((1, 2)) > 1e-3
    assert moved.tolist() == (state.cache.blocks > 0).tolist()


@pytest.mark.parametrize("how", ["another token", "unknown again", "unknown, and shown"])
def test_a_row_in_which_a_finished_block_changed_starts_anew(how):
    inner, cached, state = some_way_in()
    tokens, masked = state.tokens.masked_fill(state.masked, MASK), state.masked.clone()
    tokens[:, 2] = {"another token": 9, "unknown again": MASK}.get(how, tokens[:, 2])
    masked[:, 2] = state.valid[:, 2] & torch.tensor(how != "another token")
    opened = state.group.where(masked, state.group.amax()).amin(1)
    query = replace(unmask.prepare(state, PLAIN), tokens=tokens, open_block=opened.numpy())
    with torch.no_grad():
        got, _ = cached.forward(query, state.cache)
        wanted, _ = inner.forward(query, None)
    known = state.valid & (state.group == opened.unsqueeze(1))
    torch.testing.assert_close(got[known], wanted[known], atol=1e-5, rtol=1e-4)
    assert how != "another token" or not torch.allclose(hidden(inner, state)[known], wanted[known])


def test_nothing_is_said_where_nothing_was_computed():
    _, cached, state = some_way_in()
    opened = torch.from_numpy(state.rows.open_group).unsqueeze(1)
    silent = (state.group > opened) | ~state.valid
    assert (hidden(cached, state)[silent] == 0).all()
    assert (hidden(cached, state)[state.open & state.valid] != 0).any(1).all()


def test_without_being_told_which_block_is_open_it_is_the_inner_one():
    inner, cached = pair()
    ids, maskable = canvas().tokens, canvas().editable
    losses = [
        unmask.objectives.count(d, ids, maskable, 5, valid=canvas().valid).loss
        for d in (inner, cached)
    ]
    assert torch.equal(*losses)


def test_refusals_say_what_to_do():
    with pytest.raises(ModelError, match="has no keys and values to cache"):
        BlockCache(unmask.wrap(lambda t: t, mask_id=1, vocab_size=3))
    with pytest.raises(ModelError, match="use ReusedCache, which is approximate"):
        BlockCache(decoder())
    with pytest.raises(ModelError, match="cannot use cached keys and values"):
        BlockCache(decoder("falcon_h1", W, mamba_n_heads=2, mamba_d_ssm=16, mamba_d_state=4))
    with pytest.raises(ModelError, match="differ if computed in separate passes"):
        BlockCache(Decoder(network("mpt", n_heads=2, d_model=16), MASK, block=W))
    _, cached, state = some_way_in()
    query = unmask.prepare(state, PLAIN)
    with pytest.raises(StrategyError, match="has a cache and no open_block"):
        cached.forward(replace(query, open_block=None), state.cache)
    with pytest.raises(CanvasError, match="takes no condition"):
        cached.forward(replace(query, condition=1), None)
    with pytest.raises(CanvasError, match="takes no condition"):
        cached.forward(Query.of(state.tokens, state.valid, condition=1), None)
