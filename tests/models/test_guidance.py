"""Guidance against its formula, computed in two passes."""

import pytest
import torch
from torch import nn

import unmask
from unmask import Canvas, ClassConditioned, Guided, presets
from unmask.errors import CanvasError, ModelError, StrategyError
from unmask.models.adapter import Ids
from unmask.models.hf import MaskedLMDenoiser

VOCAB, MASK, CLASSES, LENGTH = 11, 10, 4, 6


@pytest.fixture(scope="module")
def model():
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BertConfig(
        vocab_size=VOCAB, intermediate_size=16, type_vocab_size=1 + CLASSES, **sizes
    )
    net = BertForMaskedLM(config)
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.3)
    return ClassConditioned(MaskedLMDenoiser(net, Ids(MASK, VOCAB)), CLASSES).eval()


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(VOCAB, (5, LENGTH), generator=generator)
    return tokens, torch.ones(5, LENGTH, dtype=torch.bool), torch.tensor([0, 3, 1, 2, 3])


@torch.no_grad()
def logits_of(model, tokens, valid, condition):
    hidden, _ = model.hidden(tokens, valid=valid, memory=None, condition=condition)
    return model.logits(hidden.flatten(0, 1)).view(*tokens.shape, VOCAB)


@pytest.mark.parametrize("weight", [-1.0, 0.0, 0.5, 1, 1.5, 5.0])
def test_the_formula_in_two_passes(model, batch, weight):
    tokens, valid, classes = batch
    told = logits_of(model, tokens, valid, classes)
    untold = logits_of(model, tokens, valid, None)
    assert (told - untold).abs().max() > 0.1  # the classes matter
    expected = untold + weight * (told - untold)
    torch.testing.assert_close(logits_of(Guided(model, weight), *batch), expected)


@pytest.mark.parametrize("strategy", [presets.random_order(3), presets.maskgit(3)])
def test_weight_one_generates_as_the_model_and_another_does_not(model, strategy):
    classes = torch.arange(32) % CLASSES
    canvas = Canvas.blank(32, LENGTH, condition=classes)
    plain = unmask.generate(model, canvas, strategy, seed=3)
    assert torch.equal(unmask.generate(Guided(model, 1.0), canvas, strategy, seed=3), plain)
    assert not torch.equal(unmask.generate(Guided(model, 3.0), canvas, strategy, seed=3), plain)
    without = unmask.generate(model, Canvas.blank(32, LENGTH), strategy, seed=3)
    assert torch.equal(unmask.generate(Guided(model, 0.0), canvas, strategy, seed=3), without)


def test_rows_are_the_same_alone_as_in_a_batch(model):
    classes = torch.tensor([2, 0, 3])
    guided, strategy = Guided(model, 2.0), presets.confidence(3)
    rows = [torch.zeros(n, dtype=torch.int64) for n in (LENGTH, 2, 4)]
    canvas = Canvas.ragged(rows, condition=classes)
    together = unmask.generate(guided, canvas, strategy, seeds=[7, 8, 9])
    for i, row in enumerate(rows):
        lone = Canvas.ragged([row], condition=classes[i : i + 1])
        alone = unmask.generate(guided, lone, strategy, seeds=[7 + i])
        assert torch.equal(alone[0], together[i, : len(row)])


class Counting(nn.Module):
    """Counts calls; the memory is how often each row was seen, its condition beside it."""

    vocab_size, mask_id = VOCAB, MASK

    def __init__(self):
        super().__init__()
        self.trunk, self.head, self.memories = [], [], []

    def hidden(self, tokens, *, valid, memory, condition):
        self.trunk.append((tokens.clone(), condition))
        self.memories.append(memory)
        seen = torch.stack([torch.ones(len(tokens)), condition.float()], 1)
        seen[:, 0] += 0 if memory is None else memory["seen"][:, 0]
        return condition.view(-1, 1, 1).expand(*tokens.shape, 1).float(), {"seen": seen, "n": 1}

    def logits(self, hidden):
        self.head.append(len(hidden))
        return hidden * torch.arange(float(VOCAB))


def test_one_pass_of_the_trunk_and_the_head_at_gathered_rows():
    inner = Counting()
    canvas = Canvas.blank(3, LENGTH, condition=torch.tensor([4, 5, 6]))
    unmask.generate(Guided(inner, 2.0), canvas, presets.random_order(3), seed=0)
    assert len(inner.trunk) == 3
    for tokens, condition in inner.trunk:
        assert torch.equal(tokens[:3], tokens[3:])
        assert condition.tolist() == [4, 5, 6, -1, -1, -1]
    # A blind order commits 2 positions a row and step: 3 rows, each asked twice.
    assert inner.head == [2 * 3 * 2] * 3


def test_memory_belongs_to_each_row_and_side():
    """The short row leaves after its only position; the other's memories go on as they were."""
    inner = Counting()
    rows = [torch.zeros(1, dtype=torch.int64), torch.zeros(3, dtype=torch.int64)]
    canvas = Canvas.ragged(rows, condition=torch.tensor([4, 5]))
    unmask.generate(Guided(inner, 2.0), canvas, presets.random_order(3), seeds=[0, 1])
    assert inner.memories[0] is None
    seen = [memory["seen"].tolist() for memory in inner.memories[1:]]
    assert [1.0, 5.0] in seen[0]
    assert seen[-1] == [[2.0, 5.0], [2.0, -1.0]]
    assert inner.memories[1]["n"] == 1


def test_an_id_ruled_out_by_either_side_stays_out():
    class Half(Counting):
        def logits(self, hidden):
            out = torch.zeros(len(hidden), VOCAB)
            told = hidden[:, 0] >= 0
            out[told, 0], out[~told, 1] = -torch.inf, -torch.inf
            return out

    out = Guided(Half(), 2.0).logits(torch.tensor([[4.0, -1.0]]))
    assert torch.isneginf(out).tolist() == [[True, True] + [False] * (VOCAB - 2)]
    assert not out.isnan().any()


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (None, "guidance needs a condition.*got none.*condition=classes"),
        ({"context": torch.zeros(2, 1)}, "guidance needs a condition.*got a dict"),
        (torch.tensor([1, -1]), r"rows \[1\] have the condition -1, which is none"),
        (torch.tensor([[1, -1], [-1, -1]]), r"rows \[1\] have the condition -1"),
    ],
)
def test_rows_without_a_condition_are_refused(condition, message):
    tokens = torch.zeros(2, LENGTH, dtype=torch.int64)
    with pytest.raises(CanvasError, match=message):
        Guided(Counting(), 2.0).hidden(tokens, valid=tokens == 0, memory=None, condition=condition)


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), True, "2"])
def test_a_weight_that_is_no_number_is_refused(model, weight):
    with pytest.raises(StrategyError, match=r"pass a number, such as 2\.0"):
        Guided(model, weight)


def test_what_cannot_be_guided_is_refused(model):
    with pytest.raises(ModelError, match="guided already"):
        Guided(Guided(model, 2.0), 2.0)
    with pytest.raises(ModelError, match="function is no denoiser: wrap it first"):
        Guided(lambda tokens: tokens, 2.0)
