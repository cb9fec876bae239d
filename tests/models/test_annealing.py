"""Attention between causal and open: which positions are attended to, and by what it is drawn."""

from dataclasses import replace

import pytest
import torch
from tests.models.decoders import MASK, VOCAB, decoder

import unmask
from unmask.core.network import Query
from unmask.core.random import Purpose, derive, uniform
from unmask.errors import StrategyError
from unmask.models.annealing import attended, share_at

N = 7
STILL = dict.fromkeys(["resid_pdrop", "embd_pdrop", "attn_pdrop"], 0.0)
KINDS = {"llama": {}, "qwen3": {"head_dim": 8}, "gpt2": STILL}
TOKENS = torch.randint(MASK, (3, N), generator=torch.Generator().manual_seed(0))


def naive(share, seed, length):
    """Pair by pair."""
    rows = []
    for each in seed.tolist():
        row = torch.zeros(length, length, dtype=torch.bool)
        for i in range(length):
            for j in range(length):
                u = uniform(torch.tensor(each), 0, i, Purpose.ATTENTION, lane=j // 2)[j % 2]
                row[i, j] = j <= i or float(u) < share
        rows.append(row)
    return torch.stack(rows)


def states(denoiser, share, seed=None, training=True):
    denoiser.train(training)
    denoiser.open_share = share
    query = Query.of(TOKENS)
    with torch.no_grad():
        seeds = derive(0, 3) if seed is None else seed
        query = replace(query, seed=seeds)
        return denoiser.forward(query, None)[0]


@pytest.mark.parametrize("length", [1, 6, 7])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_it_is_what_the_definition_says(share, length):
    seed = derive(5, 3)
    assert torch.equal(attended(share, seed, length), naive(share, seed, length))


def test_a_third_of_later_positions_is_open_and_stays_so():
    """Four standard errors of 3,160 · 40 coins; a wrong share of 0.32 would be six away."""
    seed = derive(1, 40)
    at = {share: attended(share, seed, 80) for share in (0.2, 1 / 3, 0.8)}
    later = torch.arange(80) > torch.arange(80)[:, None]
    coins = at[1 / 3][:, later].double()
    error = (coins.numel() * 2 / 9) ** 0.5
    assert abs(float(coins.sum()) - coins.numel() / 3) < 4 * error
    assert not abs(float(coins.sum()) - coins.numel() * 0.32) < 4 * error
    assert bool((at[0.2] <= at[1 / 3]).all() and (at[1 / 3] <= at[0.8]).all())
    assert len({tuple(row.flatten().tolist()) for row in at[1 / 3]}) == 40


@pytest.mark.parametrize("block", [None, 3])
@pytest.mark.parametrize("name", KINDS)
def test_at_no_share_it_is_the_causal_network_with_a_shift(name, block):
    denoiser = decoder(name, block, shift=True, **KINDS[name])
    hidden = states(denoiser, 0.0)
    with torch.no_grad():
        causal = denoiser.net.eval()(input_ids=TOKENS).logits
    logits = denoiser.logits(hidden.flatten(0, 1)).view(3, N, VOCAB)
    torch.testing.assert_close(logits[:, 1:], causal[:, :-1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(logits[:, 0], causal[:, 0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("block", [None, 3])
@pytest.mark.parametrize("name", KINDS)
def test_at_the_whole_share_and_in_evaluation_it_is_open(name, block):
    denoiser = decoder(name, block, shift=True, **KINDS[name])
    wanted = states(denoiser, 1.0, training=False)
    assert torch.equal(states(denoiser, 1.0), wanted)
    assert torch.equal(states(denoiser, 0.0, training=False), wanted)
    assert not torch.allclose(states(denoiser, 0.5), wanted, atol=1e-3)


@pytest.mark.parametrize("block", [None, 3])
def test_a_position_sees_what_is_drawn_of_its_block(block):
    """Every pair in one layer: changing the token at j changes the state at i, or it does not."""
    denoiser = decoder("llama", block, layers=1).train()
    denoiser.open_share = 0.4
    seed = derive(2, 1)
    tokens = TOKENS[:1].repeat(N + 1, 1)
    for j in range(N):
        tokens[j, j] = (tokens[j, j] + 1) % MASK
    query = Query.of(tokens)
    query = replace(query, seed=seed.repeat(N + 1))
    with torch.no_grad():
        hidden, _ = denoiser.forward(query, None)
    kept, size = naive(0.4, seed, N)[0], block or N
    for j in range(N):
        moved = (hidden[j] - hidden[N]).abs().amax(1) > 1e-6
        seen = [bool(kept[i, j]) and j // size <= i // size for i in range(N)]
        assert moved.tolist() == seen, f"token {j}"


@pytest.mark.parametrize("objective", ["count", "complementary", "bernoulli", "masked_mean"])
def test_an_example_has_the_same_loss_in_any_batch(objective):
    denoiser = decoder("qwen3", head_dim=8, shift=True).train()
    denoiser.open_share = 0.5
    loss_of, seeds = getattr(unmask.objectives, objective), derive(7, 3)
    whole, time = torch.ones_like(TOKENS, dtype=torch.bool), torch.tensor([0.3, 0.5, 0.9])
    together = loss_of(denoiser, TOKENS, whole, seeds, time=time).per_example
    for row in (2, 0):
        part = slice(row, row + 1)
        alone = loss_of(denoiser, TOKENS[part], whole[part], seeds[part], time=time[part])
        torch.testing.assert_close(alone.per_example[0], together[row], atol=1e-5, rtol=1e-5)
    denoiser.open_share = 1.0
    opened = loss_of(denoiser, TOKENS, whole, seeds, time=time).per_example
    assert not torch.allclose(opened, together, atol=1e-3)


def test_blocks_behind_clean_ones_open_alike():
    denoiser, seeds = decoder("qwen3", head_dim=8, block=3, shift=True).train(), derive(7, 3)
    whole, time = torch.ones_like(TOKENS, dtype=torch.bool), torch.tensor([0.3, 0.5, 0.9])
    by_share = {}
    for share in (0.0, 0.5, 1.0):
        denoiser.open_share = share
        objective = unmask.objectives.block_diffusion
        loss = objective(denoiser, TOKENS, whole, seeds, time=time).per_example
        alone = objective(denoiser, TOKENS[2:], whole[2:], seeds[2:], time=time[2:]).per_example
        torch.testing.assert_close(alone[0], loss[2], atol=1e-5, rtol=1e-5)
        by_share[share] = loss
    assert not torch.allclose(by_share[0.0], by_share[0.5], atol=1e-3)
    assert not torch.allclose(by_share[0.5], by_share[1.0], atol=1e-3)


def test_documents_that_share_a_row_are_refused_while_attention_opens():
    denoiser = unmask.models.Packed(decoder(), 16).train()
    denoiser.inner.open_share = 0.5
    with pytest.raises(StrategyError, match="without Packed"):
        unmask.objectives.count(denoiser, TOKENS, torch.ones_like(TOKENS, dtype=torch.bool), 0)
    denoiser.eval()
    unmask.objectives.count(denoiser, TOKENS, torch.ones_like(TOKENS, dtype=torch.bool), 0)


def test_the_bound_is_of_open_attention():
    denoiser = decoder("llama", shift=True).train()
    opened = unmask.score(denoiser, TOKENS).nats_per_token
    denoiser.open_share = 0.0
    assert unmask.score(denoiser, TOKENS).nats_per_token == opened
    assert denoiser.training


def test_the_share_rises_by_equal_steps():
    assert [share_at(step, 4) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), "half", None, True])
def test_a_share_is_a_probability(share):
    denoiser = decoder()
    with pytest.raises(StrategyError, match=r"open_share=.*\[0, 1\]"):
        denoiser.open_share = share
    assert denoiser.open_share == 1.0


def test_without_seeds_nothing_can_be_drawn():
    denoiser = decoder().train()
    denoiser.open_share = 0.5
    with pytest.raises(StrategyError, match=r"unmask\.objectives.*eval\(\)"):
        denoiser.forward(Query.of(TOKENS), None)


def test_seeds_go_with_their_rows():
    query = Query.of(TOKENS)
    query = replace(query, seed=derive(0, 3))
    taken = query.take(torch.tensor([2, 0]).numpy())
    assert taken.seed.tolist() == derive(0, 3)[[2, 0]].tolist()
    assert Query.concat([query, taken]).seed.tolist() == [*derive(0, 3).tolist(), *taken.seed]
