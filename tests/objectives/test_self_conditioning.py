"""Self-conditioning: training walks the path that generation walks."""

from __future__ import annotations

import torch
from torch import nn

from unmask import objectives

VOCAB, MASK, WIDTH = 5, 4, 8


class Recorder(nn.Module):
    """A denoiser that notes which memory it was given, row by row, and whether with gradients."""

    vocab_size, mask_id = VOCAB, MASK

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(VOCAB, WIDTH), nn.Linear(WIDTH, VOCAB)
        self.calls = []

    def hidden(self, tokens, *, valid, memory):
        self.calls.append((len(tokens), memory is not None, torch.is_grad_enabled()))
        hidden = self.embed(tokens) + (0 if memory is None else memory)
        return hidden, hidden

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
    assert net.calls == [(200, False, True)]


def test_the_coin_is_each_rows_own():
    """First pass null and without gradients, second fed by it; the other rows null, once."""
    net, loss = losses(0.75)
    (first, null, grad), (second, fed, grad2), (rest, null2, grad3) = net.calls
    assert (null, grad, fed, grad2, null2, grad3) == (False, False, True, True, False, True)
    assert first == second
    assert first + rest == 200
    assert 130 < first < 170
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
