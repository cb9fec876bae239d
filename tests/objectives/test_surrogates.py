"""MaskGIT's and BERT's losses, each against a few naive lines; none is a likelihood."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import unmask
from unmask import objectives, schedules
from unmask.objectives.corruption import BertNoise

VOCAB, LENGTH, MASK, FORBIDDEN = 7, 6, 6, 0


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(VOCAB, VOCAB)

    def forward(self, tokens):
        return self.table(tokens) + self.table(tokens.roll(1, 1))


@pytest.fixture
def denoiser():
    return unmask.wrap(Net(), mask_id=MASK, vocab_size=VOCAB, forbidden=[FORBIDDEN])


TOKENS = torch.randint(1, MASK, (30, LENGTH), generator=torch.Generator().manual_seed(1))
FREE = torch.arange(LENGTH).expand_as(TOKENS) > 0


def log_p(denoiser, shown):
    """(B,N,VOCAB) over the legal ids, others −inf."""
    logits = denoiser.net(shown).detach().clone()
    logits[..., [FORBIDDEN, MASK]] = -torch.inf
    return logits.log_softmax(-1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_label_smoothing_spreads_over_legal_ids_alone(denoiser, smoothing):
    batch = objectives.corrupt_by_count(denoiser, TOKENS, FREE, 5, schedule=schedules.cosine)
    total, hidden = 0.0, batch.masked.nonzero().tolist()
    for row, position in hidden:
        logp = log_p(denoiser, batch.shown)[row, position]
        legal = range(1, MASK)
        target = {i: smoothing / len(legal) for i in legal}
        target[int(TOKENS[row, position])] += 1 - smoothing
        total -= sum(share * float(logp[i]) for i, share in target.items())
    loss = objectives.masked_mean(denoiser, TOKENS, FREE, 5, label_smoothing=smoothing)
    assert float(loss.loss.detach()) == pytest.approx(total / len(hidden), rel=1e-5)
    assert loss.nll is None
    loss.loss.backward()
    grad = denoiser.net.table.weight.grad
    assert bool(torch.isfinite(grad).all())
    assert (grad[:, [FORBIDDEN, MASK]] == 0).all()  # nothing is taught about ids never drawn


def test_maskgit_has_the_cosine_schedule(denoiser):
    share = [
        int(objectives.masked_mean(denoiser, TOKENS, FREE, s).tokens) / int(FREE.sum())
        for s in range(40)
    ]
    even = [
        int(objectives.bert(denoiser, TOKENS, FREE, s).tokens) / int(FREE.sum()) for s in range(40)
    ]
    # Means of ⌈5γ(u)⌉/5: the mean of γ⁻¹(k/5) over k = 0..4, for linear .6.
    assert sum(share) / 40 == pytest.approx(0.722, abs=0.01)
    assert sum(even) / 40 == pytest.approx(0.6, abs=0.01)


@pytest.mark.parametrize("noise", [None, BertNoise(keep=1.0, replace=0.0), BertNoise(0.0, 1.0)])
def test_bert_is_the_mean_over_chosen_positions_some_of_them_shown(denoiser, noise):
    used = BertNoise() if noise is None else noise
    batch = objectives.corrupt_by_count(denoiser, TOKENS, FREE, 2, noise=used)
    logp = log_p(denoiser, batch.shown).gather(2, TOKENS[..., None])[..., 0]
    loss = objectives.bert(denoiser, TOKENS, FREE, 2, noise=noise)
    assert float(loss.loss.detach()) == pytest.approx(-float(logp[batch.masked].mean()), rel=1e-5)
    assert torch.equal(loss.counts, batch.masked.sum(1))
    assert loss.nll is None
    shown = batch.shown[batch.masked]
    assert (shown == MASK).any()
    assert (shown != MASK).any()


def test_time_decides_how_many(denoiser):
    time = torch.full((30,), 0.5, dtype=torch.float64)
    for objective in (objectives.masked_mean, objectives.bert):
        loss = objective(denoiser, TOKENS, FREE, 0, time=time, schedule=schedules.linear)
        assert (loss.counts == 3).all()
