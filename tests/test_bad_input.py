"""Bad input is an error that names what was passed and says what to type; nothing is ignored.

Canvases are in models/test_canvas.py, folders in models/test_checkpoint.py.
"""

import dataclasses
import inspect
import json
import math
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.conformance.catalogue import planned
from tests.reference.network import Network

import unmask
from unmask import (
    Annealed,
    Canvas,
    Constraint,
    Guidance,
    Sampling,
    SquaredDecay,
    Strategy,
    commit,
    decoding,
    noise,
    orders,
    presets,
    revise,
    schedules,
    stopping,
)
from unmask.core.network import DenoiserSpec
from unmask.errors import (
    CanvasError,
    DenoiserError,
    InputError,
    LogitsError,
    ModelError,
    ScheduleError,
    SeedError,
    StrategyError,
    UnmaskError,
)
from unmask.guidance import HidePrompt
from unmask.stopping import Budget, StableAndConfident

VOCAB, MASK = 6, 5
BLANK = Canvas.blank(3, 4)
NAN, INF = float("nan"), float("inf")


def zeros(tokens):
    return torch.zeros(*tokens.shape, VOCAB)


def wrapped(network=zeros, **options):
    return unmask.wrap(network, **{"mask_id": MASK, "vocab_size": VOCAB, **options})


def generate(network=zeros, canvas=BLANK, strategy=None, **options):
    options = options or {"seeds": [1, 2, 3]}
    return unmask.generate(wrapped(network), canvas, strategy, **options)


class Declares:
    ranks_draws = True

    def __call__(self, state, proposal):
        return proposal.logprob


OPTIONS = {
    "no steps": (lambda: presets.maskgit(steps=0), r"steps=0: pass an integer of 1 or more"),
    "negative steps": (lambda: presets.annealed(-3), r"steps=-3: pass an integer of 1 or more"),
    "half a step": (lambda: presets.annealed(2.5), r"steps=2\.5: pass an integer"),
    "steps of None": (lambda: presets.annealed(None), r"steps=None: pass an integer"),
    "steps in words": (lambda: presets.annealed("12"), r"steps='12': pass an integer"),
    "True steps": (lambda: presets.annealed(True), r"steps=True: pass an integer"),
    "steps of each row": (
        lambda: presets.annealed([3, 2]),
        r"steps=\[3, 2\].*pass them to the canvas",
    ),
    "steps for nobody": (lambda: presets.annealed([]), r"steps=\[\]: pass one integer"),
    "counts with a zero": (lambda: commit.Explicit([2, 0]), r"counts=\[2, 0\].*1 or more"),
    "a lift of NaN": (lambda: commit.Scheduled("cosine", 4, NAN), r"lift=nan: pass a number"),
    "a lift in words": (lambda: commit.Scheduled("cosine", 4, "up"), r"lift='up': pass a number"),
    "a lift of True": (lambda: commit.Scheduled("cosine", 4, True), r"lift=True: pass a number"),
    "a lift beyond integers": (lambda: commit.Scheduled("cosine", 4, 1e300), r"lift=1e\+300: pass"),
    "a lift below 0": (lambda: commit.Scheduled("cosine", 4, -0.1), r"lift=-0\.1: pass a number"),
    "no counts": (lambda: commit.Explicit([]), r"counts=\[\].*1 or more"),
    "negative temperature": (lambda: Sampling(-0.1), r"temperature=-0\.1: pass a number ≥ 0"),
    "temperature NaN": (lambda: Sampling(NAN), r"temperature=nan: pass a number ≥ 0"),
    "temperature inf": (lambda: Sampling(INF), r"temperature=inf: pass a number ≥ 0"),
    "temperature in words": (lambda: Sampling("hot"), r"temperature='hot': pass a number ≥ 0"),
    "a preset's temperature": (
        lambda: presets.maskgit(temperature=-1),
        r"temperature=-1: pass a number ≥ 0",
    ),
    "annealed from below": (lambda: Annealed(-1), r"temperature=-1: pass a number ≥ 0"),
    "annealed from NaN": (lambda: presets.annealed(temperature=NAN), r"temperature=nan"),
    "temperature beyond float32": (
        lambda: Sampling(1e39),
        r"temperature=1e\+39: pass a number ≥ 0 .*at most 1e\+30",
    ),
    "temperature beyond any float": (lambda: Sampling(10**400), r"temperature=1000.*at most"),
    "annealed from beyond float32": (lambda: Annealed(1e39), r"temperature=1e\+39.*at most"),
    "a square beyond float32": (
        lambda: SquaredDecay(1e20),
        r"temperature=1e\+20.*at most 1e\+15",
    ),
    "a rule that was not made": (
        lambda: Sampling(Annealed),
        r"temperature=<.*Annealed.*: pass .*such as Annealed\(\), or a function of progress",
    ),
    "a class of numbers": (lambda: Sampling(float), r"temperature=<class 'float'>: pass a number"),
    "top_p of 0": (lambda: Sampling(top_p=0), r"top_p=0: pass a mass in \(0, 1\]"),
    "top_p above 1": (lambda: Sampling(top_p=1.01), r"top_p=1\.01: pass a mass in \(0, 1\]"),
    "top_p NaN": (lambda: Sampling(top_p=NAN), r"top_p=nan: pass a mass in \(0, 1\]"),
    "top_p in words": (lambda: Sampling(top_p="all"), r"top_p='all': pass a mass in \(0, 1\]"),
    "min_p of 1": (lambda: Sampling(min_p=1), r"min_p=1: pass a ratio in \[0, 1\)"),
    "min_p NaN": (lambda: Sampling(min_p=NAN), r"min_p=nan: pass a ratio in \[0, 1\)"),
    "top_k of 0": (lambda: Sampling(top_k=0), r"top_k=0: pass how many ids to keep"),
    "top_k fraction above 1": (
        lambda: Sampling(top_k=1.5),
        r"top_k=1\.5.*fraction of the ids legal at a position",
    ),
    "top_k True": (lambda: Sampling(top_k=True), r"top_k=True: pass how many ids to keep"),
    "a preset's fraction": (lambda: presets.annealed(keep=0.0), r"0\.0.*fraction"),
    "noise NaN": (lambda: presets.maskgit(choice_temperature=NAN), r"nan: pass a number ≥ 0"),
    "noise in words": (
        lambda: orders.ChoiceNoise(orders.Random(), "loud"),
        r"noise scale='loud': pass a number",
    ),
    "a weight in words": (
        lambda: orders.Weighted(orders.Random(), "heavy"),
        r"eta='heavy': pass a number",
    ),
    "a share in words": (lambda: presets.remdm(eta="few"), r"eta='few': pass a probability"),
    "nats in words": (lambda: StableAndConfident("few"), r"nats='few': pass an entropy"),
    "a budget beyond the host": (lambda: Budget(2**63), r"Budget\(9223372036854775808\).*at most"),
    "noise kind": (
        lambda: orders.ChoiceNoise(orders.Random(), 1.0, "gauss"),
        r"kind='gauss': pass 'gumbel' or 'uniform'",
    ),
    "choose": (lambda: orders.Probability("last"), r"choose='last': pass 'first' or 'after'"),
    "of": (
        lambda: orders.Probability("after", of="samplng"),
        r"of='samplng': did you mean 'sampling'\?",
    ),
    "of without a draw": (
        lambda: orders.Probability("first", of="kept"),
        r"of='kept' scores the drawn token, so it needs choose='after'",
    ),
    "a grid of no cells": (
        lambda: generate(strategy=presets.random_order(2).but(order=orders.Halton(0, 4))),
        r"Halton\(0, 4\)",
    ),
    "a grid of another size": (
        lambda: generate(strategy=presets.random_order(2).but(order=orders.Halton(2, 3))),
        r"Halton\(2, 3\) orders 6 positions but row 0 has 4: .*product is 4",
    ),
    "a grid of half cells": (lambda: orders.Halton(2.0, 2), r"Halton\(2\.0, 2\).*whole numbers"),
    "a plan by name": (
        lambda: commit.ByGroup(["cosine"]),
        r"plans\[0\]='cosine': pass a plan of counts",
    ),
    "one plan for all": (lambda: commit.ByGroup(5), r"plans=5: commit\.ByGroup needs"),
    "the probability of a greedy draw": (
        lambda: presets.sdar().but(sampling=Sampling(0.0)),
        r"greedy draw has probability 1: use order=.*of='kept'",
    ),
    "a function that declares": (
        lambda: presets.confidence().but(order=Declares()),
        r"declares ranks_draws and is not an orders\.Order",
    ),
    "a class for an instance": (
        lambda: presets.random_order().but(order=orders.Random),
        r"order=.*Random.*pass an instance, such as orders\.Probability\(\)",
    ),
    "a number for an order": (lambda: presets.random_order().but(order=3), r"order=3.*instance"),
    "a number for a draw": (
        lambda: presets.random_order().but(sampling=0.5),
        r"sampling=0\.5: pass a Sampling, such as Sampling\(temperature=0\.8",
    ),
    "a preset not called": (
        lambda: generate(strategy=presets.maskgit),
        r"strategy=<function maskgit.*preset that has been called.*confidence\(steps=16\)",
    ),
    "a preset by name": (lambda: generate(strategy="maskgit"), r"strategy='maskgit'.*called"),
    "forbidden outside": (
        lambda: generate(strategy=presets.random_order().but(constraint=Constraint([1, 9]))),
        r"forbidden ids \[9\] are outside the vocabulary of 6: pass ids from 0 to 5",
    ),
    "half a forbidden id": (lambda: Constraint([1.5]), r"forbidden holds 1\.5: pass integer ids"),
    "True as a forbidden id": (lambda: Constraint([True]), r"forbidden holds True: pass integer"),
    "a forbidden word": (lambda: Constraint(["3"]), r"forbidden holds '3': pass integer ids"),
    "forbidden floats": (lambda: Constraint(torch.ones(2)), r"forbidden holds 1\.0: pass integer"),
    "forbidden as one number": (lambda: Constraint(forbidden=3), r"forbidden=3.*\[3\]"),
    "forbidden words": (
        lambda: Constraint(["[CLS]", "[SEP]"]),
        r"holds '\[CLS\]': .*tokenizer\.convert_tokens_to_ids\(\['\[CLS\]', '\[SEP\]'\]\)",
    ),
    "one forbidden word": (
        lambda: Constraint("[CLS]"),
        r"forbidden='\[CLS\]': pass a list of ids, such as \[1, 3\]",
    ),
    "counts of half a position": (lambda: commit.Explicit([1.5]), r"counts holds 1\.5: pass int"),
    "counts in words": (lambda: commit.Explicit("31"), r"counts='31': pass a list of counts"),
    "a temperature in words": (lambda: presets.sdar(temperature="hot"), "temperature='hot': pass"),
    "an algorithm in a list": (lambda: presets.dream(algorithm=["entropy"]), r"algorithm=\['entr"),
    "an order in a list": (lambda: presets.esm3(order=["random"]), r"order=\['random'\]: pass"),
    "a number of tracks": (lambda: presets.dplm(tracks="two"), r"tracks='two': pass an integer"),
    "remask in words": (lambda: presets.annealed(remask="no"), r"remask='no': pass True or False"),
    "a race in words": (lambda: Sampling(gumbel="no"), r"gumbel='no': pass True or False"),
    "strict in words": (lambda: commit.Threshold(strict="no"), r"strict='no': pass True or False"),
    "overlap in words": (lambda: presets.magnet(overlapping=1), r"overlapping=1: pass True or Fal"),
    "log in words": (lambda: orders.Probability(log="no"), r"log='no': pass True or False"),
    "noise annealed in words": (
        lambda: orders.ChoiceNoise(orders.Random(), 1.0, annealed="no"),
        r"annealed='no': pass True or False",
    ),
    "side by side in words": (
        lambda: unmask.Groups.levels(2, side_by_side="no"),
        r"side_by_side='no': pass True or False",
    ),
    "groups in words": (lambda: unmask.Groups.listed("ab"), r"groups='ab'.*one integer for each"),
}


LEGAL = {
    "of numbers": (torch.ones(4, VOCAB), r"legal is torch\.float32 of shape \(4, 6\): pass a bool"),
    "as a list": ([[True]], r"legal is torch\.bool of shape \(1, 1\): pass a bool tensor"),
    "as uneven lists": ([[True], []], r"legal is (a )?list.*bool tensor"),
    "of another canvas": (
        torch.ones(5, VOCAB, dtype=torch.bool),
        r"legal is torch\.bool of shape \(5, 6\): pass .* \(4, V\), or \(3, 4, V\)",
    ),
    "of another vocabulary": (
        torch.ones(4, 7, dtype=torch.bool),
        r"legal has shape \(4, 7\), and the vocabulary has 6 ids",
    ),
    "of nothing": (
        torch.arange(24).view(4, 6) >= 6,
        r"legal allows no id at index \[0\]: leave at least one True",
    ),
}


@pytest.mark.parametrize("what", LEGAL)
def test_legal_ids_that_do_not_fit(what):
    legal, message = LEGAL[what]
    with pytest.raises(CanvasError, match=message):
        generate(canvas=Canvas.blank(3, 4, legal=legal))


STEPS = {
    "a row without": [3, 0, 1],
    "too few": [3, 2],
    "True": [True, 3, 1],
    "half a step": [1, 2.5, 1],
    "one for all": 3,
}


@pytest.mark.parametrize("what", STEPS)
def test_steps_that_are_not_one_a_row(what):
    with pytest.raises(CanvasError, match=r"steps=.*for 3 rows: pass one integer of 1 or more"):
        Canvas.blank(3, 4, steps=STEPS[what])


STRANGE = ["hot", NAN, INF, None, [1], -1, 10**400, 1e39, 0, "", {}, object(), torch.ones(2), int]


@pytest.mark.parametrize("name", presets.__all__)
def test_a_preset_takes_an_option_or_says_what_to_pass(name):
    make = getattr(presets, name)
    options = inspect.signature(make).parameters
    needed = {key: 2 for key in ("height", "width") if key in options}
    needed |= {"critic": zeros} if "critic" in options else {}
    needed |= {"delimiters": [1]} if "delimiters" in options else {}
    for option in options:
        for value in STRANGE:
            try:
                made = make(**{**needed, option: value})
            except InputError:
                continue
            assert isinstance(made, Strategy)


@pytest.mark.parametrize("exponent", ["two", None, [2], NAN, 10**400, True])
def test_a_power_is_a_number(exponent):
    with pytest.raises(ScheduleError, match=r"power\(exponent=.*pass a number above 0"):
        schedules.power(exponent)


@pytest.mark.parametrize("what", OPTIONS)
def test_options_out_of_range(what):
    call, message = OPTIONS[what]
    with pytest.raises(StrategyError, match=message):
        call()


def test_a_temperature_function_is_checked_when_it_answers():
    for answer in (
        lambda r: r - 2,
        lambda r: r * NAN,
        lambda r: r[:1],
        lambda r: r * INF,
        lambda r: r * 1e39,
    ):
        with pytest.raises(StrategyError, match=r"temperature function returned.*one number ≥ 0"):
            generate(strategy=presets.random_order(2).but(sampling=Sampling(answer)))


SCHEDULES = {
    "starts low": (lambda t: 0.5 - 0.5 * t, r"must start at 1: it is 0\.5 at t=0"),
    "ends high": (lambda t: 1 - 0.5 * t, r"must end at 0: it is 0\.5 at t=1"),
    "runs the other way": (lambda t: t, r"must start at 1: it is 0 at t=0"),
    "rises between": (lambda t: 1 - t + torch.sin(2 * math.pi * t), r"rises near t=0\.000"),
    "NaN inside": (lambda t: torch.where(t == 0.5, NAN, 1 - t), r"NaN or infinite"),
    "a number": (lambda t: 0.5, r"returned float: return a tensor of the same shape"),
    "another shape": (lambda t: 1 - t[:1], r"returned \(1,\): return a tensor"),
}


@pytest.mark.parametrize("what", SCHEDULES)
@pytest.mark.parametrize("preset", [presets.annealed, presets.maskgit])
def test_schedules_that_do_not_fall_from_1_to_0(preset, what):
    ratio, message = SCHEDULES[what]
    with pytest.raises(ScheduleError, match=message):
        preset(schedule=ratio)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("cosin", r"unknown schedule 'cosin': did you mean 'cosine'\?"),
        ("power(two)", r"'two' is not a number; type one, such as 'power\(2\)'"),
        ("power(-1)", r"exponent=-1\.0\): pass a number above 0"),
        (7, r"unknown schedule 7: known: arccos, cosine"),
    ],
)
def test_schedules_unknown(schedule, message):
    with pytest.raises(ScheduleError, match=message):
        presets.annealed(schedule=schedule)


def test_a_schedule_that_raises_is_named():
    """Written with math instead of torch: the mistake everybody makes first."""
    with pytest.raises(ScheduleError, match="torch functions"):
        presets.annealed(schedule=lambda t: math.cos(t * math.pi / 2))


SEEDS = {
    "negative": ({"seed": -1}, r"seed=-1: pass an integer from 0"),
    "too large": ({"seed": 2**63}, r"seed=9223372036854775808: pass an integer from 0"),
    "a float": ({"seed": 1.0}, r"seed=1\.0: pass an integer"),
    "a bool": ({"seed": True}, r"seed=True: pass an integer"),
    "one of three negative": ({"seeds": [1, -2, 3]}, r"seed=-2: pass an integer"),
    "one of three too large": ({"seeds": [1, 2, 2**63]}, r"seed=9223372036854775808"),
    "floats": ({"seeds": torch.tensor([1.0, 2.0, 3.0])}, r"seed=1\.0: pass an integer"),
    "too few": ({"seeds": [1, 2]}, r"2 seeds for 3 rows: pass exactly one per row"),
    "too many": ({"seeds": [1, 2, 3, 4]}, r"4 seeds for 3 rows: pass exactly one per row"),
    "one number": ({"seeds": 5}, r"seeds=5.*one per row|seed=5"),
    "both": ({"seed": 1, "seeds": [1, 2, 3]}, r"seed=1 and seeds=\[1, 2, 3\] are both given"),
    "repeated": ({"seeds": [7, 8, 7]}, r"rows 0 and 2 have the same canvas and the same seed 7"),
}


@pytest.mark.parametrize("what", SEEDS)
def test_seeds(what):
    options, message = SEEDS[what]
    with pytest.raises(SeedError, match=message):
        generate(**options)


@pytest.mark.parametrize(
    "seeds",
    [(4, 5, 6), torch.tensor([4, 5, 6]), range(4, 7), np.array([4, 5, 6]), [np.int64(4), 5, 6]],
    ids=["tuple", "tensor", "range", "array", "numpy integers"],
)
def test_seeds_in_other_forms_are_the_same_seeds(seeds):
    assert torch.equal(generate(seeds=seeds), generate(seeds=[4, 5, 6]))


def test_a_repeated_seed_is_fine_for_rows_that_differ():
    tokens, flags = torch.tensor([[1, 0], [2, 0]]), torch.tensor([[False, True]] * 2)
    assert generate(canvas=Canvas.infill(tokens, flags), seeds=[3, 3]).shape == (2, 2)
    tokens = torch.tensor([[1, 8], [1, 9]])  # differ only where generation writes
    with pytest.raises(SeedError, match="rows 0 and 1"):
        generate(canvas=Canvas.infill(tokens, flags), seeds=[3, 3])


OF_TWO = torch.ones(2, 2, VOCAB).bool()
OF_TWO[1, :, 0] = False
DIFFERENT = {
    "steps": {"steps": [1, 2]},
    "legal": {"legal": OF_TWO},
    "required": {"required": torch.tensor([[1, -1], [-1, -1]])},
    "condition": {"condition": {"class": torch.tensor([1, 2]), "name": "kept"}},
    "half": {"condition": torch.tensor([[0.5, 1.0], [0.5, 2.0]], dtype=torch.bfloat16)},
}
EQUAL = {
    "steps": {"steps": [2, 2]},
    "legal": {"legal": OF_TWO[:1].expand(2, 2, VOCAB)},
    "legal of all": {"legal": OF_TWO[0]},
    "required of all": {"required": torch.tensor([1, -1])},
    "condition": {"condition": {"class": torch.tensor([1, 1]), "name": "kept"}},
    "half": {"condition": torch.ones(2, 2, dtype=torch.bfloat16)},
    "nothing for the network": {"condition": {"name": "kept"}},
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_rows_with_one_seed_that_differ_in_what_belongs_to_a_row_are_no_copies(what):
    canvas = Canvas.blank(2, 2, **DIFFERENT[what])
    assert decoding.row_seeds(canvas, None, [3, 3]).tolist() == [3, 3]


@pytest.mark.parametrize("what", EQUAL)
def test_rows_with_one_seed_and_all_else_equal_are_copies(what):
    canvas = Canvas.blank(2, 2, **EQUAL[what])
    assert decoding.row_seeds(canvas, None, [3, 4]).tolist() == [3, 4]
    with pytest.raises(SeedError, match="rows 0 and 1 have the same canvas and the same seed 3"):
        decoding.row_seeds(canvas, None, [3, 3])


def test_init_takes_seeds_as_run_does_or_says_what_to_pass():
    canvas, strategy = Canvas.blank(2, 4), presets.random_order(2)
    assert unmask.init(wrapped(), canvas, strategy, torch.tensor([1, 2])).seed.tolist() == [1, 2]
    for seeds in (torch.tensor([1]), torch.tensor([-1, 2]), torch.tensor([1.0, 2.0]), [1, -2], 3):
        with pytest.raises(SeedError):
            unmask.init(wrapped(), canvas, strategy, seeds)


WRAPPED = {
    "no mask id": (lambda: unmask.wrap(zeros), r"mask_id is missing.*unmask\.wrap\(net, mask_id="),
    "a float mask id": (lambda: wrapped(mask_id=1.0), r"mask_id=1\.0: pass an integer id"),
    "a bool mask id": (lambda: wrapped(mask_id=True), r"mask_id=True: pass an integer id"),
    "a mask id outside": (
        lambda: wrapped(mask_id=VOCAB),
        r"mask_id=6 is outside the vocabulary of 6.*0 to 5",
    ),
    "a negative mask id": (lambda: wrapped(mask_id=-1), r"mask_id=-1 is outside.*0 to 5"),
    "a mask id outside what the network returns": (
        lambda: unmask.generate(unmask.wrap(zeros, mask_id=9), BLANK, seed=0),
        r"mask_id=9 is outside the vocabulary of 6",
    ),
    "forbidden outside": (
        lambda: wrapped(forbidden=[2, 8]),
        r"forbidden ids \[8\] are outside the vocabulary of 6",
    ),
    "half a forbidden id": (
        lambda: wrapped(forbidden=[1.5]),
        r"forbidden holds 1\.5: pass integer",
    ),
    "forbidden as one number": (lambda: wrapped(forbidden=3), r"forbidden=3: pass a list.*\[3\]"),
    "a negative length": (lambda: wrapped(length=-3), r"length=-3: pass an integer of 1 or more"),
    "a float vocabulary": (
        lambda: wrapped(vocab_size=8.0),
        r"vocab_size=8\.0: pass an integer of 1",
    ),
    "an unknown input": (
        lambda: DenoiserSpec(VOCAB, MASK, inputs=frozenset({"progres"})),
        r"inputs has 'progres': did you mean 'progress'",
    ),
    "an open block of no size": (
        lambda: DenoiserSpec(VOCAB, MASK, inputs=frozenset({"open_block"})),
        r"inputs has 'open_block'.*block_size is None: pass block_size",
    ),
    "no length at all": (
        lambda: DenoiserSpec(VOCAB, MASK, max_length=0),
        r"max_length=0: pass an integer of 1 or more",
    ),
    "no network": (lambda: wrapped("bert-base"), r"found builtins\.str.*Pass \(1\)"),
    "a class": (
        lambda: wrapped(torch.nn.Linear),
        r"the class Linear, not an instance.*\(1\).*\(3\)",
    ),
    "twice": (lambda: wrapped(wrapped()), r"is a denoiser already: use it without wrap"),
}


@pytest.mark.parametrize("what", WRAPPED)
def test_wrapping(what):
    call, message = WRAPPED[what]
    with pytest.raises(ModelError, match=message):
        call()


def test_a_canvas_longer_than_the_network_takes():
    class Short(Split):
        spec = DenoiserSpec(VOCAB, MASK, max_length=3)

    with pytest.raises(CanvasError, match=r"rows of 4 positions.*takes 3 at most: pass a canvas"):
        unmask.generate(Short(), BLANK, seed=0)
    assert unmask.generate(Short(), Canvas.blank(2, 3), seed=0).shape == (2, 3)
    padded = Canvas.ragged([[0, 0], [0]])
    wide = Canvas(
        *(
            torch.cat([t, torch.zeros_like(t)], 1)
            for t in (padded.tokens, padded.editable, padded.valid)
        )
    )
    with pytest.raises(CanvasError, match=r"rows of 4 positions"):
        unmask.generate(Short(), wide, seed=0)
    Short.spec = dataclasses.replace(Short.spec, supports_trimming=True)
    assert unmask.generate(Short(), wide, seed=0).shape == (2, 4)


@pytest.mark.parametrize("ids", [np.array([1, 2]), torch.tensor([1, 2]), [np.int64(1), 2], (1, 2)])
def test_forbidden_ids_in_other_forms_are_the_same_ids(ids):
    constraint = Constraint(ids)
    assert constraint == Constraint([1, 2])
    assert hash(constraint) == hash(Constraint([1, 2]))
    json.dumps(presets.random_order(2).but(constraint=constraint).to_dict())
    assert wrapped(forbidden=ids).spec == wrapped(forbidden=[1, 2]).spec


@pytest.mark.parametrize("name", ["digits", Path("digits")])
def test_a_name_for_a_network_is_to_be_loaded(name):
    strategy = presets.maskgit(2)
    message = r"'digits' is the name of a network: load it first, as in unmask\.load\('digits'\)"
    for use in (
        lambda: unmask.generate(name, batch_size=1),
        lambda: unmask.generate(name, BLANK),
        lambda: unmask.run(name, BLANK),
        lambda: unmask.stream(name, BLANK),
        lambda: unmask.score(name, [[1, 2]]),
        lambda: unmask.best_of(name, BLANK, n=2),
        lambda: unmask.Engine(name),
        lambda: unmask.init(name, BLANK, strategy, [1, 2, 3]),
    ):
        with pytest.raises(StrategyError, match=message):
            use()
    with pytest.raises(ModelError, match=message):
        unmask.save(name, "folder")


def test_a_class_for_a_network():
    with pytest.raises(StrategyError, match="the class ClassConditioned is not a denoiser: make"):
        unmask.generate(unmask.ClassConditioned, BLANK)


@pytest.mark.parametrize("value", [None, "state", 3, BLANK])
def test_the_steps_of_a_loop_take_a_state(value):
    net, strategy = wrapped(), presets.maskgit(2)
    for use in (
        lambda: unmask.step(value, net, strategy),
        lambda: unmask.done(value),
        lambda: unmask.finish(value),
        lambda: unmask.Engine(net).adopt(value, strategy),
    ):
        with pytest.raises(StrategyError, match=r"state is a \w+: pass what init returns"):
            use()


def test_a_step_takes_a_network_and_a_strategy():
    state = unmask.init(wrapped(), BLANK, presets.maskgit(2), [1, 2, 3])
    with pytest.raises(StrategyError, match="not a denoiser: wrap it first"):
        unmask.step(state, zeros, presets.maskgit(2))
    with pytest.raises(StrategyError, match="preset that has been called"):
        unmask.step(state, wrapped(), presets.maskgit)


LIKE = {
    "pooled": (lambda b, n: (b, VOCAB), r"6\) for .*, as of one answer for a row: do not pool"),
    "class token": (lambda b, n: (b, n + 1, VOCAB), r"5, 6\) for .*, as with a class token: leave"),
    "transposed": (lambda b, n: (b, VOCAB, n), r"6, 4\) for .*, as with positions last"),
    "flat": (lambda b, n: (b * n, VOCAB), r"6\) for .*, as of rows laid end to end"),
    "other": (lambda b, n: (b, 9, VOCAB), r"9, 6\) for tokens of shape \(\d+, 4\): return"),
}


@pytest.mark.parametrize("what", LIKE)
def test_what_a_network_returns_is_told_by_its_looks(what):
    """Of a denoiser of one's own."""
    shape, message = LIKE[what]

    class Own(Network):
        vocab_size, mask_id = VOCAB, MASK

        def hidden(self, tokens, *, valid):
            return torch.zeros(shape(*tokens.shape))

    with pytest.raises(LogitsError, match=message):
        unmask.generate(Own(), BLANK, presets.maskgit(2), seed=0)
    with pytest.raises(LogitsError, match=message):
        unmask.score(Own(), [[1, 2, 3, 4]] * 3, by=unmask.scoring.PseudoLikelihood())


def test_a_network_that_was_not_wrapped():
    with pytest.raises(
        StrategyError, match=r"function is not a denoiser: wrap it first.*unmask\.wrap"
    ):
        unmask.generate(zeros, BLANK)


def at_step(step, change, row=1, position=2):
    """A network whose logits are changed at one place of one step."""
    calls = []

    def network(tokens):
        logits = zeros(tokens)
        if len(calls) == step:
            logits[row, position] = change(logits[row, position])
        calls.append(1)
        return logits

    return network


def made(name):
    """A preset of four steps, for rows of four."""
    kind = getattr(presets, name)
    critic = lambda tokens, **_: torch.zeros(tokens.shape)  # noqa: E731
    options = {"critic": critic, "steps": 4, "schedule": "linear", "remask": False}
    options |= {"height": 2, "width": 2, "delimiters": [1], "end_id": 2}
    return kind(**{k: v for k, v in options.items() if k in inspect.signature(kind).parameters})


@pytest.mark.parametrize("value", [NAN, INF])
@pytest.mark.parametrize("step", [0, 2])
@pytest.mark.parametrize("name", [n for n in presets.__all__ if planned(made(n))])
def test_broken_logits_are_placed(name, step, value):
    """Row, position and step; position 2 comes last, so it is looked at in every step."""
    strategy = made(name).but(order=LastIsTwo())
    network = at_step(step, lambda row: row.index_fill(0, torch.tensor([1]), value))
    message = rf"logits at row 1, position 2, step {step} have NaN or \+inf: check the network"
    with pytest.raises(LogitsError, match=message):
        generate(network, strategy=strategy)


class LastIsTwo:
    def __call__(self, state, proposal):
        return (torch.arange(4) != 2).float().expand(state.tokens.shape)


def test_the_row_is_that_of_the_canvas_after_others_have_left():
    flags = torch.tensor([[True, False, False], [True, True, True], [False] * 3])
    canvas = Canvas.infill(torch.zeros(3, 3, dtype=torch.int64), flags)
    network = at_step(1, lambda row: row * NAN, row=0, position=1)
    strategy = presets.random_order(3).but(order=orders.LeftToRight())
    with pytest.raises(LogitsError, match=r"row 1, position 1, step 1"):
        generate(network, canvas, strategy)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda t: torch.zeros(len(t), VOCAB), r"returned \(3, 6\) for tokens of shape \(3, 4\)"),
        (lambda t: torch.zeros(3, 5, VOCAB), r"returned \(3, 5, 6\) for tokens of shape \(3, 4\)"),
        (lambda t: [zeros(t)], r"returned list for tokens of shape \(3, 4\): return logits as one"),
        (lambda t: torch.zeros(3, 4, 7), r"logits over 7 ids; its vocabulary size is 6.*wrap"),
    ],
)
def test_logits_of_the_wrong_shape(network, message):
    with pytest.raises(LogitsError, match=message):
        generate(network)


def test_logits_that_change_their_shape_are_placed():
    calls = []

    def network(tokens):
        calls.append(1)
        return zeros(tokens)[..., : VOCAB - (len(calls) > 1)]

    with pytest.raises(LogitsError, match=r"step 1"):
        generate(network, strategy=presets.random_order(3))


class Split(Network):
    """A denoiser of the caller's own, whose head or trunk may be wrong."""

    vocab_size, mask_id = VOCAB, MASK

    def __init__(self, head=lambda hidden: hidden, trunk=zeros):
        self.logits, self.trunk = head, trunk

    def hidden(self, tokens, *, valid):
        return self.trunk(tokens)


def test_a_head_of_the_wrong_shape():
    with pytest.raises(LogitsError, match=r"head returned shape \(12, 5\) for 12 positions.*of 6"):
        unmask.generate(Split(lambda hidden: hidden[:, :5]), BLANK, presets.confidence(1), seed=0)
    with pytest.raises(LogitsError, match=r"returned shape \(3, 6\) for tokens of shape \(3, 4\)"):
        unmask.generate(Split(trunk=lambda t: torch.zeros(3, 6)), BLANK, seed=0)


def without_two(tokens):
    """Logits of a network that rules out id 2 itself."""
    return zeros(tokens).index_fill(2, torch.tensor([2]), -torch.inf)


@pytest.mark.parametrize("name", presets.__all__)
def test_every_id_forbidden_or_ruled_out_by_the_network(name):
    """Each preset, because each draws in its own way."""
    strategy = made(name).but(constraint=Constraint(set(range(VOCAB)) - {2}))
    message = r"row \d, position \d, step \d have no legal id left: allow another id"
    with pytest.raises(InputError, match=message):
        generate(without_two, strategy=strategy)


def never(tokens):
    """A network that must not be asked."""
    raise AssertionError


NOTHING_TO_DRAW = {
    "every id forbidden": (
        Canvas.blank(3, 4),
        Constraint(range(VOCAB)),
        r"all 6 ids of the vocabulary are forbidden",
    ),
    "a required id forbidden": (
        Canvas.blank(3, 4, required=torch.tensor([-1, -1, 1, -1])),
        Constraint([1]),
        r"requires an id that is forbidden.* at row 0, position 2",
    ),
    "the mask id required": (
        Canvas.blank(3, 4, required=torch.tensor([-1, MASK, -1, -1])),
        Constraint(),
        r"stands for unknown positions.* at row 0, position 1",
    ),
    "a required id not legal": (
        Canvas.blank(
            3,
            4,
            required=torch.tensor([-1, -1, -1, 1]),
            legal=(torch.arange(VOCAB) != 1).expand(4, VOCAB),
        ),
        Constraint(),
        r"or is not legal there, at row 0, position 3",
    ),
    "legal ids forbidden": (
        Canvas.blank(3, 4, legal=(torch.arange(VOCAB) == 1).expand(4, VOCAB)),
        Constraint([1]),
        r"allows no id but the mask id and forbidden ones, at row 0, position 0",
    ),
}


@pytest.mark.parametrize("case", NOTHING_TO_DRAW)
def test_a_canvas_with_nothing_to_draw_is_refused_before_the_first_forward(case):
    canvas, constraint, message = NOTHING_TO_DRAW[case]
    strategy = presets.random_order(2).but(constraint=constraint)
    with pytest.raises(CanvasError, match=message):
        generate(never, canvas, strategy)


@pytest.mark.parametrize(
    "draw", [Sampling(), Sampling(0.5), Sampling(0), Sampling(top_p=0.5), Sampling(top_k=2)]
)
def test_every_id_forbidden_at_one_position(draw):
    legal = torch.ones(4, VOCAB, dtype=torch.bool)
    legal[2] = torch.arange(VOCAB) <= 2
    forbidden = [0, 1]
    strategy = presets.confidence().but(constraint=Constraint(forbidden), sampling=draw)
    with pytest.raises(InputError, match=r"row 0, position 2, step 0 have no legal id left"):
        generate(without_two, Canvas.blank(3, 4, legal=legal), strategy)


def test_a_legal_table_is_checked_where_the_vocabulary_is_learnt_by_trying():
    network = unmask.wrap(zeros, mask_id=MASK)
    canvas = Canvas.blank(3, 4, legal=torch.ones(4, VOCAB + 1, dtype=torch.bool))
    with pytest.raises(
        CanvasError, match=r"legal has shape \(4, 7\), and the vocabulary has 6 ids"
    ):
        unmask.generate(network, canvas, presets.random_order(2), seed=0)


@pytest.mark.parametrize("temperature", [1e-10, 1e-30, 1e-38, 1e-40, 1e-300])
def test_a_tiny_temperature_is_nearly_greedy(temperature):
    """Division by it may overflow; the mask id, at index 0 here, must not come out of that."""
    logits = torch.tensor([9.0, 1.0, 3.0, 5.0])
    denoiser = unmask.wrap(lambda tokens: logits.expand(*tokens.shape, 4), mask_id=0)
    strategy = presets.random_order(2).but(sampling=Sampling(temperature))
    assert unmask.generate(denoiser, Canvas.blank(1, 4), strategy, seed=0).tolist() == [[3] * 4]


def raising_at(step):
    calls = []

    def network(tokens):
        calls.append(1)
        if len(calls) > step:
            raise ArithmeticError("the seventh bolt is loose")
        return zeros(tokens)

    return network


@pytest.mark.parametrize("step", [0, 2])
def test_a_network_that_raises_keeps_its_traceback(step):
    flags = torch.ones(3, 4, dtype=torch.bool)
    flags[0, 1:] = False  # row 0 is finished after one step
    canvas = Canvas.infill(torch.zeros(3, 4, dtype=torch.int64), flags)
    with pytest.raises(DenoiserError, match="ArithmeticError: the seventh bolt") as caught:
        generate(raising_at(step), canvas, presets.random_order(4))
    rows = r"[0, 1, 2]" if step == 0 else "[1, 2]"
    assert f"step {step}, rows {rows}" in str(caught.value)
    assert isinstance(caught.value, RuntimeError)
    cause = caught.value.__cause__
    assert isinstance(cause, ArithmeticError)
    assert traceback.extract_tb(cause.__traceback__)[-1].name == "network"


def test_a_head_that_raises_is_named_as_well():
    def head(hidden):
        raise ArithmeticError("the seventh bolt is loose")

    with pytest.raises(DenoiserError, match=r"step 0, rows \[0, 1, 2\]") as caught:
        unmask.generate(Split(head), BLANK, presets.random_order(4), seed=0)
    assert traceback.extract_tb(caught.value.__cause__.__traceback__)[-1].name == "head"


def test_a_critic_that_raises_is_named_as_well():
    def critic(tokens, *, valid, condition):
        raise ArithmeticError("the seventh bolt is loose")

    with pytest.raises(UnmaskError, match=r"critic.*step 0, rows \[0, 1, 2\]") as caught:
        generate(strategy=presets.token_critic(critic, 4))
    assert traceback.extract_tb(caught.value.__cause__.__traceback__)[-1].name == "critic"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_interrupts_pass_through(kind):
    def network(tokens):
        raise kind

    with pytest.raises(kind):
        generate(network)


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (lambda s, p: torch.zeros(3), r"order returned torch.float32 of shape \(3,\).*\(3, 4\)"),
        (lambda s, p: p.logprob * NAN, r"order scored row 0, position 0 as NaN at step 0"),
    ],
)
def test_orders_that_answer_wrongly(order, message):
    with pytest.raises(StrategyError, match=message):
        generate(strategy=presets.random_order(2).but(order=order))


@pytest.mark.parametrize("answer", [torch.zeros(3), torch.full((3, 4), NAN)])
def test_blind_orders_are_checked_before_they_choose(answer):
    class Blind(orders.Order):
        blind = True

        def __call__(self, state, proposal):
            return answer

    network = Split()
    network.logits = lambda hidden: pytest.fail("the head was asked by a score that is none")
    with pytest.raises(StrategyError, match="the order"):
        unmask.generate(network, BLANK, presets.random_order(2).but(order=Blind()), seed=0)


@dataclass(frozen=True)
class OwnCommit(commit.Commit):
    answer: Callable

    def __call__(self, score, eligible, state, proposal):
        return self.answer(eligible)


@dataclass(frozen=True)
class OwnStop(stopping.Stop):
    answer: Callable

    def __call__(self, state, proposal):
        return self.answer(state.masked)


@dataclass(frozen=True)
class OwnReviser(revise.Revise):
    answer: Callable

    def eligible(self, state):
        return self.answer(state.masked)


@dataclass(frozen=True)
class OwnAmending(revise.Revise):
    answer: Callable
    amends = True

    def amend(self, change, state, proposal, leave_one_out):
        return self.answer(change.commit)


@dataclass(frozen=True)
class OwnNoise(noise.Noise):
    answer: Callable

    def show(self, state):
        return self.answer(state.tokens)


def guided_by(answer):
    return Guidance(lambda progress, ratio: answer(progress), null=HidePrompt())


OWN_PARTS = {
    "a commit rule": (lambda f: {"commit": OwnCommit(f)}, r"commit rule OwnCommit"),
    "a stopping rule": (lambda f: {"stopping": [OwnStop(f)]}, r"stopping rule OwnStop"),
    "a reviser": (lambda f: {"revise": OwnReviser(f)}, r"reviser OwnReviser"),
    "a reviser's change": (lambda f: {"revise": OwnAmending(f)}, r"reviser OwnAmending"),
    "noise": (lambda f: {"noise": OwnNoise(f)}, r"noise OwnNoise"),
    "a feasibility hook": (
        lambda f: {"constraint": Constraint(feasible=lambda tokens, known, position: f(known))},
        r"feasibility hook",
    ),
    "a guidance weight": (lambda f: {"guidance": guided_by(f)}, r"weight of the guidance|function"),
    "a temperature": (lambda f: {"sampling": Sampling(f)}, r"temperature function"),
    "an order": (lambda f: {"order": lambda s, p: f(p.logprob)}, r"the order"),
}
ANSWERS = {
    "None": lambda given: None if given.dim() else given,
    "another shape": lambda given: torch.zeros(2, 5, dtype=given.dtype),
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("part", OWN_PARTS)
def test_a_part_of_ones_own_that_answers_wrongly_is_named(part, answer):
    make, name = OWN_PARTS[part]
    if (part, answer) == ("a stopping rule", "None"):
        pytest.skip("None means that no row stops")
    with pytest.raises(StrategyError, match=rf"({name}).* returned .*return.*step 0, rows"):
        generate(strategy=presets.confidence(2).but(**make(ANSWERS[answer])))


@pytest.mark.parametrize("part", [part for part in OWN_PARTS if part != "an order"])
def test_a_part_of_ones_own_that_raises_is_named(part):
    make, name = OWN_PARTS[part]
    message = rf"({name}).* raised ZeroDivisionError.*\(step 0, rows \[0, 1, 2\]\)"
    with pytest.raises(StrategyError, match=message) as caught:
        generate(strategy=presets.confidence(2).but(**make(lambda given: 1 / 0)))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_divergence_is_needed_by_what_keeps_a_history():
    class Wants(orders.Entropy):
        needs = frozenset({"divergence"})

    with pytest.raises(StrategyError, match=r"keeps no history of it: .*ComparesSteps"):
        presets.random_order().but(order=Wants())


def test_an_order_that_needs_what_no_proposal_has():
    class Wants(orders.Entropy):
        needs = frozenset({"entropi"})

    with pytest.raises(StrategyError, match=r"needs \['entropi'\]: a proposal can carry"):
        presets.random_order().but(order=Wants())


def test_a_critic_of_the_wrong_shape():
    def critic(tokens, *, valid, condition):
        return torch.zeros(len(tokens))

    message = r"critic returned shape \(3,\) for tokens of shape \(3, 4\): return one logit per"
    with pytest.raises(LogitsError, match=message):
        generate(strategy=presets.token_critic(critic, 4))


def test_counts_that_do_not_add_up():
    strategy = Strategy(commit.TopK(commit.Explicit([1, 2])), orders.Random())
    message = r"counts=\[1, 2\] commit 3 positions but row 0 has 4 unknown: make them equal"
    with pytest.raises(StrategyError, match=message):
        generate(strategy=strategy)


# A name that nothing has, after what each call must be given.
CALLS = {
    **{f"presets.{name}": (getattr(presets, name), ()) for name in presets.__all__},
    **{
        f"orders.{name}": (getattr(orders, name), ())
        for name in ("ChoiceNoise", "CriticOrder", "Entropy", "Halton", "Probability", "Random")
    },
    "generate": (unmask.generate, (Split(), BLANK)),
    "run": (unmask.run, (Split(), BLANK)),
    "stream": (unmask.stream, (Split(), BLANK)),
    "wrap": (unmask.wrap, (zeros,)),
    "load": (unmask.load, ("digits",)),
    "save": (unmask.save, (Split(), "nowhere")),
    "Canvas.blank": (Canvas.blank, (1, 1)),
    "Canvas.infill": (Canvas.infill, (BLANK.tokens, BLANK.editable)),
    "Canvas.ragged": (Canvas.ragged, ([[1]],)),
    "Constraint": (Constraint, ()),
    "Sampling": (Sampling, ()),
    "Annealed": (Annealed, ()),
    "Strategy": (Strategy, (commit.TopK(commit.OneAtATime()), orders.Random())),
    "commit.TopK": (commit.TopK, ("linear", 3)),
    "commit.Scheduled": (commit.Scheduled, (schedules.linear, 3)),
    "schedules.power": (schedules.power, ()),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_misspelt_option_is_refused_by_name(name):
    call, given = CALLS[name]
    with pytest.raises(TypeError, match="tempersture"):
        call(*given, tempersture=1)


def test_a_misspelt_part_of_a_strategy_is_guessed():
    with pytest.raises(StrategyError, match=r"no part 'ordr': did you mean 'order'\?"):
        presets.maskgit().but(ordr=orders.Random())


def test_a_model_without_conditions_refuses_one():
    """Accepted and ignored would be worse."""
    canvas = Canvas.blank(3, 4, condition={"label": torch.zeros(3)})
    with pytest.raises(DenoiserError, match="label"):
        generate(canvas=canvas)


def test_all_are_value_errors_and_of_one_family():
    for kind in (CanvasError, LogitsError, ModelError, ScheduleError, SeedError, StrategyError):
        assert issubclass(kind, InputError)
        assert issubclass(kind, ValueError)
        assert issubclass(kind, UnmaskError)


def test_of_many_rows_the_first_are_named():
    def network(tokens):
        raise ArithmeticError("loose")

    canvas = unmask.Canvas.blank(20, 4)
    denoiser = unmask.wrap(network, mask_id=1, vocab_size=3)
    with pytest.raises(UnmaskError, match=r"rows \[0, 1, 2, 3, 4, 5, 6, 7\] and 12 more\)"):
        unmask.generate(denoiser, canvas, presets.random_order(2), seed=0)
