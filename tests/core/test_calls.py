"""Calls of everything public: numpy's numbers are numbers, and a misspelt name is told."""

import importlib
import inspect
import pickle
import pkgutil

import numpy as np
import pytest

import unmask
from unmask import Canvas, Engine, Groups, Sampling, Strategy, commit, orders, presets
from unmask.core.calls import check_calls
from unmask.core.network import DenoiserSpec
from unmask.errors import ArgumentError, InputError, StrategyError, UnmaskError

PACKAGES = [
    "candidates", "commit", "constraints", "data", "engine", "evaluation", "growth", "guidance",
    "models", "objectives", "orders", "presets", "revise", "scoring", "stopping",
    "tasks", "text", "training", "viz",
]  # fmt: skip
SINGLE = {"core.network": ["DenoiserSpec"],
          "decoding": ["Canvas", "Strategy", "done", "finish", "init", "row_seeds", "step"],
          "sampling": ["Annealed", "Sampling", "SquaredDecay"],
          "groups": ["Groups"],
          "noise": ["MaskToken", "PreviousSample", "UniformIds"],
          "schedules": ["Schedule", "custom", "power", "resolve"]}  # fmt: skip


def public():
    """The functions and classes with a constructor that the packages export."""
    for package in PACKAGES:
        module = importlib.import_module(f"unmask.{package}")
        yield from ((f"{package}.{name}", getattr(module, name)) for name in module.__all__)
    for package, names in SINGLE.items():
        module = importlib.import_module(f"unmask.{package}")
        yield from ((f"{package}.{name}", getattr(module, name)) for name in names)


def makes(value):
    """Whether this is called with arguments of its own: no protocol, nor a base class alone."""
    if inspect.isclass(value):
        protocol = getattr(value, "_is_protocol", False)
        return not protocol and not inspect.isabstract(value) and "__init__" in vars(value)
    return inspect.isfunction(value)


CALLED = {name: value for name, value in public() if makes(value)}


def test_all_of_them_are_found():
    assert len(CALLED) > 100
    assert {"presets.maskgit", "engine.generate", "decoding.Canvas", "models.wrap"} <= set(CALLED)


@pytest.mark.parametrize("name", CALLED)
def test_an_argument_that_does_not_exist_is_told(name):
    with pytest.raises(ArgumentError, match=r"takes no nonsense=: .*known") as caught:
        CALLED[name](nonsense=1)
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, InputError)
    assert isinstance(caught.value, UnmaskError)


@pytest.mark.parametrize("name", presets.__all__)
def test_every_option_of_a_preset_is_recognised_with_a_letter_left_out(name):
    make = getattr(presets, name)
    for option in inspect.signature(make).parameters:
        if len(option) > 3:
            misspelt = option[:2] + option[3:]
            with pytest.raises(ArgumentError, match=rf"no {misspelt}=: did you mean '{option}'\?"):
                make(**{misspelt: 1})


BLANK, GOOD = Canvas.blank(1, 3), presets.maskgit(2)
NET = unmask.load("shidoku")
MISSPELT = {
    "a preset": (lambda: presets.maskgit(temprature=1), r"maskgit\(\).*mean 'temperature'"),
    "a strategy": (lambda: Strategy(commit=1, oder=1), r"Strategy\(\).*mean 'order'"),
    "a draw": (lambda: Sampling(temprature=1), r"Sampling\(\).*mean 'temperature'"),
    "generate": (lambda: unmask.generate(NET, BLANK, max_row=2), r"generate\(\).*mean 'max_rows'"),
    "stream": (lambda: unmask.stream(NET, BLANK, sed=2), r"stream\(\).*mean 'seed'"),
    "submit": (lambda: Engine(NET).submit(BLANK, GOOD, sed=[2]), r"Engine\.submit\(\).*'seeds'"),
    "an engine": (lambda: Engine(NET, max_row=2), r"Engine\(\).*mean 'max_rows'"),
    "blank": (lambda: Canvas.blank(2, 3, step=[1, 2]), r"Canvas\.blank\(\).*mean 'steps'"),
    "blank's own": (lambda: Canvas.blank(2, 3, lenght=4), r"Canvas\.blank\(\).*mean 'length'"),
    "ragged's own": (lambda: Canvas.ragged([[1]], padid=1), r"Canvas\.ragged\(\).*mean 'pad_id'"),
    "groups": (lambda: Groups.blocks(sise=3), r"Groups\.blocks\(\).*mean 'size'"),
    "wrap": (lambda: unmask.wrap(print, mask=3), r"wrap\(\).*mean 'mask_id'"),
    "too few": (lambda: Strategy(commit=1), r"Strategy\(\) missing.*'order'; its arguments: comm"),
    "too many": (lambda: presets.maskgit(1, 2, 3, 4, 5), r"maskgit\(\) takes.*; its arguments: st"),
    "no folder": (lambda: unmask.save(NET), r"save\(\) missing.*'folder'; its arguments: denoiser"),
}  # fmt: skip


@pytest.mark.parametrize("what", MISSPELT)
def test_the_nearest_name_is_told(what):
    call, message = MISSPELT[what]
    with pytest.raises(ArgumentError, match=message):
        call()


def test_a_type_error_within_a_call_is_left_as_it_is():
    with pytest.raises(TypeError, match="takes 1 positional argument but 3") as caught:
        unmask.best_of(NET, BLANK, GOOD, n=1, by=lambda one: one)
    assert not isinstance(caught.value, ArgumentError)


def test_a_step_of_an_engine_goes_through_no_check_of_a_call():
    run = importlib.import_module("unmask.engine.run")
    constraint = importlib.import_module("unmask.constraints.constraint")
    inside = [Engine.step, run.complete, constraint.illegal_at]
    assert [each.__name__ for each in inside if hasattr(each, "__wrapped__")] == []


def test_functions_are_checked_once_and_stay_what_they_are():
    before = presets.maskgit
    check_calls("unmask.presets")
    assert presets.maskgit is before
    assert pickle.loads(pickle.dumps(before)) is before
    assert list(inspect.signature(before).parameters)[:2] == ["steps", "schedule"]
    assert before.__module__ == "unmask.presets.image"


NUMBERS = {
    "steps": lambda i, f: presets.maskgit(steps=i(12)),
    "small steps": lambda i, f: presets.random_order(i(100)),
    "temperature": lambda i, f: presets.maskgit(temperature=f(0.5)),
    "a draw": lambda i, f: Sampling(f(0.5), top_k=i(3), top_p=f(0.5), min_p=f(0.25)),
    "a share": lambda i, f: presets.annealed(keep=f(0.5)),
    "a threshold": lambda i, f: presets.threshold(f(0.5), block=i(4)),
    "counts": lambda i, f: commit.Explicit([i(2), i(1)]),
    "ids": lambda i, f: unmask.Constraint(forbidden=[i(2)]),
    "noise": lambda i, f: orders.ChoiceNoise(orders.Random(), f(4.5)),
    "a power": lambda i, f: unmask.schedules.power(f(2.0)),
    "blocks": lambda i, f: Groups.blocks(i(4)),
    "guidance": lambda i, f: unmask.Guidance(f(2.0)),
    "the end": lambda i, f: unmask.stopping.EndOfSequence(i(2)),
    "a budget": lambda i, f: unmask.stopping.Budget(i(2)),
    "a spec": lambda i, f: DenoiserSpec(i(6), i(5), default_length=i(3)),
}


@pytest.mark.parametrize("integer", [np.int8, np.uint8, np.int32, np.int64])
@pytest.mark.parametrize("number", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("what", NUMBERS)
def test_numbers_of_numpy_are_numbers(what, integer, number):
    made, plain = NUMBERS[what](integer, number), NUMBERS[what](int, float)
    assert made == plain
    assert hash(made) == hash(plain)
    assert repr(made) == repr(plain)


def test_generation_and_scoring_take_numbers_of_numpy():
    def flat(tokens):
        return tokens.new_zeros((*tokens.shape, 6)).float()

    one = np.int64
    net = unmask.wrap(flat, mask_id=one(5), vocab_size=one(6), length=one(4))
    found = unmask.generate(net, batch_size=one(2), length=one(3), seed=one(7), max_rows=one(1))
    assert found.tolist() == unmask.generate(net, batch_size=2, length=3, seed=7).tolist()
    by = unmask.scoring.Bound(one(3))
    scored = unmask.score(net, found.numpy(), by=by, seed=one(3), batch_size=one(4))
    assert scored.tokens == 6
    best = unmask.best_of(net, Canvas.blank(one(2), one(3)), n=one(2), seed=one(1))
    assert best.score.shape == (2, 2)


def test_what_numpy_has_for_true_is_no_number():
    with pytest.raises(StrategyError, match="steps=True"):
        presets.maskgit(steps=np.True_)


def test_packages_with_exports_are_listed_here():
    """All that export something, but for the command line, compat, kernels, and those of SINGLE."""
    found = {
        module.name.removeprefix("unmask.")
        for module in pkgutil.iter_modules(unmask.__path__, "unmask.")
        if module.ispkg and hasattr(importlib.import_module(module.name), "__all__")
    }
    apart = {"cli", "compat", "kernels"}
    assert found - apart - set(SINGLE) == set(PACKAGES)
