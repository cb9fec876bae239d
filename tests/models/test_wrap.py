"""What `wrap` recognises, what it hands to each kind of network, and what it refuses."""

import pytest
import torch
from tests.conformance.test_networks import MASK, VOCAB, bert, esm, roberta, x_transformer
from torch import nn
from transformers import BertConfig, BertForMaskedLM

import unmask
from unmask import Canvas, ClassConditioned, SelfConditioning, presets
from unmask.core.network import Denoiser, Query
from unmask.errors import CanvasError, LogitsError, ModelError
from unmask.models.x_transformers import XTransformersDenoiser


def zeros(tokens):
    return torch.zeros(*tokens.shape, VOCAB)


class Module(nn.Module):
    def __init__(self, **attributes):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, tokens):
        return zeros(tokens) * self.scale


@pytest.mark.parametrize(
    "net",
    [zeros, Module(), x_transformer(), bert(), roberta(), esm()],
    ids=["function", "module", "x-transformers", "BERT", "RoBERTa", "ESM"],
)
def test_every_kind_becomes_a_denoiser_that_generates(net):
    denoiser = unmask.wrap(net, mask_id=MASK)
    assert isinstance(denoiser, Denoiser)
    assert denoiser.spec.mask_id == MASK
    canvas = Canvas.infill(torch.zeros(2, 5, dtype=torch.int64), torch.arange(5).expand(2, 5) > 0)
    tokens = unmask.generate(denoiser, canvas, presets.random_order(2), seed=0)
    assert tokens.shape == (2, 5)
    assert denoiser.spec.vocab_size == VOCAB


@pytest.mark.parametrize("name", ["vocab_size", "num_tokens"])
def test_the_vocabulary_size_is_found_on_a_module(name):
    net = Module(**{name: VOCAB})
    assert unmask.wrap(net, mask_id=MASK).spec.vocab_size == VOCAB
    with pytest.raises(ModelError, match=rf"vocab_size=7, and the network has {VOCAB} ids: leave"):
        unmask.wrap(net, mask_id=MASK, vocab_size=7)


@pytest.mark.parametrize("build", [x_transformer, bert])
def test_a_vocabulary_size_against_the_network_is_refused(build):
    with pytest.raises(ModelError, match=rf"vocab_size=7, and the network has {VOCAB} ids: leave"):
        unmask.wrap(build(), mask_id=MASK, vocab_size=7)
    assert unmask.wrap(build(), mask_id=MASK, vocab_size=VOCAB).spec.vocab_size == VOCAB


@pytest.mark.parametrize(("length", "tried"), [(None, 8), (3, 3)])
def test_the_vocabulary_size_is_learnt_from_one_row_of_mask_ids(length, tried):
    seen = []

    def network(tokens):
        seen.append((tokens.tolist(), torch.is_grad_enabled()))
        return zeros(tokens)

    denoiser = unmask.wrap(network, mask_id=MASK, length=length)
    assert denoiser.spec.vocab_size == VOCAB
    assert seen == [([[MASK] * tried], False)]
    unmask.generate(denoiser, Canvas.blank(1, 2), presets.random_order(1), seed=0)
    assert len(seen) == 2


def test_a_module_is_tried_as_it_runs_and_stays_in_its_mode():
    class Trained(Module):
        def forward(self, tokens):
            assert not self.training
            return super().forward(tokens)

    net = Trained().train()
    assert unmask.wrap(net, mask_id=MASK).spec.vocab_size == VOCAB
    assert net.training


def test_a_network_that_is_told_its_vocabulary_size_is_not_tried():
    seen = []
    denoiser = unmask.wrap(seen.append, mask_id=MASK, vocab_size=VOCAB)
    assert denoiser.spec.vocab_size == VOCAB
    assert seen == []


def test_a_network_that_cannot_be_tried_says_how_to_go_on():
    with pytest.raises(ModelError, match=r"raised TypeError on a row of 8 mask ids.*vocab_size="):
        unmask.wrap(lambda tokens, label: zeros(tokens), mask_id=MASK)
    with pytest.raises(LogitsError, match=r"returned \(1, 8\) for tokens of shape \(1, 8\)"):
        unmask.wrap(lambda tokens: tokens, mask_id=MASK)
    with pytest.raises(LogitsError, match=r"returned NoneType for tokens of shape \(1, 3\)"):
        unmask.wrap(lambda tokens: None, mask_id=MASK, length=3)


def test_the_length_is_found_or_given():
    assert unmask.wrap(x_transformer(), mask_id=MASK).spec.default_length == 40
    assert unmask.wrap(x_transformer(), mask_id=MASK, length=8).spec.default_length == 8
    assert unmask.wrap(zeros, mask_id=MASK).spec.default_length is None
    out = unmask.generate(unmask.wrap(zeros, mask_id=MASK, length=3), batch_size=2, seed=0)
    assert out.shape == (2, 3)


def test_forbidden_ids_never_come_out():
    legal = [0, 7, 23]
    never = [i for i in range(VOCAB) if i not in legal and i != MASK]
    denoiser = unmask.wrap(zeros, mask_id=MASK, forbidden=never)
    tokens = unmask.generate(denoiser, Canvas.blank(8, 8), presets.random_order(4), seed=0)
    assert set(tokens.flatten().tolist()) == set(legal)


def foreign_networks():
    from transformers import BertConfig, BertModel
    from x_transformers import Decoder, Encoder, TransformerWrapper

    small = BertConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    decoder = TransformerWrapper(
        num_tokens=9, max_seq_len=8, attn_layers=Decoder(dim=16, depth=1, heads=1)
    )
    return {
        "BertModel": (
            BertModel(small),
            r"found transformers.*BertModel, .*no \*ForMaskedLM.*\(3\)",
        ),
        "Encoder": (
            Encoder(dim=16, depth=1, heads=1),
            r"found x_transformers.*Encoder, .*no TransformerWrapper.*Pass \(1\)",
        ),
        "Decoder": (
            decoder,
            r"Decoder, whose positions attend to earlier ones.*attn_layers=Encoder",
        ),
        "an integer": (5, r"found builtins\.int, which cannot be called on tokens.*Pass \(1\)"),
    }


@pytest.mark.parametrize("what", ["BertModel", "Encoder", "Decoder", "an integer"])
def test_foreign_networks_are_named_with_the_ways_to_go_on(what):
    net, message = foreign_networks()[what]
    with pytest.raises(ModelError, match=message):
        unmask.wrap(net, mask_id=0)


def heeding(name, seen):
    """A callable whose logits depend on the sum of a row's ids, those at padding left out."""

    def call(tokens, flags):
        seen.append(flags.tolist())
        total = (tokens * flags).sum(1)
        return torch.eye(VOCAB)[total % VOCAB].unsqueeze(1).expand(-1, tokens.shape[1], -1)

    return eval(f"lambda tokens, {name}: call(tokens, {name})", {"call": call})


@pytest.mark.parametrize("name", ["valid", "attention_mask"])
def test_a_callable_that_takes_padding_flags_gets_them(name):
    seen = []
    denoiser = unmask.wrap(heeding(name, seen), mask_id=MASK)
    probed, *tried = seen
    assert probed == [[True] * 8]
    assert tried == [[[True] * 3] * 2, [[True] * 3 + [False] * 3]]
    seen.clear()
    canvas = Canvas.ragged([[0, 0, 0], [0]])
    unmask.generate(denoiser, canvas, presets.random_order(1), seed=0)
    assert seen == [canvas.valid.tolist()]


def test_a_callable_that_takes_none_never_sees_padding():
    seen = []

    def network(tokens):
        seen.append(tokens.tolist())
        return zeros(tokens)

    canvas = Canvas.ragged([[0, 0, 0], [0], [0, 0, 0]], pad_id=9)
    denoiser = unmask.wrap(network, mask_id=MASK, vocab_size=VOCAB)
    unmask.generate(denoiser, canvas, presets.random_order(1), seed=0)
    assert sorted(seen) == [[[MASK]], [[MASK] * 3] * 2]


def test_a_condition_goes_to_the_callable_with_its_rows():
    seen = []

    def network(tokens, label):
        seen.append((tokens.shape, label.tolist()))
        return zeros(tokens)

    of_rows = {"condition": {"label": torch.tensor([7, 8, 9])}, "steps": [2, 1, 1]}
    canvas = Canvas.ragged([[0, 0], [0], [0, 0]], **of_rows)
    denoiser = unmask.wrap(network, mask_id=MASK, vocab_size=VOCAB)
    unmask.generate(denoiser, canvas, presets.random_order(), seeds=[1, 2, 3])
    assert seen == [((1, 1), [8]), ((2, 2), [7, 9]), ((1, 2), [7])]


def test_a_condition_goes_to_x_transformers():
    net = x_transformer(num_memory_tokens=1)
    denoiser, seen = unmask.wrap(net, mask_id=MASK), []
    net.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs.get("pos").tolist()), with_kwargs=True
    )
    pos = torch.arange(4).expand(2, 4)
    canvas = Canvas.blank(2, 4, condition={"pos": pos})
    unmask.generate(denoiser, canvas, presets.random_order(1), seed=0)
    assert seen == [pos.tolist()]


class Stub(nn.Module):
    """Stands in for a TransformerWrapper: notes what is added to its input, answers in steps."""

    max_seq_len, num_tokens = 6, VOCAB

    def __init__(self, width):
        super().__init__()
        self.attn_layers = type("Layers", (), {"causal": False})()
        self.to_logits = nn.Linear(width, VOCAB)
        self.width, self.seen = width, []

    def forward(self, tokens, *, sum_embeds, return_embeddings):
        assert return_embeddings
        self.seen.append(sum_embeds.clone())
        return torch.full((*tokens.shape, self.width), float(len(self.seen)))


def self_conditioned(width=4):
    torch.manual_seed(0)
    parts = SelfConditioning(width)
    options = {"length": 6, "self_conditioning": parts}
    denoiser = XTransformersDenoiser(Stub(width), MASK, **options)
    return denoiser, parts


def test_self_conditioning_starts_from_the_null_embedding_and_hands_on_the_hidden_states():
    denoiser, parts = self_conditioned()
    unmask.generate(denoiser, batch_size=2, strategy=presets.random_order(3), seed=0)
    first, second, third = denoiser.net.seen
    with torch.no_grad():
        null = parts.to_self_cond(parts.null_embed)
        after = [parts.to_self_cond(torch.full((4,), float(step))) for step in (1, 2)]
    for got, wanted in ((first, null), (second, after[0]), (third, after[1])):
        torch.testing.assert_close(got, wanted.expand(2, 6, 4))


def test_self_conditioning_belongs_to_each_row():
    """Rows leave after 1 and 2 steps; those that stay keep their own hidden states."""
    denoiser, parts = self_conditioned()

    def trunk(tokens, *, sum_embeds, return_embeddings):
        denoiser.net.seen.append(sum_embeds.clone())
        known = (tokens != MASK).sum(1).float() + 10 * tokens[:, 0].float()
        return known[:, None, None].expand(*tokens.shape, 4).clone()

    denoiser.net.forward = trunk
    tokens = torch.zeros(3, 6, dtype=torch.int64)
    tokens[:, 0] = torch.tensor([1, 2, 3])
    canvas = Canvas.infill(tokens, torch.arange(6).expand(3, 6) > 0, steps=[1, 3, 2])
    unmask.generate(denoiser, canvas, presets.random_order(), seeds=[1, 2, 3])
    _, second, third = denoiser.net.seen

    def said(row, known):
        with torch.no_grad():
            return parts.to_self_cond(torch.full((4,), float(known + 10 * row)))

    assert [len(seen) for seen in denoiser.net.seen] == [3, 2, 1]
    torch.testing.assert_close(second[0, 0], said(2, 1))
    torch.testing.assert_close(second[1, 0], said(3, 1))
    torch.testing.assert_close(third[0, 0], said(2, 3))  # 5 unknown, 3 steps: 3 left, then 1


def test_self_conditioning_needs_a_head_that_can_be_split_off():
    net = x_transformer(sigsoftmax_logits=True)
    with pytest.raises(ModelError, match=r"self-conditioning needs a network whose logits are"):
        XTransformersDenoiser(net, MASK, self_conditioning=SelfConditioning(32))


@torch.no_grad()
def test_a_network_that_cannot_be_split_runs_whole():
    net = x_transformer(sigsoftmax_logits=True).eval()
    denoiser = unmask.wrap(net, mask_id=MASK)
    tokens = torch.randint(VOCAB, (2, 7))
    hidden, _ = denoiser.forward(Query.of(tokens), None)
    torch.testing.assert_close(denoiser.logits(hidden.flatten(0, 1)), net(tokens).flatten(0, 1))


def conditioned():
    """A BERT of three classes, and the token types it is shown: 0 for no class, else 1 + class."""
    net = BertForMaskedLM(
        BertConfig(
            vocab_size=10,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=8,
            type_vocab_size=4,
        )
    )
    seen = []
    net.bert.embeddings.token_type_embeddings.register_forward_hook(
        lambda _, given, __: seen.append(given[0].tolist())
    )
    denoiser = ClassConditioned(unmask.wrap(net, mask_id=5), classes=3)
    seen.clear()  # without the trial
    return denoiser, seen


def test_every_position_is_told_the_class_of_its_row():
    denoiser, seen = conditioned()
    canvas = Canvas.blank(4, 3, condition=torch.tensor([0, 2, -1, 1]))
    unmask.generate(denoiser, canvas, presets.random_order(1), seed=0)
    assert seen == [[[1] * 3, [3] * 3, [0] * 3, [2] * 3]]


def test_no_condition_is_no_class_for_every_row():
    denoiser, seen = conditioned()
    unmask.generate(denoiser, Canvas.blank(2, 2), presets.random_order(1), seed=0)
    assert seen == [[[0, 0]] * 2]


def test_classes_stay_with_their_rows_when_others_leave():
    denoiser, seen = conditioned()
    canvas = Canvas.blank(2, 3, condition=torch.tensor([0, 2]), steps=[1, 3])
    unmask.generate(denoiser, canvas, presets.random_order(), seeds=[1, 2])
    assert [[row[0] for row in call] for call in seen] == [[1, 3], [3], [3]]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (torch.tensor([0, 3]), r"classes \[0, 3\]: pass 0 to 2, or -1 for no class"),
        (torch.tensor([0, -2]), r"classes \[-2, 0\]: pass 0 to 2"),
        (torch.tensor([0.0, 1.0]), r"pass a tensor of 2 class numbers"),
        (
            torch.zeros(2, 1, dtype=torch.int64),
            r"torch.int64 of shape \(2, 1\): pass a tensor of 2 class numbers",
        ),
        ([0, 3], r"classes \[0, 3\]: pass 0 to 2, or -1 for no class"),
        (["a", "b"], r"condition holds a list.*: pass a tensor"),
    ],
    ids=str,
)
def test_classes_that_are_none(condition, message):
    denoiser, _ = conditioned()
    with pytest.raises(CanvasError, match=message):
        unmask.generate(denoiser, Canvas.blank(2, 2, condition=condition), seed=0)


def test_classes_need_token_types_of_a_transformers_network():
    small = unmask.wrap(
        BertForMaskedLM(
            BertConfig(
                vocab_size=10,
                hidden_size=8,
                num_hidden_layers=1,
                num_attention_heads=1,
                intermediate_size=8,
            )
        ),
        mask_id=5,
    )
    with pytest.raises(ModelError, match="3 classes need 4 token types; the network has 2: set"):
        ClassConditioned(small, classes=3)
    with pytest.raises(ModelError, match="the network has 0"):
        ClassConditioned(unmask.wrap(zeros, mask_id=MASK, vocab_size=VOCAB), classes=3)
