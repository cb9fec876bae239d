"""The entropy-bound scheduler of diffusers against presets.entropy_bound: see docs/peers.md."""

import numpy as np
import pytest
import torch
from tests.peers.chance import MASK, VOCAB, Chance, infill, network, shown, wrapped

import unmask
from unmask import presets
from unmask.errors import StrategyError
from unmask.noise import UniformIds
from unmask.stopping import Budget

peer = pytest.importorskip(
    "diffusers.schedulers.scheduling_entropy_bound", reason="needs Python 3.11"
)


def scheduler(bound, start=1.0, end=1.0, count=32):
    made = peer.EntropyBoundScheduler(entropy_bound=bound, t_max=start, t_min=end)
    made.set_timesteps(count)
    return made


def streamed(strategy, net=network, rows=1, length=16, **how):
    return unmask.stream(wrapped(net), infill(torch.full((rows, length), MASK)), strategy, **how)


def agree_step_by_step(monkeypatch, made, net, theirs, seed, bound):
    """Show the peer what is unknown of a row at each step: it keeps no account of that itself.

    net makes our logits and theirs the peer's. Returns how many positions each step committed.
    """
    chance, tokens, counts = Chance([seed]), torch.full((1, 16), MASK), []
    monkeypatch.setattr(torch, "multinomial", chance.multinomial)
    for nth, info in enumerate(streamed(presets.entropy_bound(bound), net, seeds=[seed])):
        unknown = (tokens == MASK)[0].nonzero()[:, 0]
        chance.step, chance.places = nth, unknown
        step = made.step(theirs(tokens)[:, unknown], 0, tokens[:, unknown])
        accepted = step.accepted_index[0]
        tokens[0, unknown[accepted]] = step.sampled_tokens[0, accepted]
        assert torch.equal(tokens, shown(info))
        counts.append(int(accepted.sum()))
    return counts


@pytest.mark.parametrize("bound", [0.0, 0.1, 0.8, 3.0])
@pytest.mark.parametrize("seed", [0, 1, 2**40])
def test_entropy_bound_takes_the_same_steps(monkeypatch, bound, seed):
    made = scheduler(bound)
    counts = agree_step_by_step(monkeypatch, made, network, network, seed, bound)
    assert sum(counts) == 16
    assert (max(counts) > 1) == (bound > 0.5)


@pytest.mark.parametrize("temperature", [0.4, 0.8, 1.5])
def test_the_peer_s_entropies_are_of_what_it_draws_from(monkeypatch, temperature):
    """Ours are of the model, as in the paper: the same where the network has the temperature."""
    made = scheduler(0.3, temperature, temperature)

    def tempered(tokens):
        return network(tokens) / temperature

    counts = agree_step_by_step(monkeypatch, made, tempered, network, 5, 0.3)
    logits = network(torch.full((1, 16), MASK))
    step = made.step(logits, 0, torch.full((1, 16), MASK))
    assert int(step.accepted_index.sum()) == counts[0]
    of_model = presets.entropy_bound(0.3, temperature=temperature)
    ours = list(streamed(of_model, seed=5))
    assert (len(counts) < len(ours)) == (temperature < 1)


def test_the_last_temperature_is_not_the_one_asked_for():
    made = scheduler(0.1, 0.8, 0.4, count=4)
    logits = network(torch.full((1, 16), MASK))[..., :MASK]
    last = made.step(logits, 3, torch.full((1, 16), MASK)).pred_logits
    torch.testing.assert_close(last, logits / 0.5)
    ours = presets.annealed().sampling
    assert ours.temperatures(np.ones(1), np.full(1, 4)).item() == 0


def test_entropies_in_bfloat16_are_too_small():
    """0.05 for 0.061 nats: three together, whose ΣH − max H is 0.12, over the bound of 0.1."""
    logits = torch.full((1, 16, VOCAB), float("-inf"))
    logits[..., 0], logits[..., 1] = 30.0, 25.5
    entropy = torch.distributions.Categorical(logits=logits.double()).entropy().max()
    assert 2 * entropy > 0.12
    for dtype, count in ((torch.float32, 2), (torch.bfloat16, 3)):
        step = scheduler(0.1).step(logits.to(dtype), 0, torch.full((1, 16), MASK))
        assert step.accepted_index.sum() == count
        ours = streamed(presets.entropy_bound(), lambda _, to=dtype: logits.to(to), seed=0)
        assert next(ours).committed.sum() == 2


def test_what_was_accepted_may_be_lost():
    """Each step accepts anew: a token of the step before becomes a random one."""

    def sure_of_one(first):
        logits = torch.zeros(1, 4, VOCAB)
        logits[0, first, 3] = 5.0
        return logits

    torch.manual_seed(0)
    made, blank = scheduler(0.0), torch.full((1, 4), MASK)
    one = made.step(sure_of_one(0), 0, blank)
    two = made.step(sure_of_one(1), 1, one.prev_sample)
    assert one.accepted_index.tolist() == [[True, False, False, False]]
    assert two.accepted_index.tolist() == [[False, True, False, False]]
    assert one.prev_sample[0, 0] == 3
    assert two.prev_sample[0, 0] != 3
    strategy = presets.entropy_bound().but(noise=UniformIds())
    known = torch.zeros(3, 16, dtype=torch.bool)
    for info in streamed(strategy, rows=3, seed=0):
        assert not (known & info.masked).any()
        known = ~info.masked


def test_the_last_step_returns_random_ids():
    """What is not accepted by then; ours takes it from the network, and all is known after it."""

    def narrow(tokens):
        logits = network(tokens)
        logits[..., 3:] = float("-inf")
        return logits

    torch.manual_seed(0)
    made, tokens = scheduler(0.1, count=2), torch.full((4, 16), MASK)
    for timestep in range(2):
        tokens = made.step(narrow(tokens), timestep, tokens).prev_sample
    assert (tokens >= 3).any()
    strategy = presets.entropy_bound().but(noise=UniformIds(), stopping=[Budget(2)])
    *_, info = streamed(strategy, narrow, rows=4, seed=0)
    assert info.state.rows.forwards.tolist() == [2] * 4
    assert not info.masked.any()
    assert (info.tokens < 3).all()


def test_a_bound_below_0_never_accepts_anything():
    step = scheduler(-0.1).step(network(torch.full((1, 16), MASK)), 0, torch.full((1, 16), MASK))
    assert not step.accepted_index.any()
    with pytest.raises(StrategyError, match=r"-0\.1"):
        presets.entropy_bound(-0.1)
