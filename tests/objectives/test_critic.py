"""Critic training: what is filled in, what is called fake, and where gradients go."""

from __future__ import annotations

import pytest
import torch
from tests.reference.oracles import chi_square
from torch import nn

import unmask
from unmask import objectives
from unmask.errors import StrategyError

VOCAB, LENGTH, MASK = 6, 10, 5


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(VOCAB, VOCAB)

    def forward(self, tokens):
        return self.table(tokens)


class Judge(nn.Module):
    def __init__(self):
        super().__init__()
        self.score = nn.Embedding(VOCAB, 1)
        self.seen = None

    def forward(self, tokens, *, valid, condition):
        self.seen = (tokens, valid, condition)
        return self.score(tokens)


@pytest.fixture
def parts():
    torch.manual_seed(0)
    tokens = torch.randint(0, 5, (64, LENGTH))
    return unmask.wrap(Net(), mask_id=MASK, vocab_size=VOCAB), Judge(), tokens


def test_fill_changes_masked_positions_only_and_never_draws_the_mask(parts):
    denoiser, _, tokens = parts
    batch = objectives.corrupt_by_count(denoiser, tokens, torch.ones_like(tokens).bool(), 0)
    filled = objectives.fill(batch, objectives.read_corrupted(denoiser, batch), 1.0)
    assert torch.equal(filled[~batch.masked], tokens[~batch.masked])
    assert (filled != MASK).all()
    assert (filled != tokens).any()


def test_greedy_fill_is_the_argmax(parts):
    denoiser, _, tokens = parts
    batch = objectives.corrupt_by_count(denoiser, tokens, torch.ones_like(tokens).bool(), 0)
    filled = objectives.fill(batch, objectives.read_corrupted(denoiser, batch), 0.0)
    best = denoiser.net(batch.shown)[..., :MASK].argmax(-1)
    assert torch.equal(filled[batch.masked], best[batch.masked])


@pytest.mark.parametrize("labels", ["differs", "masked"])
def test_labels(parts, labels):
    denoiser, judge, tokens = parts
    maskable = torch.ones_like(tokens).bool()
    maskable[:, :3] = False
    batch = objectives.corrupt_by_count(denoiser, tokens, maskable, 0)
    filled = objectives.fill(batch, objectives.read_corrupted(denoiser, batch), 1.0)
    fake = (filled != tokens) if labels == "differs" else batch.masked
    logits = judge.score(filled).squeeze(-1)
    each = nn.functional.binary_cross_entropy_with_logits(logits, fake.float(), reduction="none")
    loss = objectives.critic_loss(judge, batch, filled, labels=labels)
    assert loss.loss.item() == pytest.approx(each[maskable].mean().item(), rel=1e-5)
    # Under "differs" a token of the data is never called fake, however it came there.
    if labels == "differs":
        assert not fake[filled == tokens].any()


def test_no_gradient_reaches_a_frozen_generator(parts):
    denoiser, judge, tokens = parts
    everywhere = torch.ones_like(tokens).bool()
    valid = everywhere.clone()
    loss = objectives.critic(denoiser, judge, tokens, everywhere, 3, valid=valid)
    loss.loss.backward()
    assert judge.score.weight.grad is not None
    assert all(p.grad is None for p in denoiser.parameters())
    assert judge.seen[1] is valid


def test_misspelt_labels_are_an_error(parts):
    denoiser, judge, tokens = parts
    with pytest.raises(StrategyError, match="did you mean 'differs'"):
        objectives.critic(
            denoiser, judge, tokens, torch.ones_like(tokens).bool(), 0, labels="differ"
        )


def test_draws_have_the_temperature_of_use():
    """Chi-square of what is filled in against softmax(logits/T); another T must fail."""
    logits = torch.tensor([0.0, 0.7, 1.4, 2.1, 2.8, 9.0])  # the mask id would win
    net = unmask.wrap(lambda t: logits.repeat(*t.shape, 1), mask_id=MASK, vocab_size=VOCAB)
    tokens = torch.zeros(6000, LENGTH, dtype=torch.int64)
    seen: list[torch.Tensor] = []

    def judge(filled, *, valid, condition):
        seen.append(filled)
        return torch.zeros(filled.shape)

    everywhere = torch.ones_like(tokens, dtype=torch.bool)
    for temperature in (0.5, torch.full((6000,), 2.0)):
        seen.clear()
        batch = objectives.corrupt_by_count(net, tokens, everywhere, 4)
        objectives.critic(net, judge, tokens, everywhere, 4, temperature=temperature)
        drawn = seen[0][batch.masked].bincount(minlength=MASK)
        warmth = float(torch.as_tensor(temperature).mean())
        assert chi_square(drawn, (logits[:MASK] / warmth).softmax(0)) > 1e-5
        assert chi_square(drawn, (logits[:MASK] / 1.0).softmax(0)) < 1e-5


def test_labels_cover_valid_positions_that_are_no_prompt(parts):
    """Each maskable position counts once, whatever its label; prompts and padding never do."""
    denoiser, _, tokens = parts
    maskable = torch.arange(LENGTH).expand_as(tokens) % 3 > 0
    valid = torch.arange(LENGTH) < 8
    maskable = maskable & valid
    score = torch.zeros(tokens.shape, requires_grad=True)
    batch = objectives.corrupt_by_count(denoiser, tokens, maskable, 1)
    filled = objectives.fill(batch, objectives.read_corrupted(denoiser, batch), 1.0)
    for labels, fake in (("differs", filled != tokens), ("masked", batch.masked)):
        score.grad = None
        loss = objectives.critic_loss(lambda *_, **__: score, batch, filled, labels=labels)
        loss.loss.backward()
        expected = torch.where(fake, -0.5, 0.5) / maskable.sum()
        assert torch.allclose(score.grad, expected * maskable)
        assert torch.equal(loss.counts, maskable.sum(1))
