"""Guidance against its formulas, computed in two passes."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from tests.conformance.toys import SumCache
from tests.reference.network import Network
from torch import nn

import unmask
from unmask import Canvas, ClassConditioned, Guidance, guidance, presets
from unmask.core.network import Query
from unmask.errors import CanvasError, StrategyError
from unmask.guidance import HidePrompt, NullCondition
from unmask.models.hf import MaskedLMDenoiser

VOCAB, MASK, CLASSES, LENGTH = 11, 10, 4, 6
CLASSES_OF = torch.tensor([0, 3, 1, 2, 3])


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
    return ClassConditioned(MaskedLMDenoiser(net, MASK), CLASSES).eval()


def guided(strategy, weight, form="from_unconditional", null=-1):
    return strategy.but(guidance=Guidance(weight, form, null))


@torch.no_grad()
def logits_of(model, tokens, condition):
    hidden, _ = model.forward(Query.of(tokens, None, condition), None)
    return model.logits(hidden.flatten(0, 1)).view(*tokens.shape, VOCAB)


def steps(denoiser, canvas, strategy, seed=0):
    """Each step as (state before, what the network was shown, info); no row leaves early."""
    state = unmask.init(denoiser, canvas, strategy, range(seed, seed + len(canvas.tokens)))
    while not unmask.done(state):
        shown = state.tokens.masked_fill(state.masked, MASK)
        info = unmask.step(state, denoiser, strategy)
        yield state, shown, info
        state = info.state


def check_draws(info, logits):
    """The proposal's log-probabilities are those of logits (B,N,V) without the mask id."""
    logits = logits.double().clone()
    logits[..., MASK] = -math.inf
    queried = info.proposal.queried
    naive = logits.log_softmax(2).gather(2, info.proposal.token.unsqueeze(2))[..., 0]
    assert queried.any()
    torch.testing.assert_close(
        info.proposal.logprob[queried].double(), naive[queried], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("weight", [-1.0, 0.0, 0.5, 1, 1.5, 5.0])
def test_the_formula_in_two_passes(model, weight):
    canvas = Canvas.blank(5, LENGTH, condition=CLASSES_OF)
    for _, shown, info in steps(model, canvas, guided(presets.confidence(3), weight)):
        with_class, without = logits_of(model, shown, CLASSES_OF), logits_of(model, shown, None)
        assert (with_class - without).abs().max() > 0.1  # the classes matter
        check_draws(info, without + weight * (with_class - without))


@pytest.mark.parametrize("strategy", [presets.random_order(3), presets.maskgit(3)])
def test_weight_one_generates_as_the_model_and_another_does_not(model, strategy):
    classes = torch.arange(32) % CLASSES
    canvas = Canvas.blank(32, LENGTH, condition=classes)
    plain = unmask.generate(model, canvas, strategy, seed=3)
    assert torch.equal(unmask.generate(model, canvas, guided(strategy, 1.0), seed=3), plain)
    assert not torch.equal(unmask.generate(model, canvas, guided(strategy, 3.0), seed=3), plain)
    without = unmask.generate(model, Canvas.blank(32, LENGTH), strategy, seed=3)
    assert torch.equal(unmask.generate(model, canvas, guided(strategy, 0.0), seed=3), without)


def test_rows_are_the_same_alone_as_in_a_batch(model):
    classes = torch.tensor([2, 0, 3])
    strategy = guided(presets.confidence(3), 2.0)
    rows = [torch.zeros(n, dtype=torch.int64) for n in (LENGTH, 2, 4)]
    canvas = Canvas.ragged(rows, condition=classes)
    together = unmask.generate(model, canvas, strategy, seeds=[7, 8, 9])
    for i, row in enumerate(rows):
        lone = Canvas.ragged([row], condition=classes[i : i + 1])
        alone = unmask.generate(model, lone, strategy, seeds=[7 + i])
        assert torch.equal(alone[0], together[i, : len(row)])


@dataclass(frozen=True)
class SeenCache(SumCache):
    """How often each reading was seen, its condition beside it: `sum` is (R,2)."""

    def take(self, rows):
        return SeenCache(self.sum[torch.from_numpy(rows)], self.begun[rows])


class Counting(Network):
    """Counts calls; the cache is how often each row was seen, its condition beside it."""

    vocab_size, mask_id, cached = VOCAB, MASK, True

    def __init__(self):
        self.trunk, self.head, self.caches = [], [], []

    def forward(self, query, cache):
        tokens, condition = query.tokens, query.condition
        self.trunk.append((tokens.clone(), condition))
        self.caches.append(cache)
        seen = torch.stack([torch.ones(len(tokens)), condition.float()], 1)
        seen[:, 0] += 0 if cache is None else cache.sum[:, 0]
        cache = SeenCache(seen, np.ones(len(tokens), bool))
        return condition.view(-1, 1, 1).expand(*tokens.shape, 1).float(), cache

    def logits(self, hidden):
        self.head.append(len(hidden))
        return hidden * torch.arange(float(VOCAB))


def test_one_pass_of_the_trunk_and_the_head_at_gathered_rows():
    inner = Counting()
    canvas = Canvas.blank(3, LENGTH, condition=torch.tensor([4, 5, 6]))
    unmask.generate(inner, canvas, guided(presets.random_order(3), 2.0), seed=0)
    assert len(inner.trunk) == 3
    for tokens, condition in inner.trunk:
        assert torch.equal(tokens[::2], tokens[1::2])
        assert condition.tolist() == [4, -1, 5, -1, 6, -1]
    # A blind order commits 2 positions a row and step: 3 rows, each asked twice.
    assert inner.head == [2 * 3 * 2] * 3


def test_a_cache_belongs_to_each_row_and_reading():
    """The short row leaves after its only position; the other's caches go on as they were."""
    inner = Counting()
    rows = [torch.zeros(1, dtype=torch.int64), torch.zeros(3, dtype=torch.int64)]
    canvas = Canvas.ragged(rows, condition=torch.tensor([4, 5]))
    unmask.generate(inner, canvas, guided(presets.random_order(3), 2.0), seeds=[0, 1])
    assert inner.caches[0] is None
    seen = [cache.sum.tolist() for cache in inner.caches[1:]]
    assert [1.0, 5.0] in seen[0]
    assert seen[-1] == [[2.0, 5.0], [2.0, -1.0]]


def test_an_id_ruled_out_by_either_side_stays_out():
    ruled = torch.zeros(2, 1, VOCAB)
    ruled[0, 0, 0] = ruled[1, 0, 1] = -torch.inf
    for weight in (2.0, 0.0, 1.0, -1.0, torch.tensor([[2.0]])):
        for form in FORMS:
            out = Guidance(1.0, form).combine(*ruled.clone(), weight)
            assert torch.isneginf(out).tolist() == [[True, True] + [False] * (VOCAB - 2)]
            assert not out.isnan().any()


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (None, "guidance needs a condition.*got none.*condition=classes"),
        ({"context": "a word"}, "guidance needs a condition.*got a dict"),
        (torch.tensor([1, -1]), r"rows \[1\] have the condition -1, which is the null condition"),
        (torch.tensor([[1, -1], [-1, -1]]), r"rows \[1\] have the condition -1"),
    ],
)
def test_rows_without_a_condition_are_refused(condition, message):
    canvas = Canvas.blank(2, LENGTH, condition=condition)
    with pytest.raises(CanvasError, match=message):
        unmask.init(Counting(), canvas, guided(presets.random_order(3), 2.0), [0, 1])


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), True, "2", None])
def test_a_weight_that_is_no_number_is_refused(weight):
    with pytest.raises(StrategyError, match=r"pass a number, such as 2\.0"):
        Guidance(weight)


def test_a_strategy_takes_guidance_and_nothing_like_it():
    with pytest.raises(StrategyError, match=r"guidance=2\.0: pass a Guidance, such as"):
        presets.random_order(3).but(guidance=2.0)


@dataclass(frozen=True)
class Sums:
    """(R,N,D) float64: what a reading has been told so far."""

    sum: torch.Tensor
    begun: np.ndarray

    def take(self, rows):
        return Sums(self.sum[torch.from_numpy(rows)], self.begun[rows])

    def put(self, rows, part):
        begun = self.begun.copy()
        begun[rows] = part.begun
        return Sums(self.sum.index_copy(0, torch.from_numpy(rows), part.sum), begun)

    def resize(self, length):
        return Sums(self.sum[:, :length], self.begun)

    def blank(self, rows):
        return Sums(self.sum.new_zeros(rows, *self.sum.shape[1:]), np.zeros(rows, bool))

    def concat(self, others):
        every = [self, *others]
        begun = np.concatenate([cache.begun for cache in every])
        return Sums(torch.cat([cache.sum for cache in every]), begun)


class Toy(Network):
    """A float64 network told classes 0 to 3, or -1, that adds up what it has seen as its cache."""

    vocab_size, mask_id, cached = VOCAB, MASK, True

    def __init__(self, width=5):
        generator = torch.Generator().manual_seed(2)

        def table(*shape):
            return torch.randn(shape, generator=generator, dtype=torch.float64)

        self.ids, self.classes, self.head = (
            table(VOCAB, width),
            table(5, width),
            table(width, VOCAB),
        )

    def forward(self, query, cache):
        condition = query.condition
        before = 0 if cache is None else cache.sum
        told = self.ids[query.tokens] + self.classes[condition + 1][:, None]
        now = torch.tanh(told + before)
        return now, Sums(before + now * query.valid[..., None], np.ones(len(now), bool))

    def logits(self, hidden):
        return hidden @ self.head


class Memoryless(Toy):
    """The same without a cache."""

    cached = False

    def forward(self, query, cache):
        return super().forward(query, None)[0], None


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


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("weight", WEIGHTS)
def test_formulas_and_weights_row_by_row_with_a_cache_for_each_reading(form, weight):
    """Rows of 2 and 4 steps: each has a progress, a share and two caches of its own."""
    value, formula = WEIGHTS[weight]
    total = torch.tensor([4, 2, 4, 2, 4])
    canvas = Canvas.blank(5, LENGTH, condition=CLASSES_OF, steps=total.tolist())
    strategy = guided(presets.confidence(4, schedule="linear"), value, form)
    toy, caches = Toy(), [None, None]
    state = unmask.init(toy, canvas, strategy, range(5))
    for step in (1, 2):  # all rows take both
        shown, share = state.tokens.masked_fill(state.masked, MASK), state.masked.double().mean(1)
        readings = []
        for i, classes in enumerate((CLASSES_OF, torch.full_like(CLASSES_OF, -1))):
            hidden, caches[i] = toy.forward(Query.of(shown, None, classes), caches[i])
            readings.append(toy.logits(hidden).numpy())
        w = [formula(step / int(total[b]), float(share[b])) for b in range(5)]
        c, u = readings
        expected = np.stack([FORMS[form](c[b], u[b], w[b]) for b in range(5)])
        info = unmask.step(state, toy, strategy)
        check_draws(info, torch.from_numpy(expected))
        state = info.state


def test_the_form_from_the_conditional_guides_by_one_more():
    c, u = torch.randn(2, 4, VOCAB)
    one = Guidance(2.0, "from_conditional").combine(c, u, 2.0)
    torch.testing.assert_close(one, Guidance(3.0).combine(c, u, 3.0))


class Halves(Network):
    """Hidden states -1 where told a class and 1 where not, in half precision, head exact."""

    vocab_size, mask_id = VOCAB, MASK

    def __init__(self, dtype):
        self.dtype = dtype

    def hidden(self, tokens, *, valid, condition):
        side = torch.where(condition >= 0, -1.0, 1.0).to(self.dtype)
        return side.view(-1, 1, 1).expand(*tokens.shape, 1)

    def logits(self, hidden):
        return hidden * torch.arange(VOCAB).to(self.dtype)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("weight", [1.2345678, 9.8765432, 0.0123456])
def test_half_precision_does_not_round_the_weight(dtype, weight):
    canvas = Canvas.blank(5, LENGTH, condition=CLASSES_OF)
    strategy = guided(presets.confidence(3), lambda progress, ratio: weight * progress)
    for number, (_, shown, info) in enumerate(steps(Halves(dtype), canvas, strategy)):
        w = weight * (number + 1) / 3
        # Rounded to eight bits, the weight alone would be off by up to 1 part in 512.
        expected = ((1 - 2 * w) * torch.arange(VOCAB).double()).expand(*shown.shape, VOCAB)
        check_draws(info, expected)


def test_a_step_costs_two_forwards():
    canvas = Canvas.blank(2, LENGTH, condition=CLASSES_OF[:2])
    strategy = guided(presets.random_order(3), 2.0)
    assert unmask.run(Memoryless(), canvas, strategy, seed=0).forwards.tolist() == [6, 6]

    class Dear(Memoryless):
        forwards = 3

    assert unmask.run(Dear(), canvas, strategy, seed=0).forwards.tolist() == [18, 18]


class Clocked(Memoryless):
    """Asks for the progress itself, whatever the weight."""

    inputs = frozenset({"progress"})

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, query, cache):
        self.seen.append((query.progress.tolist(), query.unknown_share.tolist()))
        return super().forward(query, cache)


@pytest.mark.parametrize("weight", [2.0, guidance.LinearWeight(2.0)])
def test_a_denoiser_that_sees_progress_still_does(weight):
    clocked = Clocked()
    canvas = Canvas.blank(2, 4, condition=CLASSES_OF[:2], steps=[4, 2])
    unmask.generate(clocked, canvas, guided(presets.random_order(4, "linear"), weight), seed=0)
    assert clocked.seen[:2] == [
        ([0.25, 0.25, 0.5, 0.5], [1.0] * 4),
        ([0.5, 0.5, 1.0, 1.0], [0.75, 0.75, 0.5, 0.5]),
    ]
    assert clocked.seen[2:] == [([0.75] * 2, [0.5] * 2), ([1.0] * 2, [0.25] * 2)]


def test_the_critic_of_a_guided_generation_is_told_the_condition():
    seen = []

    def critic(tokens, *, valid, condition):
        seen.append((len(tokens), condition.tolist()))
        return tokens.float()

    canvas = Canvas.blank(3, LENGTH, condition=torch.tensor([2, 0, 1]))
    strategy = guided(presets.token_critic(critic, steps=2), 2.0)
    unmask.generate(Toy(), canvas, strategy, seed=0)
    assert seen == [(3, [2, 0, 1])] * 2


def test_guidance_is_a_value():
    value = Guidance(guidance.LinearWeight(2.0), form="from_conditional", null=3)
    assert value == replace(value)
    assert hash(value) == hash(replace(value))
    assert value != replace(value, null=-1)
    assert Guidance(2.0) == Guidance(guidance.ConstantWeight(2.0))


def test_none_may_be_another_number():
    classes, none = torch.tensor([0, 1, 2, 0, 1]), torch.full((5,), 3)
    canvas = Canvas.blank(5, LENGTH, condition=classes)
    toy = Memoryless()
    for _, shown, info in steps(toy, canvas, guided(presets.confidence(3), 2.0, null=3)):
        c, u = logits_of(toy, shown, classes), logits_of(toy, shown, none)
        check_draws(info, u + 2.0 * (c - u))
    canvas = Canvas.blank(5, LENGTH, condition=torch.tensor([0, 1, 3, 0, 1]))
    with pytest.raises(CanvasError, match=r"rows \[2\] have the condition 3"):
        unmask.generate(toy, canvas, guided(presets.confidence(3), 2.0, null=3), seed=0)


class Nested(Network):
    """Told {"text": (R,3) float, "size": (R,)}; the size is a condition of another kind."""

    vocab_size, mask_id = VOCAB, MASK

    def hidden(self, tokens, *, valid, condition):
        text, size = condition["text"], condition["size"]
        at = torch.arange(VOCAB)
        told = torch.sin(text.sum(1)[:, None, None] + at + tokens.unsqueeze(2) * 0.3)
        return told + 0.2 * size[:, None, None] * at


def test_none_may_be_a_tree_and_what_it_does_not_name_stays():
    text, size = torch.randn(5, 3), torch.arange(5.0)
    empty = torch.tensor([0.5, -0.25, 1.0])
    canvas = Canvas.blank(5, LENGTH, condition={"text": text, "size": size})
    strategy = guided(presets.confidence(3), 2.0, null={"text": empty})
    assert strategy.guidance == guided(strategy, 2.0, null=strategy.guidance.null).guidance
    for _, shown, info in steps(Nested(), canvas, strategy):
        c = logits_of(Nested(), shown, {"text": text, "size": size})
        u = logits_of(Nested(), shown, {"text": empty.expand(5, 3), "size": size})
        check_draws(info, u + 2.0 * (c - u))
    same = guided(presets.confidence(3), 2.0, null=NullCondition({"text": empty}))
    one, other = (unmask.generate(Nested(), canvas, s, seed=1) for s in (strategy, same))
    assert torch.equal(one, other)


def test_a_number_is_none_of_every_entry_of_the_condition():
    told = {"text": torch.randn(5, 3), "size": torch.arange(5.0)}
    canvas = Canvas.blank(5, LENGTH, condition=told)
    for _, shown, info in steps(Nested(), canvas, guided(presets.confidence(3), 2.0)):
        c = logits_of(Nested(), shown, told)
        u = logits_of(Nested(), shown, {k: torch.full_like(v, -1) for k, v in told.items()})
        check_draws(info, u + 2.0 * (c - u))


class Reader(Network):
    """Says of a position what the whole canvas adds up to."""

    vocab_size, mask_id = VOCAB, MASK

    def hidden(self, tokens, *, valid):
        place = torch.arange(tokens.shape[1]) + 1
        told = (tokens * place * valid).sum(1)[:, None, None] * 0.37
        return torch.sin(told + place[:, None] + torch.arange(VOCAB) * 1.3) * 2


def test_none_may_be_the_prompt_hidden():
    tokens = torch.arange(5 * LENGTH).view(5, LENGTH) % MASK
    editable = torch.ones(5, LENGTH, dtype=torch.bool)
    editable[:, :2] = False
    canvas = Canvas.infill(tokens, editable)
    strategy = guided(presets.confidence(3), 2.0, null=HidePrompt())
    for _, shown, info in steps(Reader(), canvas, strategy):
        c = logits_of(Reader(), shown, None)
        u = logits_of(Reader(), shown.masked_fill(~editable, MASK), None)
        assert (c - u).abs().max() > 0.1
        check_draws(info, u + 2.0 * (c - u))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": 2.0, "form": "from_unconditonal"}, "did you mean 'from_unconditional'"),
        ({"weight": 2.0, "form": None}, "known: from_conditional, from_unconditional"),
        (
            {"weight": guidance.LinearWeight},
            r"weight=LinearWeight is a class: .*guidance\.LinearWeight\(3\.0\)",
        ),
        ({"weight": 2.0, "null": "none"}, r"null='none': pass a number, a tree of tensors, or"),
    ],
)
def test_options_that_are_none_are_refused(options, message):
    with pytest.raises(StrategyError, match=message):
        Guidance(**options)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (lambda progress, ratio: 2.0, "returned float for 5 rows: return a tensor with one number"),
        (lambda progress, ratio: progress[:, None], r"returned \(5, 1\) for 5 rows"),
        (lambda progress, ratio: progress / (1 - ratio), "return finite numbers"),
    ],
)
def test_a_function_that_gives_no_weights_is_refused(weight, message):
    canvas = Canvas.blank(5, LENGTH, condition=CLASSES_OF)
    with pytest.raises(StrategyError, match=message):
        unmask.generate(Toy(), canvas, guided(presets.confidence(3), weight), seed=0)


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
    canvas = Canvas.ragged(rows, condition=torch.tensor([1, 2]), steps=[4, 2])
    weight, strategy = Noting(), presets.random_order(4, schedule="linear")
    one = unmask.generate(Toy(), canvas, guided(strategy, weight), seeds=[5, 6])
    first, second = ([0.25, 0.5], [1.0, 1.0]), ([0.5, 1.0], [0.75, 0.5])
    assert weight.told == [first, second, ([0.75], [0.5]), ([1.0], [0.25])]
    constant = guided(strategy, 2.0)
    assert torch.equal(unmask.generate(Toy(), canvas, constant, seeds=[5, 6]), one)


def test_a_network_that_is_a_module_is_guided_without_gradients(model):
    canvas = Canvas.blank(2, LENGTH, condition=CLASSES_OF[:2])
    assert isinstance(model, nn.Module)
    tokens = unmask.generate(model, canvas, guided(presets.confidence(2), 2.0), seed=0)
    assert not tokens.requires_grad
    assert int(tokens.max()) < MASK
