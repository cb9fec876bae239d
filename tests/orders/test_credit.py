"""Credits against a whole table of them, over random logits."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from unmask.core.history import KEPT
from unmask.core.state import NEVER
from unmask.orders import Credit
from unmask.orders.credit import Credits

M = 3


def run(order, vocab, steps, seed):
    """(biased logits, those of a table of all ids) of each step."""
    generator = torch.Generator().manual_seed(seed)
    carry = Credits(torch.full((M, KEPT), NEVER), torch.zeros(M, KEPT))
    table = torch.zeros(M, vocab, dtype=torch.float64)
    for _ in range(steps):
        logits = 3 * torch.randn(M, vocab, generator=generator)
        given_ = logits.clone()
        logp = logits.double().log_softmax(1)
        table = order.beta * table
        table[torch.arange(M), logp.argmax(1)] += logp.amax(1).exp() ** order.gamma
        yield order.biased(logits, carry), logits + order.alpha * table.log1p()
        assert torch.equal(logits, given_)
        top = logits.max(1)
        carry = order._grown(carry, top.indices, top.values - logits.logsumexp(1))
        assert (
            carry.ids.sort(1).values.diff(dim=1)[carry.ids.sort(1).values[:, 1:] >= 0] > 0
        ).all()


@given(vocab=st.integers(2, KEPT), steps=st.integers(1, 12), seed=st.integers(0, 99))
def test_few_ids_are_exact(vocab, steps, seed):
    for found, wanted in run(Credit(0.7, 0.2, 0.8), vocab, steps, seed):
        torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)


def test_of_more_ids_the_least_is_forgotten():
    for found, wanted in run(Credit(0.7, 0.2, 0.8), 5000, 100, 0):
        assert (found - wanted).abs().max() < 1e-4  # .7 · .8^64 at most, and rounding
