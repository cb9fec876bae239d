"""Every preset against an independent reference, step by step, and against a table to be read."""

import inspect
import itertools
import math
import random

import pytest
import torch
from tests.golden.cases import (
    GROWING,
    ROWS,
    VARIANTS,
    canvas_of,
    key_of,
    options_of,
    reference_of,
    rows_of,
    strategy_of,
    table_row_of,
)
from tests.golden.comparing import compare, references_of
from tests.golden.rules import RATIOS
from tests.golden.tables import TABLES
from tests.golden.world import MASK, PLACES, VOCAB, logits, network

import unmask
from unmask import presets


def schedules_of(name):
    has_one = "schedule" in inspect.signature(getattr(presets, name)).parameters
    return list(RATIOS) if has_one else ["linear"]


@pytest.mark.parametrize(
    ("name", "flags", "schedule"),
    [(name, flags, each) for name, flags in VARIANTS for each in schedules_of(name)],
    ids=str,
)
def test_every_step_is_that_of_the_published_rule(name, flags, schedule):
    compare(name, options_of(name, flags), rows_of(name), schedule)


def a_row(choice, shortest=1):
    """Any prompt, any length that the world has, any steps."""
    tokens = [choice.randrange(VOCAB) for _ in range(choice.randint(shortest, PLACES))]
    share = choice.choice([0.5, 0.8, 1.0])
    editable = [i for i in range(len(tokens)) if choice.random() < share]
    return tokens, editable, choice.randrange(2**63), choice.randint(1, 12)


@pytest.mark.parametrize(("name", "flags"), VARIANTS, ids=str)
def test_rows_at_random_go_by_the_rule_too(name, flags):
    choice = random.Random(key_of(name, flags))
    for _ in range(3):
        shortest = PLACES if name == "halton" else 1  # a grid has one length
        rows = [a_row(choice, shortest), ROWS[1], a_row(choice, shortest)]
        compare(name, options_of(name, flags), rows_of(name, rows), choice.choice(list(RATIOS)))


def drawing(tokens, masked):
    """Ids in hexadecimal, a point where unknown."""
    pairs = zip(tokens, masked, strict=True)
    return " ".join("." if unknown else f"{token:x}" for token, unknown in pairs)


def lines_of(tokens, editable, steps):
    """The table of a reference's steps: one line before the first, one after each."""
    tokens, unknown = list(tokens), set(editable)
    lines = [drawing(tokens, [i in unknown for i in range(len(tokens))])]
    for step in steps:
        if step.after is not None:
            lines.append(drawing([t or 0 for t in step.after], [t is None for t in step.after]))
            continue
        for i, token in {**step.committed, **step.edited}.items():
            tokens[i] = token
        unknown = (unknown - step.committed.keys()) | step.remasked
        lines.append(drawing(tokens, [i in unknown for i in range(len(tokens))]))
    return lines


@pytest.mark.parametrize(("name", "flags"), VARIANTS, ids=str)
def test_a_generation_reads_as_its_table(name, flags):
    table = [line.strip() for line in TABLES[key_of(name, flags)].strip().splitlines()]
    options = options_of(name, flags, on_the_table=True)
    row = table_row_of(name)
    tokens, editable, seed, steps = row
    (reference,) = references_of(name, options, [row], "linear")
    assert lines_of(tokens, editable, reference) == table
    denoiser = unmask.wrap(network, mask_id=MASK, vocab_size=VOCAB)
    strategy = strategy_of(name, options, steps, "linear")
    canvas = canvas_of([tokens], [editable])
    shown = [
        drawing(info.tokens[0, :length].tolist(), info.masked[0, :length].tolist())
        for info in unmask.stream(denoiser, canvas, strategy, seeds=[seed])
        for length in info.state.rows.length
    ]
    assert [table[0], *shown] == table


def test_every_preset_has_a_reference_and_a_table():
    for name, flags in VARIANTS:
        assert callable(reference_of(name)), f"write {name} in tests/golden/references_*.py"
        assert key_of(name, flags) in TABLES, f"add {key_of(name, flags)!r} to TABLES"


def several(step):
    return len(step.committed) > 1


def remasking(step):
    return bool(step.remasked)


def editing(step):
    return bool(step.edited)


def nothing(step):
    return not step.committed


def alone(low, high):
    """A step that commits one position, of a probability between these two."""

    def taken(step):
        found = [math.exp(step.logprob[i]) for i in step.committed]
        return len(found) == 1 and low < found[0] < high

    return taken


# What the comparison would be about nothing without: branches that the test rows must take.
BRANCHES = {
    "annealed, remask": [remasking],
    "token_critic, remask": [remasking],
    "self_critic, remask": [remasking],
    "mask_predict": [remasking],
    "dplm": [remasking],
    "dplm, tracks=2": [remasking],
    "p2": [remasking],
    "remdm, cap": [remasking, nothing, several],
    "remdm, rescale": [remasking, nothing, several],
    "remdm, confidence": [remasking, nothing, several],
    "remdm, loop": [remasking, nothing, several],
    "threshold": [several, alone(0, 0.6)],
    "factor": [several, alone(0, 0.5)],
    "daedal": [nothing, several, alone(0, 0.6)],
    "rho_eos": [alone(0, 0.6), alone(0.6, 1)],
    "frechet_profile": [several, alone(0, 0.6)],
    "local_leap": [several, alone(0, 0.7)],
    "hierarchy": [several, alone(0, 0.45)],
    "adablock": [several, alone(0, 0.6)],
    "token_to_mask, probability": [several, remasking],
    "token_to_mask, rival": [several, remasking],
    "token_to_mask, change": [several, remasking],
    "credit": [several, alone(0, 0.85)],
    "prophet": [several, alone(0, 1)],
    "entropy_bound": [several, alone(0, 1)],
    "diffusion_gemma": [nothing, several],
    # The likeliest position because none is sure, and because those that are sure are not stable.
    "klass": [several, alone(0, 0.4), alone(0.4, 1)],
    "llada21": [several, editing, alone(0, 0.7)],
    "wino": [several, remasking, alone(0, 0.4)],
    "esm3, random": [several],
    "esm3, entropy": [several],
    "soundstorm": [several],
    "magnet": [several],
    "magnet, overlapping": [several],
}


@pytest.mark.parametrize(("name", "flags"), VARIANTS, ids=str)
def test_the_rows_take_the_branches_of_a_rule(name, flags):
    steps = list(
        itertools.chain(*references_of(name, options_of(name, flags), rows_of(name), "linear"))
    )
    for branch in BRANCHES.get(key_of(name, flags), []):
        assert any(map(branch, steps)), f"{name}: no step is {branch}: change its OPTIONS"


@pytest.mark.parametrize("name", GROWING)
def test_rows_change_their_length_in_every_way_of_the_rule(name):
    """Longer before the first commit and later, before other positions, or shorter."""
    options, seen = options_of(name, {}), set()
    for row, steps in zip(
        rows_of(name), references_of(name, options, rows_of(name), "linear"), strict=True
    ):
        length = options["initial"] + min(row[1], default=0)
        for step in steps:
            change, length = len(step.after) - length, len(step.after)
            seen |= {"shorter"} if change < 0 else set()
            if change > 0:
                seen |= {"longer" if step.committed else "before the first"}
                seen |= {"within"} if step.after[-1] is not None and None in step.after else set()
    wanted = {"daedal": {"before the first"}, "rho_eos": {"shorter"}}
    assert seen == {"longer", "within"} | wanted[name]


def test_without_remask_nothing_is_taken_back():
    for name, flags in VARIANTS:
        if flags.get("remask") is False:
            rows = references_of(name, options_of(name, flags), rows_of(name), "linear")
            assert not any(step.remasked for row in rows for step in row)


def test_the_world_is_the_same_in_numpy_and_torch():
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(VOCAB, (20, 9), generator=generator)
    for row, out in zip(tokens.tolist(), network(tokens), strict=True):
        assert (torch.tensor(logits(row)) == out.double()).all()
