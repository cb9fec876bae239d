"""Every preset against an independent reference, step by step, and against a table to be read."""

import inspect
import itertools

import pytest
import torch
from tests.golden import references
from tests.golden.world import MASK, VOCAB, critic, logits, network

import unmask
from unmask import presets

# Prompts, one holding the mask id, one row with nothing to do, one that is all unknown.
ROWS = [[3, 0, 0, 7, 0, 0, 0], [0] * 9, [MASK, 0, 0, 0, 0], [2, 2], [0, 0, 0, 0, 0, 10, 1, 0]]
EDITABLE = [
    [i for i, token in enumerate(row) if token == 0] for row in ROWS
]  # id 0 marks what is to be generated
SEEDS = [3, 1, 4, 1 + 2**40, 2**62]
STEPS = [4, 5, 2, 3, 11]


def flags_of(name):
    """The parameters of a preset that are on or off."""
    parameters = inspect.signature(getattr(presets, name)).parameters.values()
    return [p.name for p in parameters if isinstance(p.default, bool)]


VARIANTS = [
    (name, dict(zip(flags_of(name), values, strict=True)))
    for name in presets.__all__
    for values in itertools.product([False, True], repeat=len(flags_of(name)))
]


def strategy_of(name, flags, steps, schedule):
    wanted = {"steps": steps, "schedule": schedule, "critic": critic, **flags}
    preset = getattr(presets, name)
    return preset(**{k: v for k, v in wanted.items() if k in inspect.signature(preset).parameters})


def canvas_of(rows, editable):
    pairs = zip(rows, editable, strict=True)
    flags = [[i in places for i in range(len(row))] for row, places in pairs]
    return unmask.Canvas.ragged(rows, flags)


TABLES = {
    "annealed": """
        . . 9 . . . . .
        3 . 9 . 8 . . .
        3 7 9 2 8 . . .
        3 7 9 2 8 . 8 8
        3 7 9 2 8 2 8 8
    """,
    "annealed, remask": """
        . . 9 . . . . .
        3 . 9 . 8 . . .
        . 7 9 2 8 . 8 .
        8 . 9 2 8 2 8 6
        8 6 9 2 8 2 8 6
    """,
    "confidence": """
        . . 9 . . . . .
        . . 9 . 8 . 9 .
        8 . 9 1 8 . 9 .
        8 . 9 1 8 2 9 6
        8 6 9 1 8 2 9 6
    """,
    "first_hitting": """
        . . 9 . . . . .
        . . 9 . . 6 . .
        . . 9 . 8 6 . .
        . 1 9 . 8 6 . .
        9 1 9 . 8 6 . .
        9 1 9 2 8 6 . .
        9 1 9 2 8 6 . 8
        9 1 9 2 8 6 a 8
    """,
    "maskgit": """
        . . 9 . . . . .
        . . 9 6 8 . . .
        . 8 9 6 8 . . 5
        8 8 9 6 8 . 5 5
        8 8 9 6 8 5 5 5
    """,
    "random_order": """
        . . 9 . . . . .
        . . 9 . . 6 . 8
        . . 9 1 8 6 . 8
        3 1 9 1 8 6 . 8
        3 1 9 1 8 6 7 8
    """,
    "token_critic": """
        . . 9 . . . . .
        3 . 9 6 . . . .
        3 7 9 6 . . . 5
        3 7 9 6 a 5 . 5
        3 7 9 6 a 5 8 5
    """,
    "token_critic, remask": """
        . . 9 . . . . .
        3 . 9 6 . . . .
        3 7 9 6 . . . 5
        3 7 9 6 a 5 5 .
        3 7 9 6 a 5 5 8
    """,
}


@pytest.mark.parametrize("schedule", references.RATIOS)
@pytest.mark.parametrize(("name", "flags"), VARIANTS, ids=str)
def test_every_step_is_that_of_the_published_rule(name, flags, schedule):
    denoiser = unmask.wrap(network, mask_id=MASK, vocab_size=VOCAB)
    ratio = references.RATIOS[schedule]
    expected = [
        list(getattr(references, name)(*row, steps, ratio, **flags))
        for *row, steps in zip(ROWS, EDITABLE, SEEDS, STEPS, strict=True)
    ]
    strategy = strategy_of(name, flags, STEPS, schedule)
    canvas = canvas_of(ROWS, EDITABLE)
    taken = 0
    for info in unmask.stream(denoiser, canvas, strategy, seeds=SEEDS):
        open_rows = [b for b, steps in enumerate(expected) if len(steps) > taken]
        assert info.rows.tolist() == open_rows
        for at, b in enumerate(open_rows):
            check_row(info, at, b, expected[b][taken])
        taken += 1
    assert taken == max(map(len, expected))


def check_row(info, at, b, step):
    """Same positions, same tokens, same log-probabilities."""
    state = info.state
    committed = info.committed[at].nonzero().squeeze(1).tolist()
    assert {i: int(state.tokens[b, i]) for i in committed} == step.committed
    assert set(info.remasked[at].nonzero().squeeze(1).tolist()) == step.remasked
    for name in ("logprob", "drawn_logprob"):
        got = {i: float(getattr(state, name)[b, i]) for i in committed}
        assert got == pytest.approx(getattr(step, name), abs=1e-4)


def drawing(tokens, masked):
    """Ids in hexadecimal, a point where unknown."""
    pairs = zip(tokens, masked, strict=True)
    return " ".join("." if unknown else f"{token:x}" for token, unknown in pairs)


def lines_of(tokens, editable, steps):
    """The table of a reference's steps: one line before the first, one after each."""
    tokens, unknown = list(tokens), set(editable)
    lines = [drawing(tokens, [i in unknown for i in range(len(tokens))])]
    for step in steps:
        for i, token in step.committed.items():
            tokens[i] = token
        unknown = (unknown - step.committed.keys()) | step.remasked
        lines.append(drawing(tokens, [i in unknown for i in range(len(tokens))]))
    return lines


# One row with the prompt 9, linear schedule, four steps.
TABLE_ROW, TABLE_PLACES = [0, 0, 9, 0, 0, 0, 0, 0], [0, 1, 3, 4, 5, 6, 7]
TABLE_SEED, TABLE_STEPS = 5, 4


def table_key(name, flags):
    return name + "".join(f", {flag}" for flag, on in flags.items() if on)


@pytest.mark.parametrize(("name", "flags"), VARIANTS, ids=str)
def test_a_generation_reads_as_its_table(name, flags):
    table = [line.strip() for line in TABLES[table_key(name, flags)].strip().splitlines()]
    ratio = references.RATIOS["linear"]
    reference = getattr(references, name)(
        TABLE_ROW, TABLE_PLACES, TABLE_SEED, TABLE_STEPS, ratio, **flags
    )
    assert lines_of(TABLE_ROW, TABLE_PLACES, reference) == table
    denoiser = unmask.wrap(network, mask_id=MASK, vocab_size=VOCAB)
    canvas = canvas_of([TABLE_ROW], [TABLE_PLACES])
    strategy = strategy_of(name, flags, TABLE_STEPS, "linear")
    shown = [
        drawing(info.tokens[0].tolist(), info.masked[0].tolist())
        for info in unmask.stream(denoiser, canvas, strategy, seeds=[TABLE_SEED])
    ]
    assert [table[0], *shown] == table


def test_every_preset_has_a_reference_and_a_table():
    for name, flags in VARIANTS:
        assert callable(getattr(references, name, None)), f"write references.{name}"
        assert table_key(name, flags) in TABLES, f"add {table_key(name, flags)!r} to TABLES"


@pytest.mark.parametrize("remask", [False, True])
def test_the_references_do_remask(remask):
    """Otherwise the comparison of re-masked positions would be about nothing."""
    if not remask:
        steps = references.annealed([0] * 9, range(9), 1, 6, references.RATIOS["linear"])
        assert not any(step.remasked for step in steps)
        return
    for rule in (references.annealed, references.token_critic):
        steps = rule([0] * 9, range(9), 1, 6, references.RATIOS["linear"], remask=True)
        assert any(step.remasked for step in steps)


def test_the_world_is_the_same_in_numpy_and_torch():
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(VOCAB, (20, 9), generator=generator)
    for row, out in zip(tokens.tolist(), network(tokens), strict=True):
        assert (torch.tensor(logits(row)) == out.double()).all()
