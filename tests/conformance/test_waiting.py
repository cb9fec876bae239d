"""No step of a fixed plan asks the device for a number; any other asks once.

Two ways of looking: tensors that hold no numbers at all (fake ones), on which whatever depends on a
number raises; and counting, on the CPU treated like a device whose numbers are far away.
"""

import importlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.conformance.cases import hard
from tests.conformance.catalogue import EVERY
from tests.conformance.test_networks import build
from tests.conformance.toys import MASK, VOCAB, Toy, flat
from tests.engine.networks import Padded, Told
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    FakeTensorMode,
    unset_fake_temporarily,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

import unmask
from unmask import Canvas, guidance, noise, orders, presets, revise
from unmask.core import arrays, head
from unmask.decoding import done, finish, init, step
from unmask.errors import LogitsError, StrategyError

FAR = frozenset()  # devices whose numbers are at hand


@pytest.fixture
def far(monkeypatch):
    monkeypatch.setattr(arrays, "_AT_HAND", FAR)
    yield
    # What was made without numbers must not be found by others.
    for cached in (orders.fixed._halton_score, head._on, noise._all_but):
        cached.cache_clear()


def begun(entry):
    case = hard()
    strategy = case.strategy(entry)
    return init(Toy(), case.canvas(entry=entry), strategy, case.seeds), strategy


FIXED = [entry for entry in EVERY if begun(entry)[0].exact_counts]
OTHERS = [entry for entry in EVERY if entry not in FIXED]


def test_what_is_fixed():
    names = {entry.function.__name__ for entry in FIXED}
    assert {"annealed", "maskgit", "random_order", "mask_predict", "mdlm", "llada"} <= names
    adaptive = {"threshold", "factor", "entropy_bound", "klass", "wino", "llada21", "remdm"}
    assert not adaptive & names


def fake(state, mode):
    """The state in tensors without numbers; what the host knows is in `rows`, as it was."""

    def hollow(part):
        return tree_map(lambda x: mode.from_tensor(x) if isinstance(x, torch.Tensor) else x, part)

    names = ("tokens", "masked", "editable", "valid", "group", "logprob", "sampling_logprob")
    more = ("commit_step", "fault", "carries", "condition", "legal", "required")
    return replace(state, **{name: hollow(getattr(state, name)) for name in (*names, *more)})


def on_the_host(function):
    """The function, which works on the host's own numbers: they are real."""

    def real(*given):
        with unset_fake_temporarily():
            return function(*given)

    return real


def run_without_numbers(network, state, strategy):
    """How many steps were taken on tensors that hold no numbers."""
    taken = 0
    with pytest.MonkeyPatch.context() as patch:
        temperatures, weights = unmask.Sampling.temperatures, guidance.Guidance.weights
        patch.setattr(unmask.Sampling, "temperatures", on_the_host(temperatures))
        patch.setattr(guidance.Guidance, "weights", on_the_host(weights))
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            state = fake(state, mode)
            while not done(state):
                state, taken = step(state, network, strategy).state, taken + 1
    return taken


@pytest.mark.parametrize("entry", FIXED, ids=lambda e: e.name)
def test_a_fixed_plan_runs_on_tensors_without_numbers(entry, far):
    state, strategy = begun(entry)
    assert run_without_numbers(Padded(), state, strategy) == int(state.rows.plan.total.max())


@pytest.mark.parametrize("entry", FIXED[::7], ids=lambda e: e.name)
def test_so_do_some_of_its_rows(entry, far):
    state, strategy = begun(entry)
    part = state.take(np.array([4, 0]))
    assert run_without_numbers(Padded(), part, strategy) == int(part.rows.plan.total.max())


@pytest.mark.parametrize(
    "weight",
    [2.0, guidance.LinearWeight(3.0), guidance.RatioWeight(), guidance.PowerCosineWeight(3.0)],
    ids=lambda w: type(w).__name__,
)
def test_so_does_guidance_with_a_changing_weight(weight, far):
    strategy = presets.maskgit(4).but(guidance=guidance.Guidance(weight))
    canvas = Canvas.blank(3, 8, condition=torch.tensor([0, 1, 2]))
    state = init(Told(), canvas, strategy, [1, 2, 3])
    assert run_without_numbers(Told(), state, strategy) == 4


def test_so_does_one_of_transformers_networks(far):
    """A padding mask in which nothing is padding is not passed on: these networks look into it."""
    denoiser = unmask.wrap(build("BERT").eval(), mask_id=MASK)
    strategy = presets.confidence(3)
    state = init(denoiser, Canvas.blank(2, 6), strategy, [1, 2])
    assert run_without_numbers(denoiser, state, strategy) == 3


def test_an_adaptive_rule_does_not(far):
    state, strategy = begun(next(e for e in OTHERS if e.name.startswith("threshold")))
    with pytest.raises((DataDependentOutputException, RuntimeError)):
        run_without_numbers(Padded(), state, strategy)


ASKING = {
    "_local_scalar_dense",
    "nonzero",
    "masked_select",
    "equal",
    "unique_consecutive",
    "_unique2",
}


class Asked(TorchDispatchMode):
    """Counts what would halt the host: numbers read, and results as large as numbers say."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        by_flags = name in ("index", "index_put", "index_put_") and any(
            i is not None and i.dtype == torch.bool for i in args[1]
        )
        self.count += name in ASKING or by_flags
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "entry",
    [e for e in OTHERS if "wino" not in e.name and "Verify" not in e.name],
    ids=lambda e: e.name,
)
def test_any_other_asks_once_a_step(entry, monkeypatch):
    case = hard()
    strategy, canvas = case.strategy(entry), case.canvas(entry=entry)
    expected = unmask.run(Toy(), canvas, strategy, seeds=case.seeds)
    monkeypatch.setattr(arrays, "_AT_HAND", FAR)
    read, asked = arrays.on_host, Asked()

    def counting(tensor):
        asked.count += 1
        return read(tensor)

    state = init(Toy(), canvas, strategy, case.seeds)
    for name in ("apply", "faults"):
        monkeypatch.setattr(importlib.import_module(f"unmask.decoding.{name}"), "on_host", counting)
    with asked:
        while not done(state):
            before = asked.count
            state = step(state, Toy(), strategy).state
            assert asked.count - before <= 1, "within the step"
            done(state)
            assert asked.count - before <= 1, "and to know whether it was the last"
    assert state.tokens.tolist() == expected.tokens.tolist()


def test_the_counter_counts():
    flags = torch.tensor([True, False])
    with Asked() as asked:
        bool(flags.any())
        flags.nonzero()
        flags[flags]
        torch.arange(2)[flags.long()]
    assert asked.count == 3


# --- what goes wrong is said when the host looks ------------------------------------------------


def spoilt(at, value):
    """Logits that turn to `value` where `at` positions of a row are unknown."""

    def net(tokens):
        bad = (tokens == MASK).sum(1) == at
        return flat(tokens).masked_fill(bad.view(-1, 1, 1), value)

    return unmask.wrap(net, mask_id=MASK, vocab_size=VOCAB)


@pytest.mark.parametrize(("value", "why"), [(float("nan"), "NaN"), (float("-inf"), "no legal id")])
@pytest.mark.parametrize("name", ["random_order", "confidence", "threshold"])
def test_bad_logits_are_said_with_their_own_step(name, value, why, far):
    strategy = presets.threshold(1.0) if name == "threshold" else getattr(presets, name)(steps=4)
    with pytest.raises(LogitsError, match=f"row 0, position ., step 2 have {why}"):
        unmask.run(spoilt(2, value), Canvas.blank(2, 4), strategy, seeds=[0, 1])


def test_faults_of_a_fixed_plan_are_said_by_finish(far):
    strategy = presets.random_order(steps=4)
    state = init(spoilt(2, torch.nan), Canvas.blank(2, 4), strategy, [0, 1])
    while not done(state):
        state = step(state, spoilt(2, torch.nan), strategy).state
    with pytest.raises(LogitsError, match="step 2 have NaN"):
        finish(state)


def test_a_broken_order_and_temperature_are_said_too(far):
    nan = presets.confidence(4).but(order=lambda s, p: p.logprob * torch.nan)
    with pytest.raises(StrategyError, match="scored row 0, position 0 as NaN at step 0"):
        unmask.run(Toy(), Canvas.blank(1, 4), nan, seed=0)
    cold = presets.confidence(4).but(sampling=unmask.Sampling(lambda r: r - 0.6))
    with pytest.raises(StrategyError, match="one number ≥ 0 for each row"):
        unmask.run(Toy(), Canvas.blank(1, 4), cold, seed=0)


def test_verification_asks_twice_at_most_beside_its_passes():
    assert isinstance(presets.wino().revise, revise.Verify), "and is left out above"
