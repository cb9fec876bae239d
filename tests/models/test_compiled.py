"""Compiled and captured trunks: the same results, or the plain trunk and a warning."""

import copy
import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.conformance.toys import MASK, VOCAB, SumCache, Toy, flat
from tests.models.decoders import decoder
from torch import nn
from x_transformers import Encoder, TransformerWrapper

import unmask
from unmask import Canvas, Captured, Compiled, Groups, presets
from unmask.core import arrays
from unmask.core.network import Query
from unmask.errors import CompileWarning, ModelError, StrategyError
from unmask.models import BlockCache
from unmask.models.captured import Recurring

LENGTH = 8


class Net(nn.Module):
    """Every position reads the mean of all that are valid."""

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.embed, self.out = nn.Embedding(VOCAB, 16), nn.Linear(16, VOCAB)

    def forward(self, tokens, valid):
        x = self.embed(tokens) * valid.unsqueeze(-1)
        mean = x.sum(1, keepdim=True) / valid.sum(1).view(-1, 1, 1)
        return self.out(torch.tanh(x + mean))


class Counting:
    """A backend that runs graphs as they are and counts those it was given."""

    def __init__(self):
        self.graphs = 0

    def __call__(self, graph, inputs):
        self.graphs += 1
        return graph.forward


class Rich(Toy):
    """A denoiser of its own kind of which everything is known."""

    length, forwards, inputs = LENGTH, 3, ("progress",)
    device = torch.device("cpu")
    told = ()

    def forward(self, query, cache):
        self.told = (query.condition, query.progress, query.unknown_share)
        return super().forward(query, cache)


def refuse(graph, inputs):
    raise RuntimeError("no compiler here\n\nand a page of advice")


@pytest.fixture(autouse=True)
def forget():
    """Each test compiles anew: torch counts compilations for the whole process."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def net():
    return unmask.wrap(Net(), mask_id=MASK, vocab_size=VOCAB, length=LENGTH)


def ragged():
    return Canvas.ragged([[0] * 8, [0] * 5, [0] * 8, [0] * 3], pad_id=1)


NETWORKS = {
    "module": net,
    "function": lambda: unmask.wrap(flat, mask_id=MASK, vocab_size=VOCAB),
    "own kind, with a cache": Toy,
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("strategy", [presets.maskgit(4), presets.threshold(0.4)])
def test_tokens_are_those_of_the_plain_trunk(name, strategy):
    make, backend = NETWORKS[name], Counting()
    for canvas in (ragged(), Canvas.blank(5, LENGTH)):
        plain = unmask.run(make(), canvas, strategy, seed=1)
        compiled = unmask.run(Compiled(make(), backend=backend), canvas, strategy, seed=1)
        assert torch.equal(plain.tokens, compiled.tokens)
        torch.testing.assert_close(plain.logprob, compiled.logprob)
    assert backend.graphs


def test_conditions_reach_the_network():
    model = unmask.load("digits")
    canvas = Canvas.blank(3, 64, condition=torch.tensor([1, 5, -1]))
    strategy = presets.random_order(2)
    plain = unmask.generate(model, canvas, strategy, seed=2)
    compiled = Compiled(model, backend=Counting())
    assert torch.equal(plain, unmask.generate(compiled, canvas, strategy, seed=2))
    assert compiled.failure is None
    assert compiled.backend.graphs


def test_a_limit_goes_with_compiled_trunks():
    canvas, strategy = Canvas.blank(5, LENGTH), presets.maskgit(4)
    compiled = Compiled(net(), backend=Counting())
    made = unmask.generate(compiled, canvas, strategy, seed=1, max_rows=2)
    assert compiled.failure is None
    assert compiled.backend.graphs
    assert torch.equal(made, unmask.generate(net(), canvas, strategy, seed=1))


def test_rows_that_leave_compile_nothing_anew():
    compiled = Compiled(net(), backend=Counting())
    counts = []
    with torch.no_grad():
        for rows in (7, 6, 5, 3, 2, 1):
            tokens = torch.randint(VOCAB, (rows, LENGTH))
            valid = torch.ones_like(tokens, dtype=torch.bool)
            hidden, _ = compiled.forward(Query.of(tokens, valid), None)
            torch.testing.assert_close(hidden, compiled.inner.net(tokens, valid))
            counts.append(compiled.backend.graphs)
    assert counts[0] == counts[-2] > 0
    assert counts[-1] <= 2 * counts[0]  # one row has a shape of its own


@pytest.mark.parametrize("wrapper", [lambda d: Compiled(d, backend="eager"), Captured])
def test_everything_else_is_the_denoisers_own(wrapper):
    inner = Rich()
    around = wrapper(inner)
    assert isinstance(around, unmask.Denoiser)
    assert around.spec == inner.spec
    assert around.device == inner.device
    assert not wrapper(Toy()).spec.inputs
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = around.nothing_of_the_kind
    tokens = torch.zeros(2, LENGTH, dtype=torch.int64)
    cache = SumCache(tokens[:, 0] + 1, np.array([True, False]))
    extra = {"condition": torch.arange(2), "progress": torch.ones(2)}
    extra["unknown_share"] = torch.zeros(2)
    query = replace(Query.of(tokens), **extra)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CompileWarning)  # Captured is not on CUDA
        hidden, after = around.forward(query, cache)
    assert [part.tolist() for part in inner.told] == [part.tolist() for part in extra.values()]
    expected, remembered = Toy().forward(query, cache)
    assert torch.equal(hidden, expected)
    assert torch.equal(after.sum, remembered.sum)
    assert torch.equal(around.logits(hidden[0]), expected[0])


def test_what_fails_to_compile_runs_plain_and_says_so_once():
    compiled = Compiled(net(), backend=refuse)
    with pytest.warns(CompileWarning, match=r"no compiler here.*runs uncompiled") as seen:
        made = unmask.generate(compiled, ragged(), presets.maskgit(4), seed=1)
    assert len(seen) == 1
    assert "page of advice" not in str(seen[0].message)
    assert "no compiler here" in compiled.failure
    assert torch.equal(made, unmask.generate(net(), ragged(), presets.maskgit(4), seed=1))
    unmask.generate(compiled, ragged(), presets.maskgit(4), seed=1)  # a second warning would raise


def test_a_fault_of_the_network_is_not_blamed_on_the_compiler():
    class Broken(Net):
        def forward(self, tokens, valid):
            return super().forward(tokens, valid)[:, :, :-1] @ torch.ones(3, 3)

    compiled = Compiled(unmask.wrap(Broken(), mask_id=MASK, vocab_size=VOCAB), backend="eager")
    with pytest.raises(unmask.errors.DenoiserError, match="step 0") as caught:
        unmask.generate(compiled, Canvas.blank(2, LENGTH), seed=1)
    assert "shapes cannot be multiplied" in str(caught.value)
    assert compiled.failure is None


def test_a_lack_of_memory_is_no_failure_to_compile():
    calls = []

    class Hungry(Toy):
        def forward(self, query, cache):
            calls.append(len(query.tokens))
            raise torch.OutOfMemoryError("CUDA out of memory")

    compiled = Compiled(Hungry(), backend="eager")
    with pytest.raises(torch.OutOfMemoryError):
        compiled.forward(Query.of(torch.zeros(1, 1)), None)
    assert compiled.failure is None
    assert len(calls) == 1  # not once more without the compiler


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda d: pickle.loads(pickle.dumps(d))])
def test_copies_have_their_own_weights(copied):
    original = Compiled(net(), backend="eager")
    canvas, strategy = ragged(), presets.maskgit(4)
    first = unmask.generate(original, canvas, strategy, seed=1)
    other = copied(original)
    other.inner.net.load_state_dict(Net(seed=7).state_dict())
    reference = unmask.wrap(Net(seed=7), mask_id=MASK, vocab_size=VOCAB)
    expected = unmask.generate(reference, canvas, strategy, seed=1)
    assert torch.equal(unmask.generate(other, canvas, strategy, seed=1), expected)
    assert torch.equal(unmask.generate(original, canvas, strategy, seed=1), first)
    assert not torch.equal(first, expected)


def test_saving_writes_wrappers_and_the_denoiser_within(tmp_path):
    model = net()
    unmask.save(Captured(Compiled(model, backend="eager")), tmp_path / "model")
    opened = unmask.load(tmp_path / "model", net=Net(seed=7))
    assert isinstance(opened, Captured)
    assert isinstance(opened.inner, Compiled)
    assert opened.inner.backend == "eager"
    again = opened.inner.inner
    for name, value in model.net.state_dict().items():
        assert torch.equal(value, again.net.state_dict()[name])


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Compiled(Net()), ModelError, "Net is not a denoiser: wrap it"),
        (lambda: Captured(Net()), ModelError, "Net is not a denoiser: wrap it"),
        (lambda: Compiled(Toy(), mode="reduce-overhead"), ModelError, r"use Captured\(Compiled"),
        (
            lambda: Compiled(Toy(), mode="max-autotune-no-cudagraphs", backend="eager"),
            ModelError,
            "is for the backend 'inductor', not 'eager'",
        ),
        (lambda: Captured(Toy(), after=0), StrategyError, "after=0: pass an integer"),
        (lambda: Captured(Toy(), most=True), StrategyError, "most=True: pass an integer"),
    ],
)
def test_what_cannot_work_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_off_cuda_nothing_is_captured_and_it_is_said_once():
    captured = Captured(net())
    with pytest.warns(CompileWarning, match=r"tokens are on cpu.*leave Captured out") as seen:
        made = unmask.generate(captured, ragged(), presets.maskgit(4), seed=1)
    assert len(seen) == 1
    assert torch.equal(made, unmask.generate(net(), ragged(), presets.maskgit(4), seed=1))


def test_shapes_are_captured_that_come_up_again():
    recurring = Recurring(after=2, most=2)
    assert [recurring.due("a", held=0) for _ in range(3)] == [False, False, True]
    assert [recurring.due("b", held=1) for _ in range(3)] == [False, False, True]
    assert [recurring.due("c", held=2) for _ in range(4)] == [False] * 4
    assert [recurring.due(size, held=0) for size in range(9)] == [False] * 9


def test_only_calls_like_those_captured_may_replay():
    captured = Captured(net())
    tokens, shorter = torch.zeros(2, LENGTH).long(), torch.ones(2, LENGTH, dtype=torch.bool)
    shorter[1, 5:] = False
    whole, ragged = Query.of(tokens), Query.of(tokens, shorter)
    captured.eval()
    with torch.no_grad():
        assert captured._may_replay(whole)
        assert not captured._may_replay(ragged)
    assert not captured._may_replay(whole)  # gradients
    captured.train()
    with torch.no_grad():
        assert not captured._may_replay(whole)  # dropout


def test_adapters_ask_nothing_of_a_device_that_the_host_knows(monkeypatch):
    """What a CUDA graph cannot hold is counted here by the operations that fetch a number."""
    monkeypatch.setattr(arrays, "_AT_HAND", frozenset())
    encoder = Encoder(dim=16, depth=1, heads=2)
    encoder = TransformerWrapper(num_tokens=VOCAB, max_seq_len=LENGTH, attn_layers=encoder)
    query = Query.of(torch.zeros(2, LENGTH, dtype=torch.int64))
    looks = []

    class Fetches(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if function is torch.ops.aten._local_scalar_dense.default:
                looks.append(function)
            return function(*args, **(kwargs or {}))

    for denoiser in (
        unmask.wrap(encoder, mask_id=MASK),
        unmask.wrap(by_table, mask_id=MASK, vocab_size=VOCAB),
    ):
        looks.clear()
        with torch.no_grad(), Fetches():
            denoiser.eval().forward(query, None)
        assert not looks
    with torch.no_grad(), Fetches():  # the control: this is how it would be noticed
        bool(query.valid.all())
    assert len(looks) == 1


def by_table(tokens):
    return torch.eye(VOCAB)[tokens].cumsum(1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["module", "own kind, with a cache"])
def test_inductor_gives_the_same_tokens(name):
    """Compiled code where there is a compiler; elsewhere the plain trunk, and a warning."""
    strategy = presets.maskgit(4)
    compiled = Compiled(NETWORKS[name]())
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", CompileWarning)
        for canvas in (Canvas.blank(4, LENGTH), Canvas.blank(3, LENGTH), ragged()):
            made = unmask.run(compiled, canvas, strategy, seed=1)
            plain = unmask.run(NETWORKS[name](), canvas, strategy, seed=1)
            assert torch.equal(made.tokens, plain.tokens)
            torch.testing.assert_close(made.logprob, plain.logprob)
    failed = [each for each in seen if issubclass(each.category, CompileWarning)]
    assert bool(failed) == (compiled.failure is not None)


@pytest.mark.parametrize("kind", ["Decoder", "BlockCache"])
def test_transformers_decoders_compile_without_a_warning(kind):
    """dynamo warns of every memoised function that it has to look into."""
    given = decoder(block=4, layers=1)
    given = given if kind == "Decoder" else BlockCache(given)
    strategy = presets.llada(1, block=4).but(groups=Groups.blocks(4))
    torch._dynamo.reset()
    torch._dynamo.utils.warn_once_cache.clear()
    compiled = Compiled(given, backend="eager")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = unmask.run(compiled, Canvas.blank(1, 4), strategy, seed=1)
    assert [str(warning.message) for warning in said if "cache" in str(warning.message)] == []
    assert compiled.failure is None
    expected = unmask.run(given, Canvas.blank(1, 4), strategy, seed=1)
    assert torch.equal(found.tokens, expected.tokens)
