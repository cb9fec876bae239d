"""Self-conditioning: training walks the path that generation walks."""

from __future__ import annotations

import torch
from tests.reference.network import Network
from torch import nn

from unmask import objectives
from unmask.models.hidden_cache import HiddenCache

VOCAB, MASK, WIDTH = 5, 4, 8


class Recorder(Network, nn.Module):
    """A denoiser that notes which rows have a cache, and whether it is asked with gradients."""

    vocab_size, mask_id, cached = VOCAB, MASK, True

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(VOCAB, WIDTH), nn.Linear(WIDTH, VOCAB)
        self.calls, self.tokens, self.before = [], [], []

    def forward(self, query, cache):
        hidden = self.embed(query.tokens)
        begun = 0
        if cache is not None:
            begun = int(cache.begun.sum())
            told = torch.from_numpy(cache.begun)[:, None, None]
            hidden = hidden + torch.where(told, cache.hidden, 0.0)
        self.calls.append((len(query.tokens), begun, torch.is_grad_enabled()))
        self.tokens.append(query.tokens)
        self.before.append(cache)
        return hidden, HiddenCache.of(hidden)

    def logits(self, hidden):
        return self.head(hidden)


def losses(probability: float, rows: int = 200):
    torch.manual_seed(0)
    net = Recorder()
    tokens = torch.randint(0, 4, (rows, 6))
    loss = objectives.count(
        net, tokens, torch.ones_like(tokens).bool(), 5, self_condition=probability
    )
    return net, loss


def test_without_it_there_is_one_pass_with_the_null_input():
    net, _ = losses(0.0)
    assert net.calls == [(200, 0, True)]


def test_the_coin_is_each_rows_own():
    """First pass null and without gradients; the second of all rows, these fed by it."""
    net, loss = losses(0.75)
    (first, null, grad), (rows, fed, grad2) = net.calls
    assert (null, grad, grad2) == (0, False, True)
    assert first == fed
    assert rows == 200
    assert 130 < first < 170
    begun = net.before[1].begun  # the coin, row by row
    assert torch.equal(net.tokens[0], net.tokens[1][torch.from_numpy(begun)])
    assert torch.equal(net.before[1].hidden[begun], net.embed(net.tokens[0]))
    loss.loss.backward()
    assert net.embed.weight.grad is not None


def test_rows_come_back_in_order():
    """A row's loss does not depend on whether its neighbours are self-conditioned."""
    _, mixed = losses(0.5)
    _, plain = losses(0.0)
    _, fed = losses(1.0)
    both = torch.isclose(mixed.per_example, plain.per_example) | torch.isclose(
        mixed.per_example, fed.per_example
    )
    assert both.all()
    assert not torch.allclose(mixed.per_example, plain.per_example)
    assert not torch.allclose(mixed.per_example, fed.per_example)
