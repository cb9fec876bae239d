"""What is kept of a step to compare the next one with: exact for few ids, bounded for many."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.conformance.toys import MASK, VOCAB, Toy
from torch.utils._pytree import tree_leaves

import unmask
from unmask import Canvas, Query, presets
from unmask.core.history import KEPT, History, compare_with_history, empty_history


def kept(logp):
    """What `compare_with_history` keeps of a first step."""
    before = History(*(part[0] for part in empty_history(1, len(logp), logp.device)))
    first = compare_with_history(logp, before)
    assert (first["divergence"] == torch.inf).all()
    return History(first["likeliest"], first["likeliest_logprob"], first["divergence"])


def logps(seed, rows, vocab, spread=2.0):
    generator = torch.Generator().manual_seed(seed)
    return (spread * torch.randn(rows, vocab, generator=generator)).log_softmax(1)


@given(seed=st.integers(0, 99), vocab=st.integers(2, 64))
def test_exact_where_all_ids_are_kept(seed, vocab):
    then, now = logps(seed, 5, vocab), logps(seed + 100, 5, vocab)
    found = compare_with_history(now, kept(then))["divergence"][:, 0]
    exact = (now.double().exp() * (now.double() - then.double())).sum(1)
    torch.testing.assert_close(found.double(), exact, rtol=1e-4, atol=1e-5)


@given(seed=st.integers(0, 99), near=st.booleans())
def test_a_lower_bound_where_they_are_not(seed, near):
    then = logps(seed, 5, 1000)
    now = (
        (then + 0.1 * logps(seed + 100, 5, 1000)).log_softmax(1)
        if near
        else logps(seed + 1, 5, 1000)
    )
    found = compare_with_history(now, kept(then))["divergence"][:, 0].double()
    exact = (now.double().exp() * (now.double() - then.double())).sum(1)
    assert (found >= -1e-6).all()
    assert (found <= exact + 1e-4).all()
    assert found.max() > 0.01 * exact.max()


def test_ids_that_are_ruled_out_do_no_harm():
    then = torch.tensor([[0.5, 0.5, 0.0]]).log()
    now = torch.tensor([[0.9, 0.1, 0.0]]).log()
    found = compare_with_history(now, kept(then))["divergence"][0, 0]
    expected = 0.9 * torch.tensor(1.8).log() + 0.1 * torch.tensor(0.2).log()
    assert float(found) == pytest.approx(float(expected), abs=1e-5)


def test_nothing_of_vocabulary_size_is_carried():
    network = unmask.wrap(
        lambda tokens: logps(0, tokens.numel(), 5000).view(*tokens.shape, 5000), mask_id=0
    )
    strategy = presets.klass(block=None)
    for info in unmask.stream(network, Canvas.blank(2, 6), strategy, seeds=[1, 2]):
        assert info.state.carries["divergence"].ids.shape == (2, 6, KEPT)
        carried = tree_leaves(vars(info.state))
        assert any(leaf is info.state.carries["divergence"].logprob for leaf in carried)
        assert max(t.numel() for t in carried if isinstance(t, torch.Tensor)) <= 2 * 6 * KEPT


@pytest.mark.parametrize("block", [4, None])
def test_divergences_are_those_of_the_steps_of_the_row(block):
    """Recomputed from the network's own logits, at each position of the open group."""
    strategy = presets.klass(divergence=1e-9, block=block)
    group = torch.arange(8) // (block or 8)
    masked, cache = torch.ones(1, 8, dtype=torch.bool), None
    tokens = torch.zeros(1, 8, dtype=torch.int64)
    before, asked, compared = None, torch.zeros(1, 8, dtype=torch.bool), 0
    for info in unmask.stream(Toy(), Canvas.blank(1, 8), strategy, seeds=[3]):
        shown = tokens.masked_fill(masked, MASK)
        logits, _ = Toy().forward(Query.of(shown), cache)
        logits[..., [MASK, 2]] = -torch.inf
        now = logits.double().log_softmax(-1)
        latest = info.proposal.history.divergence[..., 0]
        here = masked & (group == group[masked[0]].min())
        assert (latest[here & ~asked] == torch.inf).all()
        if bool((here & asked).any()):
            legal = [i for i in range(VOCAB) if i not in (MASK, 2)]
            exact = (now.exp() * (now - before))[..., legal].sum(-1)
            both = here & asked
            torch.testing.assert_close(latest[both].double(), exact[both], rtol=1e-3, atol=1e-5)
            compared += int(both.sum())
        tokens, masked, cache, before = info.tokens, info.masked, info.state.cache, now
        asked = here
    assert compared == (2 * (3 + 2 + 1) if block else 7 * 8 // 2)
