"""Anything passed to `score` is scored, or refused before any pass by the rules written here."""

import itertools
import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from tests.conformance.toys import FORBIDDEN, MASK, VOCAB, Toy

import unmask
from unmask import presets, scoring
from unmask.errors import InputError

NAN = float("nan")
METHODS = [
    scoring.Bound(1),
    scoring.Bound(3),
    scoring.Ordered(presets.random_order(steps=2)),
    scoring.Ordered(presets.confidence(steps=3)),
    scoring.PseudoLikelihood(),
]
FORMS = {
    "tensor": lambda t: t,
    "int32": lambda t: t.to(torch.int32),
    "array": lambda t: t.numpy(),
    "list": lambda t: t.tolist(),
    "float": lambda t: t.float(),
    "bool": lambda t: t > 0,
    "row": lambda t: t[0],
    "words": lambda t: [["a"] * t.shape[1]] * t.shape[0],
    "uneven": lambda t: [*t.tolist(), [0] * (t.shape[1] + 1)],
}
FLAGS = ["tensor", "array", "list", "float", "row", "uneven", "int32"]
DRAWN = {"tensor", "int32", "array", "list"}


@st.composite
def inputs(draw):
    """Tokens, maskable, valid and further options, mostly such as can be scored."""
    rows, length = draw(st.integers(1, 3)), draw(st.integers(1, 5))

    def table(cells):
        row = st.lists(cells, min_size=length, max_size=length)
        return torch.tensor(draw(st.lists(row, min_size=rows, max_size=rows)))

    usual = draw(st.booleans())
    ids = [i for i in range(VOCAB) if usual <= (i not in (MASK, FORBIDDEN))]
    tokens = table(st.sampled_from(ids if usual else [*ids, -1, VOCAB]))
    maskable = draw(st.none() | st.just(table(st.booleans())))
    valid = draw(st.none() | st.just(table(st.booleans())))
    if usual and valid is not None:
        valid = torch.arange(length) < valid.sum(1, keepdim=True)
        maskable = None if maskable is None else maskable & valid
    forms = {
        "tokens": draw(st.sampled_from(sorted(DRAWN) if usual else sorted(FORMS))),
        "maskable": draw(st.sampled_from(FLAGS[:3] if usual else FLAGS)),
        "valid": draw(st.sampled_from(FLAGS[:3] if usual else FLAGS)),
    }
    options = {
        "seed": draw(st.sampled_from([0, 7] if usual else [0, 7, -1, 2**63, 1.5, True, "1"])),
        "batch_size": draw(st.sampled_from([1, 2, 64] if usual else [1, 64, 0, -1, 2.0, True])),
    }
    return tokens, maskable, valid, forms, options


def is_number(value, least, most):
    return type(value) is int and least <= value <= most


def can_be_scored(tokens, maskable, valid, forms, options):
    """The rules of the docstring, one cell after the other."""
    if forms["tokens"] not in DRAWN or not is_number(options["seed"], 0, 2**63 - 1):
        return False
    if not is_number(options["batch_size"], 1, 10**9):
        return False
    given = {"maskable": maskable, "valid": valid}
    if any(flags is not None and forms[name] not in FLAGS[:3] for name, flags in given.items()):
        return False
    asked = 0
    for b, row in enumerate(tokens.tolist()):
        padded = False
        for n, token in enumerate(row):
            inside = valid is None or bool(valid[b, n])
            hidden = inside if maskable is None else bool(maskable[b, n])
            if (inside and padded) or (hidden and not inside):
                return False
            padded = padded or not inside
            if inside and not 0 <= token < VOCAB:
                return False
            if hidden and token in (MASK, FORBIDDEN):
                return False
            asked += hidden
    return asked > 0


def passed(form, flags):
    return None if flags is None else FORMS[form](flags)


@given(inputs(), st.sampled_from(METHODS))
@example(
    (torch.tensor([[MASK, 0, 1]]), torch.tensor([[False, True, True]]), None,
     {"tokens": "list", "maskable": "array", "valid": "tensor"}, {"seed": 0, "batch_size": 1}),
    METHODS[0],
)  # fmt: skip
def test_what_is_passed_is_scored_or_refused_before_any_pass(case, by):
    tokens, maskable, valid, forms, options = case
    toy = Toy()

    def call():
        given = FORMS[forms["tokens"]](tokens), passed(forms["maskable"], maskable)
        flags = passed(forms["valid"], valid)
        return unmask.score(toy, *given, by=by, valid=flags, **options)

    if not can_be_scored(*case):
        with pytest.raises(InputError, match=r".{20}"):
            call()
        assert toy.rows == []
        return
    found = call()
    hidden = torch.ones_like(tokens, dtype=torch.bool) if valid is None else valid
    hidden = hidden if maskable is None else maskable
    assert torch.equal(found.tokens_per_example, hidden.sum(1))
    assert found.tokens == int(hidden.sum())
    assert found.examples == int(hidden.any(1).sum())
    assert found.per_example.isfinite().all()
    assert (found.per_example >= 0).all()
    assert (found.per_example[~hidden.any(1)] == 0).all()
    assert found.nats_per_token == float(found.per_example.sum()) / found.tokens
    unknown = found.examples == 1 and by == METHODS[0] and found.tokens > 1
    assert math.isnan(found.standard_error) == unknown
    assert unknown or found.standard_error >= 0


STRANGE = [None, 3, 1.5, "bound", [], {}, scoring.Bound, object(), torch.ones(2), [[True]], NAN]


NAMES = ["by", "report", "steps", "legal", "valid", "maskable", "denoiser", "tokens", "seed"]


def test_options_of_any_kind_are_used_or_refused():
    for name, value in itertools.product(NAMES, STRANGE):
        tokens = torch.tensor([[0, 1, 3]])
        options = {"denoiser": Toy(), "tokens": tokens, "by": METHODS[1], name: value}
        if name == "report" and callable(value):
            continue
        try:
            found = unmask.score(**options)
        except InputError:
            found = None
        assert found is None or found.tokens == 3
