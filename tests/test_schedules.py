"""Schedules: their ends, slopes and inverses, and what is refused."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unmask import schedules
from unmask.commit import Remaining, Scheduled
from unmask.errors import ScheduleError
from unmask.schedules import NAMED, Schedule, custom, linear, power, resolve

# γ as a formula of one number; the published one where there is a paper.
FORMULA = {
    "linear": lambda t: 1 - t,
    "log_linear": lambda t: 1 - t,
    "cosine": lambda t: math.cos(math.pi * t / 2),
    "cosine_mdlm": lambda t: 1 - math.cos(math.pi * (1 - t) / 2),
    "arccos": lambda t: 2 * math.acos(t) / math.pi,
    "power(0.5)": lambda t: 1 - math.sqrt(t),
    "power(2)": lambda t: 1 - t**2,
    "power(3)": lambda t: 1 - t**3,
}
EVERY = [resolve(name) for name in FORMULA] + [custom(lambda t: (1 - t) ** 2, "squared")]
by_name = pytest.mark.parametrize("schedule", EVERY, ids=lambda s: s.name)
times = st.floats(0, 1)
inner = st.floats(0.001, 0.999)


def at(*t):
    return torch.tensor(t, dtype=torch.float64)


def test_every_named_schedule_is_tested():
    assert set(NAMED) <= set(FORMULA)


@by_name
def test_falls_from_one_to_zero(schedule):
    grid = torch.linspace(0, 1, 1001, dtype=torch.float64)
    values = schedule(grid)
    assert values.dtype == torch.float64
    assert float(values[0]) == pytest.approx(1, abs=1e-12)
    assert float(values[-1]) == pytest.approx(0, abs=1e-12)
    assert bool((values[1:] < values[:-1]).all())
    assert bool(((values >= 0) & (values <= 1)).all())


@pytest.mark.parametrize("name", FORMULA)
@given(times)
def test_is_its_formula(name, t):
    assert float(resolve(name)(at(t))) == pytest.approx(FORMULA[name](t), abs=1e-12)


@by_name
@given(inner)
def test_derivative_is_the_slope(schedule, t):
    variable = at(t).requires_grad_()
    (slope,) = torch.autograd.grad(schedule.ratio(variable).sum(), variable)
    found = float(schedule.derivative(at(t)))
    assert found == pytest.approx(float(slope), rel=1e-9, abs=1e-12)
    step = 1e-6 * t
    rise = schedule.ratio(at(t + step)) - schedule.ratio(at(t - step))
    assert found == pytest.approx(float(rise) / (2 * step), rel=1e-3, abs=1e-5)
    assert found < 0


@by_name
@given(inner)
def test_inverse_undoes_the_ratio(schedule, t):
    assert float(schedule.inverse(schedule.ratio(at(t)))) == pytest.approx(t, abs=1e-9)
    assert float(schedule.ratio(schedule.inverse(at(t)))) == pytest.approx(t, abs=1e-9)


@by_name
def test_inverse_at_the_ends(schedule):
    found = schedule.inverse(at(1.0, 0.0))
    np.testing.assert_allclose(found.numpy(), [0, 1], atol=1e-7)


@by_name
def test_shape_is_kept(schedule):
    t = torch.rand(2, 3, dtype=torch.float64)
    for curve in (schedule, schedule.ratio, schedule.derivative, schedule.inverse):
        assert curve(t).shape == t.shape


def test_the_two_cosines_mirror_each_other():
    t = torch.linspace(0, 1, 101, dtype=torch.float64)
    masked, mdlm = schedules.cosine(t), schedules.cosine_mdlm(t)
    torch.testing.assert_close(mdlm, 1 - masked.flip(0))
    assert float(masked[50]) == pytest.approx(0.7071, abs=1e-4)
    assert float(mdlm[50]) == pytest.approx(0.2929, abs=1e-4)
    # MaskGIT commits few at first; MDLM many.
    assert float(masked[0] - masked[10]) < 0.02
    assert float(mdlm[0] - mdlm[10]) > 0.15


def test_values_outside_by_rounding_are_clamped():
    wobble = Schedule("wobble", lambda t: 1 + 1e-9 - t * (1 + 2e-9), *[lambda t: t] * 2)
    assert wobble(at(0.0, 1.0)).tolist() == [1.0, 0.0]


# --- custom ----------------------------------------------------------------------------------


@given(times, st.floats(0.3, 5))
def test_custom_agrees_with_the_same_schedule_in_closed_form(t, exponent):
    closed, open_ = power(exponent), custom(lambda t: 1 - t**exponent)
    torch.testing.assert_close(open_(at(t)), closed(at(t)))
    torch.testing.assert_close(open_.inverse(at(t)), closed.inverse(at(t)), rtol=0, atol=1e-9)
    if t > 0.01:
        torch.testing.assert_close(open_.derivative(at(t)), closed.derivative(at(t)))


def test_custom_derivative_works_without_gradients_around():
    square = custom(lambda t: (1 - t) ** 2)
    with torch.no_grad():
        slope = square.derivative(at(0.25))
    assert float(slope) == pytest.approx(-1.5)
    assert not slope.requires_grad


def test_custom_may_be_flat_in_places():
    steps = custom(lambda t: 1 - (t * 2).clamp(max=1))
    assert steps(at(0.25, 0.5, 0.75)).tolist() == [0.5, 0, 0]
    assert float(steps.inverse(at(0.5))) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (lambda t: t, "must start at 1: it is 0 at t=0"),
        (lambda t: 0.9 * (1 - t), "must start at 1: it is 0.9 at t=0"),
        (lambda t: 1 - t / 2, "must end at 0: it is 0.5 at t=1"),
        (lambda t: 2 - 2 * t, "must start at 1: it is 2"),
        (lambda t: 1 - t + 0.3 * torch.sin(4 * math.pi * t), "rises near t=0.0"),
        (lambda t: 1 - t - 0.4 * torch.sin(2 * math.pi * t), "rises near t="),
        (lambda t: (1 - t) * float("nan"), "NaN or infinite"),
        (torch.log, "NaN or infinite"),
        (lambda t: 0.5, r"returned float"),
        (lambda t: (1 - t).sum(), r"returned \(\)"),
        (lambda t: (1 - t)[:, None], r"returned \(257, 1\)"),
        (lambda t: None, "returned NoneType"),
        (lambda t: (1 - t).numpy(), "returned ndarray"),
    ],
)
def test_a_callable_that_does_not_fall_from_one_to_zero_is_refused(ratio, words):
    for make in (custom, resolve):
        with pytest.raises(ScheduleError, match=words):
            make(ratio)


def test_the_message_names_the_function():
    def halfway(t):
        return 1 - t / 2

    with pytest.raises(ScheduleError, match="'halfway' must end at 0"):
        resolve(halfway)


# --- resolve ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(NAMED))
def test_names_resolve(name):
    assert resolve(name) is NAMED[name]
    assert resolve(NAMED[name]) is NAMED[name]


def test_power_resolves_with_its_exponent():
    cubic = resolve("power(3)")
    assert cubic.name == "power(3)"
    assert float(cubic(at(0.5))) == pytest.approx(1 - 0.125)
    assert float(resolve("power(0.5)")(at(0.25))) == pytest.approx(0.5)


def test_a_callable_resolves():
    found = resolve(lambda t: 1 - t**4)
    assert float(found(at(0.5))) == pytest.approx(1 - 0.5**4)


@pytest.mark.parametrize(
    ("given_name", "words"),
    [
        ("cosin", "did you mean 'cosine'"),
        ("Linear", "did you mean 'linear'"),
        ("log-linear", "did you mean 'log_linear'"),
        ("acos", "did you mean 'arccos'"),
        ("power", r"known: .*power\(EXPONENT\)"),
        ("zzz", "unknown schedule 'zzz': known: arccos, cosine, cosine_mdlm"),
        ("", "known: arccos"),
        (None, "unknown schedule None"),
        (3, "unknown schedule 3"),
    ],
)
def test_a_misspelt_name_lists_the_nearest(given_name, words):
    with pytest.raises(ScheduleError, match=words):
        resolve(given_name)


@pytest.mark.parametrize("text", ["power()", "power(x)", "power(1,2)"])
def test_power_without_a_number_is_refused(text):
    with pytest.raises(ScheduleError, match=r"is not a number; type one, such as 'power\(2\)'"):
        resolve(text)


@pytest.mark.parametrize("exponent", [0, -1, math.nan, math.inf])
def test_power_out_of_range_is_refused(exponent):
    with pytest.raises(ScheduleError, match="pass a number above 0"):
        power(exponent)
    with pytest.raises(ScheduleError, match="pass a number above 0"):
        resolve(f"power({exponent})")


@pytest.mark.parametrize("part", ["ratio", "derivative", "inverse"])
def test_a_schedule_without_one_of_its_functions_is_refused(part):
    parts = {"ratio": torch.cos, "derivative": torch.sin, "inverse": torch.acos, part: None}
    with pytest.raises(ScheduleError, match=rf"{part}=None is not a function.*schedules\.custom"):
        schedules.Schedule("mine", **parts)


def by_index(t):
    """A schedule of vectors alone."""
    return torch.stack([1 - each**2 for each in t])


def test_a_schedule_of_vectors_plans_rows_of_several_lengths():
    unknown = np.array([9, 4, 0])
    own, known = (Scheduled(s, 5)(unknown)[0] for s in (by_index, power(2)))
    assert own.tolist() == known.tolist()


@pytest.mark.parametrize(
    "schedule",
    [*NAMED.values(), power(3), custom(by_index), custom(by_index, "power(x)"),
     custom(schedules.cosine.ratio, "mine"),
     Schedule("mine", linear.ratio, linear.derivative, linear.inverse)],
    ids=repr,
)  # fmt: skip
def test_every_schedule_is_pickled(schedule):
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert copy.deepcopy(schedule) == schedule


def test_all_of_more_positions_than_float32_counts():
    assert Remaining(1)(np.array([2**24 + 1]))[0].tolist() == [[0]]
