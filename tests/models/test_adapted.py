"""Networks that were something else before: a logit shift, and LoRA adapters of peft."""

import pytest
import torch
from tests.conformance.test_networks import MASK, VOCAB, bert, x_transformer

import unmask
from unmask.core.network import Query
from unmask.errors import ModelError
from unmask.models.checkpoint import read_card

# peft asks transformers by a name that is going away.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")

TOKENS = torch.randint(VOCAB, (3, 7), generator=torch.Generator().manual_seed(0))


def table(tokens):
    """Logits that tell which token stood where."""
    return torch.nn.functional.one_hot(tokens, VOCAB).float() * 3


def logits(denoiser):
    hidden, _ = denoiser.forward(Query.of(TOKENS), None)
    return denoiser.logits(hidden.flatten(0, 1)).view(3, 7, -1)


@torch.no_grad()
@pytest.mark.parametrize("build", [lambda: table, bert, x_transformer])
def test_a_logit_shift_moves_every_prediction_one_place_on(build):
    net = build()
    if isinstance(net, torch.nn.Module):
        net.eval()
    plain = logits(unmask.wrap(net, mask_id=MASK, vocab_size=VOCAB))
    moved = logits(unmask.wrap(net, mask_id=MASK, vocab_size=VOCAB, logit_shift=True))
    torch.testing.assert_close(moved[:, 1:], plain[:, :-1])
    torch.testing.assert_close(moved[:, 0], plain[:, 0])
    assert not torch.allclose(moved[:, 1:], plain[:, 1:])


def test_a_logit_shift_is_yes_or_no():
    with pytest.raises(ModelError, match="logit_shift=1: pass True or False"):
        unmask.wrap(table, mask_id=MASK, logit_shift=1)


def test_a_logit_shift_is_remembered(tmp_path):
    unmask.save(unmask.wrap(bert(), mask_id=MASK, logit_shift=True), tmp_path / "model")
    assert read_card(tmp_path / "model").logit_shift
    again = unmask.load(tmp_path / "model")
    assert again.logit_shift


def adapted():
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    net = get_peft_model(
        bert(), LoraConfig(r=2, lora_alpha=64, target_modules=["value"], init_lora_weights=False)
    )
    return net.eval()


@torch.no_grad()
def test_adapters_act_and_are_saved_within_the_weights(tmp_path):
    net = adapted()
    denoiser = unmask.wrap(net, mask_id=MASK)
    with_adapters = logits(denoiser)
    with net.disable_adapter():
        assert float((logits(denoiser) - with_adapters).abs().max()) > 1e-3
    unmask.save(denoiser, tmp_path / "model")
    torch.testing.assert_close(logits(unmask.load(tmp_path / "model")), with_adapters)
    # Saving changes nothing of the network that goes on training.
    torch.testing.assert_close(logits(denoiser), with_adapters)
    assert any("lora_A" in name for name, _ in net.named_parameters())


def test_only_adapters_learn():
    denoiser = unmask.wrap(adapted().train(), mask_id=MASK)
    everywhere = torch.ones_like(TOKENS, dtype=torch.bool)
    data = TOKENS.where(TOKENS != MASK, 0)
    unmask.objectives.complementary(denoiser, data, everywhere, 0).loss.backward()
    learnt = {name for name, p in denoiser.named_parameters() if p.grad is not None}
    assert learnt
    assert all("lora_" in name for name in learnt)
