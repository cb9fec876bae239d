"""Real networks: rows as if alone, the head apart from the trunk, evaluation mode.

x-transformers encoders, BERT, RoBERTa, ModernBERT and ESM, small and with random weights.
"""

from contextlib import contextmanager

import pytest
import torch
from tests.conformance.catalogue import PRESETS
from torch import nn

import unmask
from unmask import presets

VOCAB, MASK, PAD, LENGTH = 24, 4, 1, 14
SMALL = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "pad_token_id": PAD,
}
DROPOUT = {"hidden_dropout_prob": 0.5, "attention_probs_dropout_prob": 0.5}


def x_transformer(attention=None, **options):
    from x_transformers import Encoder, TransformerWrapper

    layers = Encoder(dim=32, depth=2, heads=2, attn_dropout=0.5, ff_dropout=0.5, **attention or {})
    return TransformerWrapper(num_tokens=VOCAB, max_seq_len=40, attn_layers=layers, **options)


def bert(**options):
    from transformers import BertConfig, BertForMaskedLM

    return BertForMaskedLM(BertConfig(**SMALL, **DROPOUT, **options))


def roberta():
    from transformers import RobertaConfig, RobertaForMaskedLM

    return RobertaForMaskedLM(RobertaConfig(**SMALL, **DROPOUT))


def modernbert():
    from transformers import ModernBertConfig, ModernBertForMaskedLM

    special = dict.fromkeys(["cls_token_id", "sep_token_id", "bos_token_id", "eos_token_id"], 2)
    config = ModernBertConfig(
        **SMALL, **special, local_attention=4, attention_dropout=0.5, mlp_dropout=0.5
    )
    return ModernBertForMaskedLM(config)


def esm(**options):
    from transformers import EsmConfig, EsmForMaskedLM

    return EsmForMaskedLM(EsmConfig(**SMALL, **DROPOUT, mask_token_id=MASK, **options))


def of_the_family(kind, **options):
    """A relative of RoBERTa: positions from ids, a head called lm_head."""
    import transformers

    config = getattr(transformers, f"{kind}Config")(**SMALL, **DROPOUT, **options)
    return getattr(transformers, f"{kind}ForMaskedLM")(config)


def distilbert():
    """Its head is none that `wrap` knows, so it runs whole."""
    from transformers import DistilBertConfig, DistilBertForMaskedLM

    sizes = {"dim": 32, "hidden_dim": 48, "n_heads": 2, "n_layers": 2}
    ids = {"vocab_size": VOCAB, "pad_token_id": PAD, "max_position_embeddings": 40}
    return DistilBertForMaskedLM(DistilBertConfig(**ids, **sizes))


X_TRANSFORMERS = {
    "x-transformers": x_transformer,
    "x-transformers, rotary": lambda: x_transformer({"rotary_pos_emb": True}),
    "x-transformers, tied": lambda: x_transformer(tie_embedding=True),
    "x-transformers, narrow embedding": lambda: x_transformer(emb_dim=16),
    "x-transformers, memory tokens": lambda: x_transformer(num_memory_tokens=2),
}
MASKED_LMS = {
    "BERT": bert,
    "RoBERTa": roberta,
    "MPNet": lambda: of_the_family("MPNet"),
    "Data2Vec": lambda: of_the_family("Data2VecText"),
    "RoBERTa, norm first": lambda: of_the_family("RobertaPreLayerNorm"),
    "ModernBERT": modernbert,
    "ESM, absolute": lambda: esm(position_embedding_type="absolute"),
    "ESM, rotary": lambda: esm(position_embedding_type="rotary"),
    "ESM, token dropout": lambda: esm(position_embedding_type="rotary", token_dropout=True),
}
SPLIT = {**X_TRANSFORMERS, **MASKED_LMS}
NETWORKS = {**SPLIT, "DistilBERT": distilbert}


def build(name):
    """The network with weights large enough to be sure of something, in training mode."""
    torch.manual_seed(len(name))
    net = NETWORKS[name]()
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.25)
    return net.train()


def wrapped(net):
    return unmask.wrap(net, mask_id=MASK)


LENGTHS = [14, 9, 5, 2]


def rows_and_flags():
    """Prompts of ids that include the padding id and the mask id."""
    generator = torch.Generator().manual_seed(7)
    rows = [torch.randint(VOCAB, (n,), generator=generator) for n in LENGTHS]
    flags = [torch.rand(n, generator=generator) < 0.6 for n in LENGTHS]
    for row in rows[:3]:
        row[1] = PAD
        row[2] = MASK
    for flag in flags[:3]:
        flag[1:3], flag[0] = False, True
    flags[3] = torch.tensor([False, True])
    return rows, flags


SEEDS = [5, 6, 7, 8]
STRATEGIES = {
    "annealed": presets.annealed,
    "annealed, remask": lambda steps: presets.annealed(steps, remask=True),
    "maskgit": presets.maskgit,
    "random_order": presets.random_order,
    "confidence": presets.confidence,
}


# Every strategy with one network of each library, two with the others.
PAIRS = [
    (name, strategy)
    for name in NETWORKS
    for strategy in STRATEGIES
    if name in ("x-transformers", "BERT") or strategy in ("annealed, remask", "random_order")
]


@pytest.mark.parametrize(("name", "strategy"), PAIRS)
def test_a_row_does_not_notice_its_batch(name, strategy):
    """Ragged rows, other steps each, more padding than needed: token for token as alone."""
    denoiser, rows_flags, steps = wrapped(build(name)), rows_and_flags(), [3, 6, 2, 4]
    rows, flags = rows_flags
    canvas = unmask.Canvas.ragged(rows, flags, pad_id=PAD, steps=steps)
    together = unmask.run(denoiser, canvas, STRATEGIES[strategy](1), seeds=SEEDS)
    order = [2, 0, 3, 1]
    shuffled = unmask.Canvas.ragged(
        [*(rows[i] for i in order), torch.zeros(20, dtype=torch.int64)],
        [*(flags[i] for i in order), torch.arange(20) > 0],
        pad_id=3,
        steps=[*(steps[i] for i in order), 5],
    )
    longer = unmask.run(
        denoiser,
        shuffled,
        STRATEGIES[strategy](1),
        seeds=[*(SEEDS[i] for i in order), 9],
    )
    for i, length in enumerate(LENGTHS):
        alone = unmask.run(
            denoiser,
            unmask.Canvas.ragged([rows[i]], [flags[i]], steps=[steps[i]]),
            STRATEGIES[strategy](1),
            seeds=[SEEDS[i]],
        )
        at = order.index(i)
        assert together.tokens[i, :length].tolist() == alone.tokens[0].tolist()
        assert longer.tokens[at, :length].tolist() == alone.tokens[0].tolist()
        assert together.commit_step[i, :length].tolist() == alone.commit_step[0].tolist()
        for record in (together.logprob[i], longer.logprob[at]):
            torch.testing.assert_close(record[:length], alone.logprob[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_row_does_not_notice_the_id_at_padding(name):
    """Not even where it is the mask id, which some networks count."""
    denoiser = wrapped(build(name))
    rows, flags = rows_and_flags()
    records = [
        unmask.run(
            denoiser,
            unmask.Canvas.ragged(rows, flags, pad_id=pad),
            presets.random_order(3),
            seeds=SEEDS,
        )
        for pad in (0, PAD, MASK)
    ]
    for record in records[1:]:
        for i, length in enumerate(LENGTHS):
            assert record.tokens[i, :length].tolist() == records[0].tokens[i, :length].tolist()
            torch.testing.assert_close(
                record.logprob[i, :length], records[0].logprob[i, :length], atol=1e-4, rtol=1e-4
            )


def full_logits(name, net, tokens):
    """(B,N,V) by the network's own forward, everything valid."""
    if name in X_TRANSFORMERS:
        return net(tokens)
    given = {"attention_mask": torch.ones_like(tokens)}
    if name.startswith(("ESM", "RoBERTa", "MPNet", "Data2Vec")):
        # By hand: these would take a token that equals the padding id for padding.
        places = torch.arange(PAD + 1, PAD + 1 + tokens.shape[1])
        given["position_ids"] = places.expand_as(tokens)
    return net(input_ids=tokens, **given).logits


@torch.no_grad()
@pytest.mark.parametrize("name", NETWORKS)
def test_trunk_and_head_make_the_logits_of_the_whole(name):
    net = build(name).eval()
    denoiser = wrapped(net)
    tokens = torch.randint(VOCAB, (3, LENGTH), generator=torch.Generator().manual_seed(1))
    tokens[:, 3] = PAD
    hidden, cache = denoiser.forward(unmask.Query.of(tokens), None)
    assert cache is None
    at = torch.tensor([0, 5, 17, 40])
    logits = denoiser.logits(hidden.flatten(0, 1)[at])
    whole = full_logits(name, net, tokens).flatten(0, 1)[at]
    assert float(whole.std()) > 0.1  # else anything is close
    torch.testing.assert_close(logits, whole, atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(
    "name", ["RoBERTa", "MPNet", "Data2Vec", "RoBERTa, norm first", "ESM, absolute"]
)
def test_the_padding_id_as_a_token_is_a_trap(name):
    """Positions counted from `ids != pad` differ from those of the adapter: the trap is real."""
    net = build(name).eval()
    tokens = torch.tensor([[7, PAD, 8, 9, PAD, 10]])
    trapped = net(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits
    right = full_logits(name, net, tokens)
    hidden, _ = wrapped(net).forward(unmask.Query.of(tokens), None)
    logits = wrapped(net).logits(hidden.flatten(0, 1))
    torch.testing.assert_close(logits, right.flatten(0, 1), atol=1e-5, rtol=1e-4)
    assert float((trapped - right).abs().max()) > 0.1


def head_of(name, net):
    if name in X_TRANSFORMERS:
        return net.to_logits
    return {"BERT": lambda: net.cls, "ModernBERT": lambda: net.decoder}.get(
        name, lambda: net.lm_head
    )()


@contextmanager
def counted(name, net):
    """The shapes of what the head is given."""
    shapes = []
    head = head_of(name, net)
    if isinstance(head, nn.Module):
        hook = head.register_forward_hook(lambda _, given, __: shapes.append(given[0].shape))
        yield shapes
        hook.remove()
        return
    net.to_logits = lambda x: shapes.append(x.shape) or head(x)  # tied: a plain function
    yield shapes


@pytest.mark.parametrize("blind", [False, True], ids=["looks", "blind"])
@pytest.mark.parametrize("name", SPLIT)
def test_the_head_runs_at_the_positions_looked_at_only(name, blind):
    """All unknown positions, or with an order that looks at nothing, those it commits."""
    net = build(name)
    rows, flags = rows_and_flags()
    canvas = unmask.Canvas.ragged(rows, flags, pad_id=PAD)
    strategy = presets.random_order(3) if blind else presets.confidence(3)
    denoiser = wrapped(net)
    with counted(name, net) as shapes:
        infos = list(unmask.stream(denoiser, canvas, strategy, seeds=SEEDS))
    assert len(shapes) == len(infos) == 3
    before = canvas.editable
    for shape, info in zip(shapes, infos, strict=True):
        assert shape == (int(info.committed.sum() if blind else before.sum()), 32), name
        before = info.masked


@pytest.mark.parametrize("name", [*SPLIT])
def test_generation_runs_without_dropout_or_gradients_and_puts_the_flags_back(name):
    net = build(name)
    frozen = next(module for module in net.modules() if isinstance(module, nn.Dropout))
    frozen.eval()
    flags = [module.training for module in net.modules()]
    seen = []
    hook = net.register_forward_pre_hook(
        lambda *_: seen.append(
            (torch.is_grad_enabled(), any(module.training for module in net.modules()))
        )
    )
    inner = next(m for m in net.modules() if isinstance(m, nn.Embedding))
    inner.register_forward_pre_hook(
        lambda *_: seen.append((torch.is_grad_enabled(), any(m.training for m in net.modules())))
    )
    canvas = unmask.Canvas.blank(2, 8)
    canvas.editable[:, 0] = False
    canvas.tokens[:, 0] = 9
    records = []
    for _ in range(2):
        infos = []
        for info in unmask.stream(wrapped(net), canvas, presets.random_order(3), seeds=[1, 2]):
            infos.append(info)
            assert [module.training for module in net.modules()] == flags  # between the steps
            assert torch.is_grad_enabled()
        records.append(infos[-1])
    hook.remove()
    assert seen
    assert set(seen) == {(False, False)}
    assert torch.equal(records[0].tokens, records[1].tokens)
    assert torch.equal(records[0].state.logprob, records[1].state.logprob)
    assert not records[0].state.logprob.requires_grad
    assert [module.training for module in net.modules()] == flags


class Failing(nn.Module):
    def __init__(self):
        super().__init__()
        self.frozen, self.free = nn.Dropout().eval(), nn.Dropout()

    def forward(self, tokens):
        raise ArithmeticError("no")


def test_the_flags_come_back_when_the_network_raises():
    net = Failing()
    net.frozen.eval()
    with pytest.raises(unmask.errors.DenoiserError):
        unmask.generate(
            unmask.wrap(net, mask_id=1, vocab_size=3), unmask.Canvas.blank(1, 2), seed=0
        )
    assert [net.training, net.frozen.training, net.free.training] == [True, False, True]
    assert torch.is_grad_enabled()


class DroppingCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.drop = nn.Embedding(VOCAB, 1), nn.Dropout(0.5)
        self.modes = []

    def forward(self, tokens, *, valid, condition):
        self.modes.append((torch.is_grad_enabled(), self.drop.training))
        return self.drop(self.embed(tokens) + 3)


@pytest.mark.parametrize("entry", [e for e in PRESETS if "critic" in e.name], ids=lambda e: e.name)
def test_a_critic_runs_without_dropout_or_gradients_too(entry):
    critic, net = DroppingCritic(), build("x-transformers")
    remask = dict(entry.chosen)["remask"]
    strategy = presets.token_critic(critic, 3, remask=remask)
    canvas = unmask.Canvas.blank(2, 8)
    tokens = [unmask.generate(wrapped(net), canvas, strategy, seeds=[1, 2]) for _ in range(2)]
    assert set(critic.modes) == {(False, False)}
    assert torch.equal(*tokens)
    assert critic.training
    assert critic.drop.training


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["x-transformers, rotary", "BERT"])
def test_half_precision_networks_are_drawn_from_in_float32(name, dtype):
    net = build(name).to(dtype)
    record = unmask.run(
        wrapped(net), unmask.Canvas.blank(3, 8), presets.maskgit(4), seeds=[1, 2, 3]
    )
    assert record.logprob.dtype == torch.float32
    assert bool((record.logprob < 0).all())
    assert not bool((record.tokens == MASK).any())


def test_a_network_that_cannot_see_a_blank_canvas_is_explained():
    """ESM's token dropout divides by the share of known positions: none known gives NaN."""
    denoiser = wrapped(build("ESM, token dropout"))
    with pytest.raises(unmask.errors.UnmaskError, match=r"known|token_dropout"):
        unmask.generate(denoiser, unmask.Canvas.blank(1, 5), presets.confidence(2), seed=1)


@pytest.mark.parametrize("name", ["BERT", "x-transformers"])
def test_left_padding_is_refused_or_harmless(name):
    """Where padding comes first, positions shift, and with them absolute embeddings and draws."""
    net = build(name)
    row = torch.tensor([[9, 8, 0, 0, 7]])
    flags = torch.tensor([[False, False, True, True, False]])
    alone = unmask.run(
        wrapped(net), unmask.Canvas.infill(row, flags), presets.confidence(2), seeds=[1]
    )
    left = torch.nn.functional.pad
    valid = left(torch.ones_like(flags), (3, 0))
    try:
        canvas = unmask.Canvas.infill(left(row, (3, 0)), left(flags, (3, 0)), valid=valid)
        padded = unmask.run(wrapped(net), canvas, presets.confidence(2), seeds=[1])
    except unmask.errors.CanvasError:
        return
    torch.testing.assert_close(padded.logprob[:, 3:], alone.logprob)
    assert padded.tokens[:, 3:].tolist() == alone.tokens.tolist()
