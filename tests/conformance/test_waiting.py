"""No step of a fixed plan asks the device for a number; any other asks once.

Two ways of looking: tensors that hold no numbers at all (fake ones), on which whatever depends on a
number raises; and counting, on the CPU treated like a device whose numbers are far away.
"""

import sys
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.conformance.cases import hard
from tests.conformance.catalogue import EVERY
from tests.conformance.test_networks import MASK as UNKNOWN
from tests.conformance.test_networks import MASKED_LMS, NETWORKS, X_TRANSFORMERS, build
from tests.conformance.toys import MASK, VOCAB, Toy, flat
from tests.engine.networks import Padded, Told
from tests.reference.caches import forget_devices
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    FakeTensorMode,
    unset_fake_temporarily,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

import unmask
from unmask import Canvas, Groups, guidance, orders, presets, revise, stopping
from unmask.core import arrays
from unmask.core.state import State
from unmask.decoding import done, finish, init, step
from unmask.errors import LogitsError, StrategyError

FAR = frozenset()  # devices whose numbers are at hand


@pytest.fixture
def far(monkeypatch):
    monkeypatch.setattr(arrays, "_AT_HAND", FAR)
    yield
    # What was made without numbers must not be found by others.
    forget_devices()


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
    adaptive |= {
        "frechet_profile",
        "local_leap",
        "hierarchy",
        "prophet",
        "credit",
        "adablock",
        "token_to_mask",
    }
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


@pytest.mark.parametrize("entry", FIXED, ids=lambda e: e.name)
def test_so_does_one_on_a_network_with_a_cache(entry, far):
    state, strategy = begun(entry)
    assert run_without_numbers(Toy(), state, strategy) == int(state.rows.plan.total.max())


@pytest.mark.parametrize("entry", FIXED[::7], ids=lambda e: e.name)
def test_so_do_some_of_its_rows(entry, far):
    """Out of order, and one of them twice, as `best_of` has them."""
    state, strategy = begun(entry)
    part = state.take(np.array([4, 0, 4]))
    assert run_without_numbers(Padded(), part, strategy) == int(part.rows.plan.total.max())


WEIGHTS = pytest.mark.parametrize(
    "weight",
    [2.0, guidance.LinearWeight(3.0), guidance.RatioWeight(), guidance.PowerCosineWeight(3.0)],
    ids=lambda w: type(w).__name__,
)


def begun_guided(strategy, weight):
    strategy = strategy.but(guidance=guidance.Guidance(weight))
    canvas = Canvas.blank(3, 8, condition=torch.tensor([0, 1, 2]))
    return init(Told(), canvas, strategy, [1, 2, 3]), strategy


@WEIGHTS
def test_so_does_guidance_with_a_changing_weight(weight, far):
    state, strategy = begun_guided(presets.maskgit(4), weight)
    assert run_without_numbers(Told(), state, strategy) == 4


@pytest.mark.parametrize("name", NETWORKS)
def test_so_does_a_real_network(name, far):
    """What such a network reads by itself does not show here: see those that are counted below."""
    denoiser = unmask.wrap(build(name).eval(), mask_id=UNKNOWN)
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


@contextmanager
def asked_far_away():
    """What is asked of the CPU as if its numbers were far away, by whatever runs within."""
    read, asked = arrays.on_host, Asked()

    def counting(tensor):
        asked.count += 1
        return read(tensor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "_AT_HAND", FAR)
        for name, module in list(sys.modules.items()):
            if name.startswith("unmask") and getattr(module, "on_host", None) is read:
                patch.setattr(module, "on_host", counting)
        with asked:
            yield asked


def asks(network, state, strategy, change=lambda state: state):
    """How often each step asked, and the state after the last; change: done to it in between."""
    counts = []
    with asked_far_away() as asked:
        while not done(state):
            before = asked.count
            state = step(state, network, strategy).state
            done(state)  # to know whether it was the last
            state = change(state)
            counts.append(asked.count - before)
    return counts, state


def most_asked(state):
    return 0 if state.exact_counts else 1


ASKING_ONCE = [e for e in OTHERS if "wino" not in e.name and "Verify" not in e.name]


@pytest.mark.parametrize("entry", ASKING_ONCE, ids=lambda e: e.name)
def test_any_other_asks_once_a_step(entry):
    strategy, canvas = hard().strategy(entry), hard().canvas(entry=entry)
    expected = unmask.run(Toy(), canvas, strategy, seeds=hard().seeds)
    counts, state = asks(Toy(), begun(entry)[0], strategy)
    assert set(counts) == {1}
    assert state.tokens.tolist() == expected.tokens.tolist()


@pytest.mark.parametrize("entry", FIXED[::7], ids=lambda e: e.name)
def test_a_fixed_plan_asks_nothing_by_count_too(entry):
    state, strategy = begun(entry)
    counts, after = asks(Toy(), state, strategy)
    assert counts == [0] * int(state.rows.plan.total.max())
    expected = unmask.run(Toy(), hard().canvas(entry=entry), strategy, seeds=hard().seeds)
    assert after.tokens.tolist() == expected.tokens.tolist()


def moved(state):
    """Its rows in another order, taken apart and put together again, within more columns."""
    backwards = np.arange(len(state))[::-1]
    state = state.take(backwards)
    apart = [state.take([row]) for row in range(len(state))]
    length = state.tokens.shape[1]
    state = State.concat([apart[0].resize(max(length, min(length + 1, 12))), *apart[1:]])
    return state.put(backwards[:2], state.take(backwards[:2]))


@pytest.mark.parametrize("entry", [*FIXED[::7], *ASKING_ONCE[::5]], ids=lambda e: e.name)
def test_no_more_is_asked_when_rows_move_between_the_steps(entry):
    state, strategy = begun(entry)
    if entry.fixed_length:
        pytest.skip("an order for one length")
    counts, _ = asks(Toy(), state.take([0, 1, 0, 4]), strategy, moved)
    assert set(counts) == {most_asked(state)}


@pytest.mark.parametrize(
    "preset", [presets.maskgit, presets.random_order, presets.threshold, presets.entropy_bound]
)
@WEIGHTS
def test_no_more_is_asked_for_a_changing_weight(preset, weight):
    state, strategy = begun_guided(preset(), weight)
    counts, _ = asks(Told(), state, strategy)
    assert set(counts) == {most_asked(state)}
    part = state.take([2, 0, 2])
    counts, _ = asks(Told(), part, strategy)
    assert set(counts) == {most_asked(part)}


PROMPT = 7
# transformers looks whether anything is padding in each pass that is told of padding, by itself.
LOOKING = pytest.mark.xfail(strict=True, reason="transformers asks when it is told of padding")
REAL = [
    *((name, [9, 9]) for name in NETWORKS),
    *((name, [9, 5]) for name in NETWORKS),  # rows are cut: no pass has padding
    *((name, [9, 8]) for name in X_TRANSFORMERS),
    *(pytest.param(name, [9, 8], marks=LOOKING) for name in [*MASKED_LMS, "DistilBERT"]),
]


@pytest.mark.parametrize(
    "strategy", [presets.confidence(3), presets.threshold(0.3)], ids=["fixed", "adaptive"]
)
@pytest.mark.parametrize(("name", "lengths"), REAL)
def test_no_more_is_asked_of_a_real_network(name, lengths, strategy):
    denoiser = unmask.wrap(build(name).eval(), mask_id=UNKNOWN)
    rows = [[PROMPT] * length for length in lengths]
    canvas = Canvas.ragged(rows, [[i > 1 for i in range(length)] for length in lengths])
    state = init(denoiser, canvas, strategy, [1, 2])
    counts, _ = asks(denoiser, state, strategy)
    assert set(counts) == {most_asked(state)}


@pytest.mark.parametrize(
    ("strategy", "most"), [(presets.confidence(3), 0), (presets.threshold(0.3, block=3), 1)]
)
def test_an_engine_asks_no_more_whatever_rows_come_and_go(strategy, most):
    """But where rows of a fixed plan finish: whether something went wrong with them."""
    with asked_far_away() as asked:
        engine = unmask.Engine(Padded(), max_rows=3)
        engine.submit(Canvas.blank(2, 6), strategy, [1, 2])
        counts = []
        for turn in range(100):
            if turn == 1:
                ids = engine.submit(Canvas.blank(4, 7), strategy, [3, 4, 5, 6])
            if turn == 2:
                engine.cancel(ids[1:2])
            before = asked.count
            events = engine.step()
            over = sum(len(event.finished) > 0 for event in events) if most == 0 else 0
            counts.append((asked.count - before, most * len(events) + over))
            if not len(engine.unfinished):
                break
    assert len(counts) > 4
    assert all(asked <= allowed for asked, allowed in counts), counts


@pytest.mark.parametrize(
    "strategy", [presets.confidence(3), presets.threshold(0.3)], ids=["fixed", "adaptive"]
)
def test_the_record_is_asked_for_once_at_most(strategy):
    state = init(Padded(), Canvas.blank(3, 6), strategy, [1, 2, 3])
    _, state = asks(Padded(), state, strategy)
    with asked_far_away() as asked:
        finish(state)
    assert asked.count == 1 - most_asked(state), "a report has told of what went wrong, if anything"


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
    with pytest.raises(
        StrategyError, match=r"one number ≥ 0 for each row, at most 1e\+30 \(step 0, rows \[0\]\)"
    ):
        unmask.run(Toy(), Canvas.blank(1, 4), cold, seed=0)


class Passing(Padded):
    """Counts its passes."""

    passes = 0

    def forward(self, query, cache):
        self.passes += 1
        return super().forward(query, cache)


@pytest.mark.parametrize("fill", [0.2, 0.5])
def test_verification_asks_thrice_at_most_beside_its_passes(fill):
    """How many there are to verify, which they are, and the report; and of each pass its faults."""
    strategy = presets.wino(fill, 0.9, block=5)
    assert isinstance(strategy.revise, revise.Verify), "and is left out above"
    network, passes = Passing(), []
    state = init(network, hard().canvas(), strategy, hard().seeds)

    def note(after):
        passes.append(network.passes)
        return after

    counts, _ = asks(network, state, strategy, note)
    beside = np.diff(passes, prepend=0) - 1
    assert max(beside) > 0
    assert all(count <= 3 + more for count, more in zip(counts, beside, strict=True))


@pytest.mark.parametrize(
    "strategy",
    [
        presets.random_order(8).but(
            groups=Groups.blocks(3), stopping=[stopping.EndOfSequence(3), stopping.Budget(2)]
        ),
        presets.sdar(None, 3, 3).but(order=orders.Random(), stopping=[stopping.Budget(2)]),
    ],
    ids=["an end", "shares"],
)
def test_a_blind_order_asks_everywhere_at_the_last_step_of_a_budget(strategy):
    canvas, seeds = Canvas.ragged([[0] * 9, [0] * 5]), [1, 2]
    expected = unmask.run(Toy(), canvas, strategy, seeds=seeds)
    state = init(Toy(), canvas, strategy, seeds)
    counts, after = asks(Toy(), state, strategy)
    assert set(counts) == {1}
    assert after.tokens.tolist() == expected.tokens.tolist()
