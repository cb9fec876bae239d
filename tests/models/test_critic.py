"""Critics as modules: what they store, where gradients go, and what they are told."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForTokenClassification

import unmask
from unmask import objectives
from unmask.core.network import Query
from unmask.errors import LogitsError, ModelError
from unmask.models import SelfCritic, TokenCritic

VOCAB, MASK, PAD, WIDTH, LENGTH = 11, 2, 1, 16, 8
TOKENS = torch.randint(3, VOCAB, (24, LENGTH), generator=torch.Generator().manual_seed(2))
VALID = torch.arange(LENGTH) < (torch.arange(24) % LENGTH + 1)[:, None]


def network(kind: str = "bert", auto=AutoModelForMaskedLM, dropout: float = 0.0, **options):
    config = AutoConfig.for_model(
        kind,
        vocab_size=VOCAB,
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.3,
        pad_token_id=PAD,
        **options,
    )
    torch.manual_seed(0)
    return auto.from_config(config)


def generator(**options):
    return unmask.wrap(network(**options), mask_id=MASK, forbidden=[0, PAD])


def test_a_self_critic_stores_its_layer_and_nothing_else():
    critic = SelfCritic(generator(), WIDTH)
    assert set(critic.state_dict()) == {"to_logits.weight", "to_logits.bias"}
    assert sum(p.numel() for p in critic.parameters()) == WIDTH + 1
    hidden, _ = critic.denoiser.forward(Query.of(TOKENS, VALID), None)
    assert torch.allclose(critic(TOKENS, valid=VALID), critic.to_logits(hidden)[..., 0])


@pytest.mark.parametrize("labels", ["differs", "masked"])
@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_generator_gets_no_gradient_on_any_parameter(labels, frozen):
    critic = SelfCritic(generator(), WIDTH, frozen=frozen)
    given = {"labels": labels, "valid": VALID}
    objectives.critic(critic.denoiser, critic, TOKENS, VALID, 3, **given).loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in critic.parameters())
    trunk = [p for n, p in critic.denoiser.named_parameters() if ".bert." in n]
    assert trunk
    if frozen:
        assert all(p.grad is None for p in critic.denoiser.parameters())
    else:
        assert all(p.grad is not None for p in trunk)


def test_a_frozen_generator_drops_nothing_out_and_keeps_its_mode():
    critic = SelfCritic(generator(dropout=0.5).train(), WIDTH)
    assert torch.equal(critic(TOKENS, valid=VALID), critic(TOKENS, valid=VALID))
    assert critic.denoiser.training
    free = SelfCritic(critic.denoiser, WIDTH, frozen=False)
    assert not torch.equal(free(TOKENS, valid=VALID), free(TOKENS, valid=VALID))
    free.eval()
    assert torch.equal(free(TOKENS, valid=VALID), free(TOKENS, valid=VALID))


def test_a_wrong_width_says_the_right_one():
    with pytest.raises(ModelError, match="width=16"):
        SelfCritic(generator(), 8)(TOKENS, valid=VALID)


def token_critic(kind: str = "bert", labels: int = 1, **options) -> TokenCritic:
    return TokenCritic(
        network(kind, AutoModelForTokenClassification, num_labels=labels, **options).eval()
    )


@pytest.mark.parametrize("kind", ["bert", "roberta", "modernbert"])
def test_padding_changes_no_judgement(kind):
    """Rows alone and in a padded batch, ids equal to the padding id among them."""
    options = {"cls_token_id": 3, "sep_token_id": 3, "bos_token_id": 3, "eos_token_id": 3}
    critic = token_critic(kind, **options if kind == "modernbert" else {})
    tokens = TOKENS.clone()
    tokens[:, 0] = PAD
    together = critic(tokens, valid=VALID)
    assert together.shape == tokens.shape
    for row in (0, 3, 6):
        real = VALID[row : row + 1, : row + 1]
        alone = critic(tokens[row : row + 1, : row + 1], valid=real)
        assert torch.allclose(alone[0], together[row, : row + 1], atol=1e-5)


def test_positions_are_counted_where_the_padding_id_is_a_token():
    """RoBERTa left to itself gives such a token the position of padding."""
    critic, tokens = token_critic("roberta"), TOKENS.clone()
    tokens[:, 2] = PAD
    places = (torch.arange(LENGTH) + PAD + 1).expand_as(tokens)
    counted = critic.net(input_ids=tokens, position_ids=places).logits[..., 0]
    judged = critic(tokens, valid=torch.ones_like(VALID))
    assert torch.allclose(judged, counted, atol=1e-6)
    assert not torch.allclose(judged, critic.net(input_ids=tokens).logits[..., 0], atol=1e-3)


@pytest.mark.parametrize("make", [lambda: SelfCritic(generator(), WIDTH), token_critic])
def test_critics_order_generations(make):
    critic = make()
    strategy = unmask.presets.token_critic(critic, steps=4)
    denoiser = generator()
    one = unmask.generate(denoiser, batch_size=16, length=LENGTH, strategy=strategy, seed=0)
    assert ((one != MASK) & (one != PAD)).all()
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.neg_()
    other = unmask.generate(denoiser, batch_size=16, length=LENGTH, strategy=strategy, seed=0)
    assert not torch.equal(one, other)


class Recorder(nn.Module):
    """Notes what a critic is told; judges by the id."""

    def __init__(self):
        super().__init__()
        self.scale, self.seen = nn.Parameter(torch.ones(())), []

    def forward(self, tokens, valid, condition=None):
        self.seen.append((tokens, valid, condition))
        return tokens[..., None] * self.scale


def test_the_generators_condition_reaches_the_critic_in_training_and_in_use():
    net = network(type_vocab_size=4)
    denoiser = unmask.ClassConditioned(unmask.wrap(net, mask_id=MASK, forbidden=[0, PAD]), 3)
    recorder, classes = Recorder(), torch.arange(24) % 3
    given = {"condition": classes, "valid": VALID}
    objectives.critic(denoiser, TokenCritic(recorder), TOKENS, VALID, 0, **given)
    tokens, valid, condition = recorder.seen[-1]
    assert condition is classes
    assert valid is VALID
    assert (tokens != MASK).all()
    strategy = unmask.presets.token_critic(TokenCritic(recorder), steps=2)
    canvas = unmask.Canvas.blank(3, LENGTH, condition=torch.tensor([2, 0, 1]))
    unmask.generate(denoiser, canvas, strategy=strategy, seed=0)
    assert recorder.seen[-1][2].tolist() == [2, 0, 1]


def test_classes_change_the_judgement_of_every_kind_of_critic():
    net = network(type_vocab_size=4).eval()
    conditioned = unmask.ClassConditioned(unmask.wrap(net, mask_id=MASK), 3)
    classes = torch.arange(24) % 3
    for critic in (SelfCritic(conditioned, WIDTH), token_critic(type_vocab_size=4)):
        told = critic(TOKENS, valid=VALID, condition=classes)
        none = critic(TOKENS, valid=VALID, condition=torch.full_like(classes, -1))
        assert torch.allclose(none, critic(TOKENS, valid=VALID), atol=1e-6)
        assert not torch.allclose(told, none, atol=1e-3)


class Bare(nn.Module):
    def forward(self, tokens):
        return tokens.float()


class Keyed(nn.Module):
    def forward(self, tokens, attention_mask, context):
        return (tokens * attention_mask + context).unsqueeze(-1).float()


def test_another_module_is_told_what_it_can_take():
    everywhere = torch.ones_like(VALID)
    assert torch.equal(TokenCritic(Bare())(TOKENS, valid=everywhere), TOKENS.float())
    context = torch.ones_like(TOKENS)
    judged = TokenCritic(Keyed())(TOKENS, valid=VALID, condition={"context": context})
    assert torch.equal(judged[VALID], (TOKENS + 1).float()[VALID])


def test_critics_that_cannot_be_told_are_refused():
    everywhere = torch.ones_like(VALID)
    with pytest.raises(ModelError, match="there is padding, and the critic"):
        TokenCritic(Bare())(TOKENS, valid=VALID)
    with pytest.raises(ModelError, match=r"takes no \['condition'\]"):
        TokenCritic(Bare())(TOKENS, valid=everywhere, condition=torch.zeros(24))
    with pytest.raises(ModelError, match=r"takes no \['context'\]"):
        TokenCritic(Bare())(TOKENS, valid=everywhere, condition={"context": TOKENS})
    with pytest.raises(LogitsError, match="one logit per token"):
        TokenCritic(nn.Embedding(VOCAB, 2))(TOKENS, valid=everywhere)
    with pytest.raises(ModelError, match="num_labels=1"):
        token_critic(labels=2)
    with pytest.raises(ModelError, match="class 2 needs 4 token types; the critic has 2"):
        token_critic()(TOKENS, valid=VALID, condition=torch.arange(24) % 3)


class Leaks(nn.Module):
    """Takes padding flags and ignores them: says of each id how far the row's mean is."""

    def forward(self, tokens, valid):
        return tokens - tokens.float().mean(1, keepdim=True)


def test_a_critic_that_padding_changes_judges_rows_by_length():
    tokens = torch.tensor([[5, 7, 0, 0], [1, 2, 3, 6]])
    valid = torch.tensor([[True, True, False, False], [True] * 4])
    judged = TokenCritic(Leaks())(tokens, valid=valid)
    assert judged[valid].tolist() == [-1, 1, -2, -1, 0, 3]


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_critic_judges_as_it_does():
    critic = token_critic(type_vocab_size=4)
    compiled = TokenCritic(torch.compile(critic.net, backend="eager"))
    found = compiled(TOKENS, valid=VALID)
    torch.testing.assert_close(found[VALID], critic(TOKENS, valid=VALID)[VALID])
