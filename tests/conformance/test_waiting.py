"""No step of a fixed pace asks the device for a number; any other asks once.

Two ways of looking: tensors that hold no numbers at all (fake ones), on which whatever depends on a
number raises; and counting, on the CPU treated like a device whose numbers are far away.
"""

import importlib
from dataclasses import replace

import pytest
import torch
from tests.conformance.cases import hard
from tests.conformance.catalogue import EVERY
from tests.conformance.toys import MASK, VOCAB, Toy, flat
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

import unmask
from unmask import Canvas, head, host, orders, presets, revise
from unmask.decoding import ahead, done, faults, init, step, veil
from unmask.errors import LogitsError, StrategyError

FAR = frozenset()  # devices whose numbers are at hand


@pytest.fixture
def far(monkeypatch):
    monkeypatch.setattr(host, "_AT_HAND", FAR)
    yield
    # What was made without numbers must not be found by others.
    for cached in (orders.fixed._halton_score, head._on, veil._all_but):
        cached.cache_clear()


def begun(entry):
    case = hard()
    strategy = case.strategy(entry)
    return init(Toy(), case.canvas(), strategy, case.seeds), strategy


def foretold(entry):
    return begun(entry)[0].ahead.timetable is not None


FIXED = [entry for entry in EVERY if foretold(entry)]
OTHERS = [entry for entry in EVERY if entry not in FIXED]


def test_what_is_fixed():
    names = {entry.function.__name__ for entry in FIXED}
    assert {"annealed", "maskgit", "random_order", "mask_predict", "mdlm", "llada"} <= names
    adaptive = {"threshold", "factor", "entropy_bound", "klass", "wino", "llada21", "remdm"}
    assert not adaptive & names


def fake(state, strategy, mode):
    """The state in tensors without numbers, with what the host knows of it after `init`."""

    def hollow(name, part):
        return tree_map(lambda x: mode.from_tensor(x) if isinstance(x, torch.Tensor) else x, part)

    out = state._map(hollow)
    for tensor, hollowed in ((state.valid, out.valid), (state.row, out.row)):
        host.carry(hollowed, tensor, slice(None))
    known = ahead.asking(out, strategy, state.ahead.timetable)
    return replace(out, ahead=known)


@pytest.mark.parametrize("entry", FIXED, ids=lambda e: e.name)
def test_a_fixed_pace_runs_on_tensors_without_numbers(entry, far):
    state, strategy = begun(entry)
    steps = int(state.total.max())
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        state, taken = fake(state, strategy, mode), 0
        while state.ahead.open.any():  # `done` looks for faults, once, when all is finished
            state, taken = step(state, Toy(), strategy).state, taken + 1
    assert taken == steps


def test_an_adaptive_pace_does_not(far):
    state, strategy = begun(next(e for e in OTHERS if e.name.startswith("threshold")))
    with (
        pytest.raises((DataDependentOutputException, RuntimeError)),
        FakeTensorMode(allow_non_fake_inputs=True) as mode,
    ):
        done(fake(state, strategy, mode))


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
    strategy = case.strategy(entry)
    expected = unmask.run(Toy(), case.canvas(), strategy, seeds=case.seeds)
    monkeypatch.setattr(host, "_AT_HAND", FAR)
    read, asked = host.on_host, Asked()

    def counting(tensor):
        asked.count += 1
        return read(tensor)

    state = init(Toy(), case.canvas(), strategy, case.seeds)
    step = importlib.import_module("unmask.decoding.step")  # which the package hides
    for module in (host, ahead, step, faults):
        monkeypatch.setattr(module, "on_host", counting)
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


def test_a_broken_order_and_temperature_are_said_too(far):
    nan = presets.confidence(4).but(order=lambda s, p: p.logprob * torch.nan)
    with pytest.raises(StrategyError, match="scored row 0, position 0 as NaN at step 0"):
        unmask.run(Toy(), Canvas.blank(1, 4), nan, seed=0)
    cold = presets.confidence(4).but(sampling=unmask.Sampling(lambda r: r - 0.6))
    with pytest.raises(StrategyError, match="less than 0 for row 0 at step 0"):
        unmask.run(Toy(), Canvas.blank(1, 4), cold, seed=0)


def test_verification_asks_twice_at_most_beside_its_passes():
    assert isinstance(presets.wino().revise, revise.Verify), "and is left out above"
