"""Approximate caches: exact where nothing is reused that has changed, and not elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.models.decoders import LENGTHS, MASK, canvas, decoder

import unmask
from unmask import Groups, Guidance, presets, stopping
from unmask.errors import ModelError, StrategyError
from unmask.guidance import HidePrompt
from unmask.models import ReusedCache

W, SEEDS = 4, [3, 4, 5, 6, 7]
BLOCKS = Groups.blocks(W)
KINDS = ("prefix", "dual")
PLAIN = presets.random_order(3)
MANY = PLAIN.but(groups=BLOCKS)
BY_PROMPT = Guidance(1.5, null=HidePrompt())


def both(reuse, block=W, **options):
    inner = decoder(**options)
    return inner, ReusedCache(inner, block, reuse)


def states(cached, strategy, rows=range(5)):
    """The open rows before each step."""
    state = unmask.init(cached, canvas(rows), strategy, [SEEDS[r] for r in rows])
    while not unmask.done(state):
        yield state.take(state.rows.unfinished)
        state = unmask.step(state, cached, strategy).state


def hidden(denoiser, state, strategy=PLAIN):
    cache = state.cache if isinstance(denoiser, ReusedCache) else None
    with torch.no_grad():
        return denoiser.forward(unmask.prepare(state, strategy), cache)[0]


def furthest(cached, inner, state, strategy=PLAIN):
    """(b·K,): how far what is said of the open block is from what no cache says."""
    here = (state.valid & state.open).unsqueeze(2).repeat_interleave(state.readings, 0)
    apart = hidden(cached, state, strategy) - hidden(inner, state, strategy)
    return (apart * here).abs().amax((1, 2))


def numbers(state):
    """Rows of the batch, and their open groups."""
    return torch.from_numpy(state.rows.index), torch.from_numpy(state.rows.open_group)


def same_tokens(inner, cached, strategy, rows=range(5)):
    seeds = [SEEDS[r] for r in rows]
    runs = [unmask.run(d, canvas(rows), strategy, seeds=seeds) for d in (inner, cached)]
    torch.testing.assert_close(runs[0].logprob, runs[1].logprob, atol=1e-4, rtol=1e-4)
    return torch.equal(runs[0].tokens, runs[1].tokens)


@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("reuse", KINDS)
def test_one_block_that_covers_the_canvas_is_exact(reuse, shift):
    inner, cached = both(reuse, 12, shift=shift)
    assert same_tokens(inner, cached, presets.confidence(4).but(groups=Groups.blocks(12)))
    assert same_tokens(inner, cached, presets.confidence(4))  # which is the same


@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("reuse", KINDS)
def test_one_step_a_block_is_exact(reuse, shift):
    inner, cached = both(reuse, shift=shift)
    assert same_tokens(inner, cached, presets.llada(1, temperature=1.0).but(groups=BLOCKS))


@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("reuse", KINDS)
def test_the_first_step_of_a_block_is_exact_and_its_later_ones_are_not(reuse, shift):
    inner, cached = both(reuse, shift=shift)
    opened, later = torch.full((5,), -1), []
    for state in states(cached, MANY):
        row, group = numbers(state)
        first = opened[row] != group
        opened[row] = group
        off = furthest(cached, inner, state)
        assert (off[first] < 1e-4).all()
        before = (group > 0) | torch.tensor(reuse == "dual")
        later += off[~first & before & (state.valid.sum(1) > W)].tolist()
    assert len(later) > 5
    assert sum(off > 1e-3 for off in later) > len(later) / 2


@pytest.mark.parametrize("reuse", KINDS)
def test_with_one_layer_nothing_reused_is_stale(reuse):
    """Its keys and values are of tokens alone, and no token outside the open block changes."""
    inner, cached = both(reuse, layers=1)
    for state in states(cached, MANY):
        assert (furthest(cached, inner, state) < 1e-4).all()


def stopped(strategy, *rules):
    return strategy.but(stopping=rules)


# More passes than one a block, or what is read of the steps before.
ONE_LAYER = {
    "klass": presets.klass(0.1, 0.5, 1, block=W, temperature=1.0),
    "a budget": stopped(presets.threshold(0.9, block=W), stopping.Budget(4)),
    "a budget, klass": stopped(presets.klass(0.1, 0.5, 1, block=W), stopping.Budget(5)),
    "guided": presets.llada(2, block=W, temperature=1.0).but(guidance=BY_PROMPT),
    "guided klass": presets.klass(0.1, 0.5, 1, block=W).but(guidance=BY_PROMPT),
    "guided, a budget": stopped(
        presets.threshold(0.9, block=W).but(guidance=BY_PROMPT), stopping.Budget(9)
    ),
    "at rest": stopped(presets.llada(4, block=W), stopping.StableAndConfident(2.5)),
    "wino, a budget": presets.wino(0.2, 0.9, block=W, temperature=1.0, budget=7),
}
ONE_LAYER = {name: strategy.but(groups=BLOCKS) for name, strategy in ONE_LAYER.items()}


@pytest.mark.parametrize("name", ONE_LAYER)
@pytest.mark.parametrize("reuse", KINDS)
def test_with_one_layer_histories_budgets_and_guidance_are_as_without_a_cache(reuse, name):
    inner, cached = both(reuse, layers=1)
    strategy = ONE_LAYER[name]
    for state in states(cached, strategy):
        assert (furthest(cached, inner, state, strategy) < 1e-4).all()
    one, other = (unmask.run(d, canvas(), strategy, seeds=SEEDS) for d in (inner, cached))
    for field in ("tokens", "commit_step", "steps", "forwards"):
        assert torch.equal(getattr(one, field), getattr(other, field)), field
    torch.testing.assert_close(one.logprob, other.logprob, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["klass", "guided klass", "a budget"])
@pytest.mark.parametrize("reuse", KINDS)
def test_histories_budgets_and_guidance_are_exact_in_one_block(reuse, name):
    inner, cached = both(reuse, 12, shift=True)
    one_block = ONE_LAYER[name].but(groups=Groups.blocks(12))
    assert same_tokens(inner, cached, one_block)


@pytest.mark.parametrize("reuse", KINDS)
def test_a_budget_of_a_pass_a_block_is_exact(reuse):
    (inner, cached), two_blocks = both(reuse), [0, 1, 4]
    strategy = presets.threshold(0.9, temperature=1.0).but(groups=BLOCKS)
    assert same_tokens(inner, cached, stopped(strategy, stopping.Budget(2)), two_blocks)
    guided = strategy.but(guidance=BY_PROMPT)
    assert same_tokens(inner, cached, stopped(guided, stopping.Budget(4)), two_blocks)
    with pytest.raises(StrategyError, match=r"2 blocks.*pass Budget\(4\) or more"):
        same_tokens(cached, cached, stopped(guided, stopping.Budget(3)))


@pytest.mark.parametrize("reuse", KINDS)
def test_a_logit_shift_reads_what_the_first_step_said_before_the_block(reuse):
    inner, cached = both(reuse, shift=True)
    opened, said = torch.full((5,), -1), torch.zeros(5, 16)
    looked = 0
    for state in states(cached, MANY):
        row, group = numbers(state)
        here, begins = torch.arange(len(row)), group * W
        first = opened[row] != group
        now, whole = hidden(cached, state)[here, begins], hidden(inner, state)[here, begins]
        said[row[first]], opened[row] = whole[first], group
        later = ~first & (begins > 0)
        torch.testing.assert_close(now[later], said[row[later]], atol=1e-5, rtol=1e-4)
        looked += int((now - whole).abs().amax(1)[later].gt(1e-3).sum())
    assert looked > 3


def naive(canvas, masks, reuse):
    """Queries of each row at each step: all at a block's first, then the block (and the rest)."""
    opened, out = {}, []
    for masked in masks:
        asked = {}
        for row, (valid, unknown) in enumerate(zip(canvas.valid, masked, strict=True)):
            if not unknown.any():
                continue
            block, end = int(unknown.nonzero()[0]) // W, int(valid.sum())
            last = end if reuse == "prefix" else min((block + 1) * W, end)
            asked[row] = last - block * W if opened.get(row) == block else end
            opened[row] = block
        out.append(asked)
    return out


@pytest.mark.parametrize("reuse", KINDS)
def test_queries_and_passes_are_counted(reuse):
    _, cached = both(reuse)
    masks = [canvas().editable]
    for info in unmask.stream(cached, canvas(), MANY, seeds=SEEDS):
        masks.append(info.masked)
    steps = naive(canvas(), masks[:-1], reuse)
    assert cached.tally.queries == sum(sum(asked.values()) for asked in steps)
    assert cached.tally.passes == sum(len(set(asked.values())) for asked in steps)


@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("reuse", KINDS)
def test_rows_are_valid_and_do_not_notice_their_batch(reuse, shift):
    inner, cached = both(reuse, shift=shift)
    whole = unmask.run(cached, canvas(), MANY, seeds=SEEDS)
    assert (whole.tokens[whole.editable] < MASK).all()
    assert torch.equal(whole.tokens[~whole.editable], canvas().tokens[~whole.editable])
    for row, length in enumerate(LENGTHS):
        alone = unmask.run(cached, canvas([row]), MANY, seeds=[SEEDS[row]])
        assert alone.tokens[0].tolist() == whole.tokens[row, :length].tolist()
    exact = unmask.run(inner, canvas(), MANY, seeds=SEEDS)
    assert not torch.allclose(exact.logprob, whole.logprob, atol=1e-3)


def test_zeros_mean_that_nothing_is_remembered():
    inner, cached = both("dual")
    state = list(states(cached, MANY))[2]
    blank = replace(state, cache=state.cache.blank(len(state)))
    assert not blank.cache.begun.any()
    assert (furthest(cached, inner, blank) < 1e-4).all()
    assert (furthest(cached, inner, state) > 1e-3).any()


def test_it_says_that_it_is_approximate():
    _, cached = both("dual")
    assert "approximate, block=4, reuse='dual'" in repr(cached)
    assert "APPROXIMATE" in ReusedCache.__doc__


def test_refusals_say_what_to_do():
    with pytest.raises(ModelError, match=r"BlockCache\(decoder\) is exact, with blocks of 4"):
        ReusedCache(decoder(block=4))
    with pytest.raises(StrategyError, match="reuse='duel': did you mean 'dual'"):
        ReusedCache(decoder(), 4, "duel")
    with pytest.raises(StrategyError, match="block=0"):
        ReusedCache(decoder(), 0)
    with pytest.raises(ModelError, match=r"pass unmask\.models\.Decoder"):
        ReusedCache(len)
