"""Guidance against its formulas, computed in two passes."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_map

import unmask
from unmask import Canvas, ClassConditioned, Guidance, Guided, guidance, presets
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


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), True, "2", None])
def test_a_weight_that_is_no_number_is_refused(model, weight):
    for make in (lambda: Guided(model, weight), lambda: Guidance(weight)):
        with pytest.raises(StrategyError, match=r"pass a number, such as 2\.0"):
            make()


def test_what_cannot_be_guided_is_refused(model):
    with pytest.raises(ModelError, match="guided already"):
        Guided(Guided(model, 2.0), 2.0)
    with pytest.raises(ModelError, match="function is no denoiser: wrap it first"):
        Guided(lambda tokens: tokens, 2.0)


class Toy(nn.Module):
    """A float64 network told classes 0 to 3, or -1, that adds up what it has seen as its memory."""

    vocab_size, mask_id = VOCAB, MASK

    def __init__(self, width=5):
        super().__init__()
        generator = torch.Generator().manual_seed(2)

        def table(*shape):
            return torch.randn(shape, generator=generator, dtype=torch.float64)

        self.ids, self.classes, self.head = (
            table(VOCAB, width),
            table(5, width),
            table(width, VOCAB),
        )
        self.rows, self.asked = [], []

    def hidden(self, tokens, *, valid, memory, condition):
        self.rows.append(len(tokens))
        before = 0 if memory is None else memory["sum"]
        now = torch.tanh(self.ids[tokens] + self.classes[condition + 1][:, None] + before)
        return now, {"sum": before + now * valid[..., None], "made by": "toy"}

    def logits(self, hidden):
        self.asked.append(len(hidden))
        return hidden @ self.head


WEIGHTS = {
    "a number": (3.0, lambda r, q: 3.0),
    "constant": (guidance.ConstantWeight(-0.5), lambda r, q: -0.5),
    "linear": (guidance.LinearWeight(4.0), lambda r, q: 4.0 * r),
    "mask ratio": (guidance.RatioWeight(), lambda r, q: q * 10 + (1 - q) * 1),
    "other ends": (guidance.RatioWeight(2.0, 6.0), lambda r, q: q * 2 + (1 - q) * 6),
    "power cosine": (
        guidance.PowerCosineWeight(5),
        lambda r, q: 5 * (1 - math.cos(math.pi * r**3)) / 2,
    ),
    "exponent": (
        guidance.PowerCosineWeight(5, 1),
        lambda r, q: 5 * (1 - math.cos(math.pi * r)) / 2,
    ),
    "a function": (lambda progress, ratio: progress - ratio, lambda r, q: r - q),
}
FORMS = {
    "from_unconditional": lambda c, u, w: u + w * (c - u),
    "from_conditional": lambda c, u, w: c + w * (c - u),
}
WHEN = {
    "progress": torch.tensor([1 / 3, 1.0, 0.5, 0.9, 0.04], dtype=torch.float64),
    "ratio": torch.tensor([1.0, 0.0, 0.25, 0.7, 0.04], dtype=torch.float64),
}


def when(guided):
    """What the engine passes to this denoiser."""
    return WHEN if guided.sees_progress else {}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("batched", [True, False])
def test_formulas_and_weights_row_by_row(batch, form, weight, batched):
    tokens, valid, classes = batch
    toy, (value, formula) = Toy(), WEIGHTS[weight]
    guided = Guided(toy, value, form=form, batched=batched)
    given = {"valid": valid, "memory": None}
    hidden, _ = guided.hidden(tokens, **given, condition=classes, **when(guided))
    # The head is asked for some positions, in any order.
    asked = torch.tensor([29, 3, 17, 6, 11, 24, 0])
    got = guided.logits(hidden.flatten(0, 1)[asked])
    assert got.dtype == torch.float32
    c, u = (
        toy.logits(toy.hidden(tokens, **given, condition=one)[0]).flatten(0, 1).numpy()
        for one in (classes, torch.full_like(classes, -1))
    )
    for k, at in enumerate(asked.tolist()):
        w = formula(*(float(WHEN[name][at // LENGTH]) for name in ("progress", "ratio")))
        expected = FORMS[form](c[at], u[at], w)
        np.testing.assert_allclose(got[k].numpy(), expected, rtol=1e-5, atol=1e-5)


def test_the_form_from_the_conditional_guides_by_one_more(model, batch):
    one = logits_of(Guided(model, 2.0, form="from_conditional"), *batch)
    torch.testing.assert_close(one, logits_of(Guided(model, 3.0), *batch))


class Halves(Toy):
    """Hidden states -1 where told a class and 1 where not, in half precision, head exact."""

    def __init__(self, dtype):
        super().__init__()
        self.dtype = dtype

    def hidden(self, tokens, *, valid, memory, condition):
        side = torch.where(condition >= 0, -1.0, 1.0).to(self.dtype)
        return side.view(-1, 1, 1).expand(*tokens.shape, 1), None

    def logits(self, hidden):
        return hidden * torch.arange(VOCAB).to(self.dtype)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("weight", [1.2345678, 9.8765432, 0.0123456])
def test_half_precision_does_not_round_the_weight(batch, dtype, weight):
    tokens, valid, classes = batch
    guided = Guided(Halves(dtype), lambda progress, ratio: weight * progress)
    hidden, _ = guided.hidden(tokens, valid=valid, memory=None, condition=classes, **WHEN)
    assert hidden.dtype == dtype
    w = (weight * WHEN["progress"])[:, None]
    expected = ((1 - 2 * w) * torch.arange(VOCAB)).float()
    # Rounded to eight bits, the weight alone would be off by up to 1 part in 512.
    torch.testing.assert_close(guided.logits(hidden[:, 2]), expected, rtol=1e-4, atol=1e-5)


def test_a_constant_weight_appends_nothing_and_needs_no_progress(batch):
    tokens, valid, classes = batch
    given = {"valid": valid, "memory": None, "condition": classes}
    constant, changing = Guided(Toy(), 2.0), Guided(Toy(), lambda progress, ratio: 0 * ratio + 2)
    assert not constant.sees_progress
    assert not Guided(Toy(), guidance.ConstantWeight(2.0)).sees_progress
    assert changing.sees_progress
    plain, _ = constant.hidden(tokens, **given)
    more, _ = changing.hidden(tokens, **given, **WHEN)
    assert plain.shape[-1] == 2 * 5
    assert more.shape[-1] == 2 * 5 + 2
    assert torch.equal(plain, more[..., :-2])
    assert torch.equal(constant.logits(plain[0]), changing.logits(more[0]))


def test_a_step_costs_two_forwards_of_the_inner_denoiser():
    assert Guided(Toy(), 2.0).forwards_per_step == 2
    assert Guided(Toy(), 2.0, batched=False).forwards_per_step == 2
    dear = Toy()
    dear.forwards_per_step = 3
    assert Guided(dear, 2.0).forwards_per_step == 6


class Clocked(Toy):
    """Asks for the progress itself, whatever the weight."""

    sees_progress = True

    def hidden(self, tokens, *, progress, ratio, **given):
        self.seen = progress.tolist(), ratio.tolist()
        return super().hidden(tokens, **given)


@pytest.mark.parametrize("weight", [2.0, guidance.LinearWeight(2.0)])
def test_an_inner_denoiser_that_sees_progress_still_does(batch, weight):
    tokens, valid, classes = batch
    given = {"valid": valid, "memory": None, "condition": classes, **WHEN}
    told = WHEN["progress"].tolist(), WHEN["ratio"].tolist()
    for batched, times in ((True, 2), (False, 1)):
        guided = Guided(Clocked(), weight, batched=batched)
        assert guided.sees_progress
        guided.hidden(tokens, **given)
        assert guided.inner.seen == (told[0] * times, told[1] * times)


@pytest.mark.parametrize("weight", [2.0, guidance.RatioWeight()])
def test_one_pass_after_the_other_gives_what_one_batch_gives(batch, weight):
    tokens, valid, classes = batch
    valid = valid.clone()
    valid[1, 3:] = False
    memories, outputs = [], []
    for batched in (True, False):
        guided, memory = Guided(Toy(), weight, batched=batched), None
        for _ in range(3):
            hidden, memory = guided.hidden(
                tokens, valid=valid, memory=memory, condition=classes, **when(guided)
            )
        assert guided.inner.rows == ([10] * 3 if batched else [5] * 6)
        memories.append(memory)
        outputs.append(guided.logits(hidden.flatten(0, 1)[:8]))
        assert guided.inner.asked == ([16] if batched else [8, 8])
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-6, atol=1e-6)
    assert memories[0]["sum"].shape == (5, 2, LENGTH, 5)
    assert memories[0]["made by"] == memories[1]["made by"] == "toy"
    torch.testing.assert_close(memories[0]["sum"], memories[1]["sum"], rtol=0, atol=1e-12)


def test_memory_goes_back_to_the_side_and_row_it_came_from(batch):
    """Two steps of a guided network against two steps of each side alone, rows taken between."""
    tokens, valid, classes = batch
    kept = torch.tensor([4, 1])
    for batched in (True, False):
        guided = Guided(Toy(), 0.7, batched=batched)
        _, memory = guided.hidden(tokens, valid=valid, memory=None, condition=classes)
        memory = tree_map(lambda x: x[kept] if isinstance(x, torch.Tensor) else x, memory)
        again = {"valid": valid[kept], "memory": memory, "condition": classes[kept]}
        hidden, _ = guided.hidden(tokens[kept], **again)
        for side, told in enumerate((classes, torch.full_like(classes, -1))):
            _, alone = Toy().hidden(tokens, valid=valid, memory=None, condition=told)
            alone = {"sum": alone["sum"][kept]}
            expected, _ = Toy().hidden(
                tokens[kept], valid=valid[kept], memory=alone, condition=told[kept]
            )
            torch.testing.assert_close(hidden.chunk(2, -1)[side], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("strategy", [presets.random_order(3), presets.maskgit(3)])
def test_one_pass_after_the_other_generates_what_one_batch_does(strategy):
    canvas = Canvas.blank(8, LENGTH, condition=torch.arange(8) % CLASSES)
    one, two = (
        unmask.generate(Guided(Toy(), 2.0, batched=batched), canvas, strategy, seed=3)
        for batched in (True, False)
    )
    assert torch.equal(one, two)


def test_the_critic_of_a_guided_generation_is_told_the_condition():
    seen = []

    def critic(tokens, *, valid, condition):
        seen.append((len(tokens), condition.tolist()))
        return tokens.float()

    canvas = Canvas.blank(3, LENGTH, condition=torch.tensor([2, 0, 1]))
    unmask.generate(Guided(Toy(), 2.0), canvas, presets.token_critic(critic, steps=2), seed=0)
    assert seen == [(3, [2, 0, 1])] * 2


def test_guidance_is_a_value_that_wraps(batch):
    value = Guidance(guidance.LinearWeight(2.0), form="from_conditional", null=3, batched=False)
    assert value == replace(value)
    assert hash(value) == hash(replace(value))
    guided = value.wrap(Toy())
    assert isinstance(guided, Guided)
    assert guided.guidance == value
    assert guided.weight == guidance.LinearWeight(2.0)
    tokens, valid, _ = batch
    classes = torch.tensor([0, 1, 2, 0, 1])
    given = {"valid": valid, "memory": None, "condition": classes, **WHEN}
    hidden, _ = guided.hidden(tokens, **given)
    other = Guided(Toy(), guidance.LinearWeight(2.0), 3, "from_conditional", False)
    assert torch.equal(guided.logits(hidden[0]), other.logits(other.hidden(tokens, **given)[0][0]))
    given = {"valid": valid, "memory": None}
    untold, _ = Toy().hidden(tokens, **given, condition=torch.full_like(classes, 3))
    assert torch.equal(hidden[..., 5:10], untold)
    with pytest.raises(ModelError, match="guided already"):
        value.wrap(guided)
    given = {"valid": valid, "memory": None, "condition": torch.tensor([0, 1, 3, 0, 1]), **WHEN}
    with pytest.raises(CanvasError, match=r"rows \[2\] have the condition 3"):
        guided.hidden(tokens, **given)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": 2.0, "form": "from_unconditonal"}, "did you mean 'from_unconditional'"),
        ({"weight": 2.0, "form": None}, "known: from_conditional, from_unconditional"),
        (
            {"weight": guidance.LinearWeight},
            r"weight=LinearWeight is a class: .*guidance\.LinearWeight\(3\.0\)",
        ),
    ],
)
def test_options_that_are_none_are_refused(options, message):
    with pytest.raises(StrategyError, match=message):
        Guidance(**options)
    with pytest.raises(StrategyError, match=message):
        Guided(Toy(), **options)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (lambda progress, ratio: 2.0, "returned float for 5 rows: return a tensor with one number"),
        (lambda progress, ratio: progress[:, None], r"returned \(5, 1\) for 5 rows"),
        (lambda progress, ratio: progress / (1 - ratio), "return finite numbers"),
    ],
)
def test_a_function_that_gives_no_weights_is_refused(batch, weight, message):
    tokens, valid, classes = batch
    with pytest.raises(StrategyError, match=message):
        Guided(Toy(), weight).hidden(tokens, valid=valid, memory=None, condition=classes, **WHEN)


@pytest.mark.parametrize("missing", ["progress", "ratio"])
def test_a_weight_that_changes_needs_to_know_the_step(batch, missing):
    tokens, valid, classes = batch
    given = {name: value for name, value in WHEN.items() if name != missing}
    with pytest.raises(StrategyError, match=r"no step was told: pass progress= and ratio="):
        Guided(Toy(), guidance.LinearWeight(2.0)).hidden(
            tokens, valid=valid, memory=None, condition=classes, **given
        )


class Noting:
    """A weight that notes what it is told at each step, and is 2 at every one."""

    def __init__(self):
        self.told = []

    def __call__(self, progress, ratio):
        self.told.append((progress.tolist(), ratio.tolist()))
        return torch.full_like(progress, 2.0)


def test_a_generation_tells_the_weight_its_step_and_the_share_unknown():
    """Row 1 has half as many positions and steps, and leaves when it is done."""
    rows = [torch.zeros(n, dtype=torch.int64) for n in (4, 2)]
    canvas = Canvas.ragged(rows, condition=torch.tensor([1, 2]))
    weight, strategy = Noting(), presets.random_order([4, 2], schedule="linear")
    one = unmask.generate(Guided(Toy(), weight), canvas, strategy, seeds=[5, 6])
    first, second = ([0.25, 0.5], [1.0, 1.0]), ([0.5, 1.0], [0.75, 0.5])
    assert weight.told == [first, second, ([0.75], [0.5]), ([1.0], [0.25])]
    assert torch.equal(unmask.generate(Guided(Toy(), 2.0), canvas, strategy, seeds=[5, 6]), one)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("weight", [2.0, guidance.LinearWeight(5.0), guidance.RatioWeight()])
def test_a_strategy_with_guidance_is_that_strategy_on_the_guided_network(form, weight):
    canvas = Canvas.blank(8, LENGTH, condition=torch.arange(8) % CLASSES)
    plain, value = presets.maskgit(3), Guidance(weight, form)
    carried = unmask.run(Toy(), canvas, plain.but(guidance=value), seed=3)
    wrapped = unmask.run(Guided(Toy(), weight, form=form), canvas, plain, seed=3)
    assert torch.equal(carried.tokens, wrapped.tokens)
    assert torch.equal(carried.logprob, wrapped.logprob)
    assert not torch.equal(carried.tokens, unmask.run(Toy(), canvas, plain, seed=3).tokens)
    assert carried.forwards.tolist() == wrapped.forwards.tolist() == [2 * 3] * 8
