"""The losses are unbiased estimates, and training works where the reference's fails."""

import pytest
import torch
from tests.compat.nets import Ours, Recorder, Reference, Scripted
from torch.nn import functional as F
from x_transformers import Encoder, TransformerWrapper

QUIET = {"no_replace_prob": 0.0, "random_token_prob": 0.0}
SIZE, MASK = 6, 2


def surer_with_less(x):
    """Id 0 is likelier the fewer ids are masked, and id 1 the more: rows differ in every term."""
    share = (x == MASK).float().mean(1, keepdim=True)
    logits = torch.zeros(*x.shape, 3)
    logits[..., 1] = 3 * share
    return logits


def exact_bound():
    """(2,) nats per token of a row of zeros and a row of ones: mean over all counts k."""
    logits = torch.stack([torch.zeros(SIZE), 3 * torch.arange(1, SIZE + 1) / SIZE], 1)
    return -logits.log_softmax(1).mean(0)


@pytest.mark.parametrize("schedule", ["linear", "cosine", lambda t: 1 - t**2])
def test_the_default_loss_is_an_unbiased_estimate_of_the_bound(schedule):
    """Within five standard errors, whatever the order of the rows; and no estimate is far out."""
    model = Ours(Scripted(surer_with_less, 3, SIZE), mask_id=MASK, schedule=schedule, **QUIET)
    x = torch.cat([torch.zeros(30, SIZE), torch.ones(30, SIZE)]).long()
    losses = torch.stack([model(x, seed=seed).loss.detach() for seed in range(150)]).double()
    error = losses.std() / len(losses) ** 0.5
    assert error < 0.03 * exact_bound().mean()
    assert abs(losses.mean() - exact_bound().mean()) < 5 * error
    assert losses.max() < 5 * exact_bound().mean()


def test_without_the_weight_the_loss_is_the_mean_over_masked_positions():
    net = Scripted(surer_with_less, 3, SIZE)
    model = Ours(net, mask_id=MASK, use_simple_mdlm_loss_weight=False, **QUIET)
    x = torch.arange(8 * SIZE).view(8, SIZE) % 2
    loss = model(x, seed=0).loss
    [(shown, _)] = net.calls
    masked = shown == MASK
    # Ours knows that the mask id is no data.
    wanted = F.cross_entropy(surer_with_less(shown)[..., :2][masked], x[masked])
    assert torch.allclose(loss, wanted)


def test_the_critic_judges_draws_at_the_masked_positions_only():
    judge = Recorder(lambda x: torch.zeros(x.shape))
    net = Scripted(surer_with_less, 3, SIZE)
    x = torch.zeros(200, SIZE).long()
    model = Ours(net, mask_id=MASK, token_critic=judge, **QUIET)
    model(x, seed=0, generator_sample_temperature=0.0)
    [(shown, _)], [(judged, _)] = net.calls, judge.calls
    assert (judged[shown != MASK] == 0).all()
    assert (judged[shown == MASK] == 1).all()  # greedy: id 1 is the likeliest
    judge.calls.clear()
    model(x, seed=0)
    assert 0 < judge.calls[0][0].float().mean() < judged.float().mean()


def tiny_digits(rows, seed):
    """Rows of 16 with structure worth learning: two halves that repeat, ids 0..7."""
    torch.manual_seed(seed)
    half = (torch.randint(8, (rows, 1)) + torch.arange(8)) % 8
    return torch.cat([half, half.flip(1)], 1)


def trained(kind, steps=120):
    """Losses of default training, and the share of mask ids in what is generated afterwards."""
    torch.manual_seed(0)
    layers = Encoder(dim=32, depth=2, heads=2, attn_dim_head=16)
    net = TransformerWrapper(num_tokens=9, max_seq_len=16, attn_layers=layers)
    model = kind(net, mask_id=8)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for step in range(steps):
        loss = model(tiny_digits(32, step)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    out = model.generate(16)
    return torch.tensor(losses), (out == 8).float().mean(), out


def test_default_training_learns_and_generates_no_mask_ids():
    losses, masks, out = trained(Ours)
    assert (losses > 0).all()
    assert losses[-20:].mean() < 0.6 * losses[:5].mean()
    assert masks == 0
    # Neighbours differ by one, up and then down; by chance one in eight would.
    steps = (out[:, 1:8] - out[:, :7]) % 8
    assert (steps == 1).float().mean() > 0.5


def test_default_training_of_the_reference_unlearns():
    losses, masks, _ = trained(Reference)
    assert (losses < 0).all()
    assert losses.mean() < -50
    assert masks > 0.5
