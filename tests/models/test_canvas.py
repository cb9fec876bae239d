"""What a canvas takes, what it refuses, and what the refusal says."""

import inspect

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import unmask
from unmask import Canvas, presets
from unmask.errors import CanvasError

VOCAB, MASK = 6, 5
IDS = torch.tensor([[1, 2, 3], [4, 0, 1]])
FLAGS = torch.tensor([[True, False, True], [False, False, True]])


def flat_network(calls):
    def network(tokens):
        calls.append(tokens)
        return torch.zeros(*tokens.shape, VOCAB)

    return unmask.wrap(network, mask_id=MASK, vocab_size=VOCAB)


def test_blank_is_unknown_everywhere():
    canvas = Canvas.blank(2, 3)
    assert canvas.shape == (2, 3)
    assert canvas.editable.all()
    assert canvas.valid.all()
    assert canvas.tokens.dtype == torch.int64


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_infill_takes_any_integers(dtype):
    canvas = Canvas.infill(IDS.to(dtype), FLAGS)
    assert canvas.tokens.dtype == torch.int64
    assert canvas.tokens.tolist() == IDS.tolist()
    assert torch.equal(canvas.editable, FLAGS)
    assert canvas.valid.all()


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16, torch.int32])
def test_other_integers_become_int64_however_a_canvas_is_made(dtype):
    canvas = Canvas(IDS.to(dtype), FLAGS, torch.ones_like(FLAGS))
    assert canvas.tokens.dtype == torch.int64
    assert torch.equal(canvas.tokens, IDS)
    tokens = unmask.generate(flat_network([]), canvas, presets.random_order(2), seed=1)
    assert torch.equal(tokens[~FLAGS], IDS[~FLAGS])
    for wrong in (IDS.float(), FLAGS):
        with pytest.raises(CanvasError, match="integer ids"):
            Canvas(wrong, FLAGS, torch.ones_like(FLAGS))


def test_ragged_pads_on_the_right():
    canvas = Canvas.ragged(
        [[1, 2, 3], torch.tensor([4])], [[True, False, True], torch.tensor([False])], pad_id=9
    )
    assert canvas.tokens.tolist() == [[1, 2, 3], [4, 9, 9]]
    assert canvas.editable.tolist() == [[True, False, True], [False] * 3]
    assert canvas.valid.tolist() == [[True] * 3, [True, False, False]]
    everywhere = Canvas.ragged([[1, 2, 3], [4]])
    assert torch.equal(everywhere.editable, everywhere.valid)


LATER = torch.tensor([[False, True, True]] * 2)
REFUSED = {
    "float ids": (
        lambda: Canvas.infill(IDS.float(), FLAGS),
        r"integer ids of shape \(B,N\).*torch\.float32 \(2, 3\)",
    ),
    "bool ids": (lambda: Canvas.infill(FLAGS, FLAGS), r"integer ids.*torch\.bool"),
    "complex ids": (lambda: Canvas.infill(IDS + 0j, FLAGS), r"integer ids.*complex"),
    "rows of unequal length": (
        lambda: Canvas.infill([[1, 2], [3]], FLAGS),
        r"tensor of integer ids.*list of rows of unequal length: pass them to Canvas\.ragged",
    ),
    "ids in words": (lambda: Canvas.infill(["ab"], FLAGS), r"tensor of integer ids.*got list"),
    "one row without a batch": (lambda: Canvas.infill(IDS[0], FLAGS[0]), r"\(B,N\).*\(3,\)"),
    "editable of another shape": (
        lambda: Canvas.infill(IDS, FLAGS[:1]),
        r"editable must be a bool tensor.*\(2, 3\).*\(1, 3\)",
    ),
    "editable of numbers": (
        lambda: Canvas.infill(IDS, FLAGS.long()),
        r"editable must be a bool tensor.*torch\.int64",
    ),
    "editable as a list of numbers": (
        lambda: Canvas.infill(IDS, [[0, 1, 1], [1, 0, 0]]),
        r"editable must be a bool tensor.*torch\.int64 \(2, 3\)",
    ),
    "one row as a list": (lambda: Canvas.infill([1, 2], [True, True]), r"one row, pass \[row\]"),
    "padding on the left": (
        lambda: Canvas.infill(IDS, LATER, valid=LATER),
        r"padding of row 0 stands before position 1.*to Canvas\.ragged\(sequences\)",
    ),
    "text for rows": (lambda: Canvas.ragged("abc"), r"flat list of ids in every row.*'abc'"),
    "words for rows": (lambda: Canvas.ragged(["ab"]), r"flat list of ids in every row.*'ab'"),
    "no sequences": (lambda: Canvas.ragged(None), r"flat list of ids in every row.*None"),
    "uneven within a row": (lambda: Canvas.ragged([[[1], [2, 3]]]), r"flat list of ids"),
    "padding by nothing": (lambda: Canvas.ragged([[1]], pad_id=None), r"pad_id=None: pass an int"),
    "editable for all rows": (lambda: Canvas.ragged([[1], [2]], True), r"editable has 0 rows"),
    "more rows than there are numbers": (lambda: Canvas.blank(2**64, 2), r"batch_size=.*: pass an"),
    "valid of another shape": (
        lambda: Canvas.infill(IDS, FLAGS, valid=FLAGS[:, :2]),
        r"valid must be a bool tensor.*\(2, 3\).*\(2, 2\)",
    ),
    "editable at padding": (
        lambda: Canvas.infill(IDS, FLAGS, valid=torch.arange(3).expand(2, 3) < 2),
        r"editable is True at padding \(row 0, position 2\)",
    ),
    "no rows": (lambda: Canvas.blank(0, 3), r"batch_size=0: pass an integer of 1 or more"),
    "no positions": (lambda: Canvas.blank(3, 0), r"length=0: pass an integer of 1 or more"),
    "half a row": (lambda: Canvas.blank(1.5, 2), r"batch_size=1\.5: pass an integer"),
    "True rows": (lambda: Canvas.blank(True, 2), r"batch_size=True: pass an integer"),
    "an empty ragged": (lambda: Canvas.ragged([]), r"at least one row"),
    "an empty row": (lambda: Canvas.ragged([[1], []]), r"flat list of ids in every row"),
    "a nested row": (lambda: Canvas.ragged([[[1]]]), r"flat list of ids in every row"),
    "a float row": (lambda: Canvas.ragged([[1.5]]), r"ids must be integers"),
    "too few editable rows": (
        lambda: Canvas.ragged([[1], [2]], [[True]]),
        r"editable has 1 rows for 2 sequences",
    ),
    "an editable row too short": (
        lambda: Canvas.ragged([[1, 2]], [[True]]),
        r"editable of row 0 is torch\.bool of length 1: pass one bool for each of its 2 ids",
    ),
    "an editable row of numbers": (
        lambda: Canvas.ragged([[1, 2]], [[0, 1]]),
        r"editable of row 0 is torch\.int64",
    ),
    "a condition for another batch": (
        lambda: Canvas.blank(2, 3, condition=torch.zeros(3)),
        r"condition of shape \(3,\) for 2 rows",
    ),
    "a list of another batch for a condition": (
        lambda: Canvas.blank(2, 3, condition=[1, 2, 3]),
        r"condition of shape \(3,\) for 2 rows",
    ),
    "an array of another batch within a condition": (
        lambda: Canvas.blank(2, 3, condition={"classes": np.zeros(3)}),
        r"condition of shape \(3,\) for 2 rows",
    ),
    "uneven lists for a condition": (
        lambda: Canvas.blank(2, 3, condition=[[1, 2], [3]]),
        r"condition holds a list, which would not be cut into rows: pass a tensor",
    ),
    "a number beyond a tensor's": (
        lambda: Canvas.blank(2, 3, condition=2**64),
        r"condition=18446744073709551616 is beyond",
    ),
    "a list within a condition": (
        lambda: Canvas.blank(2, 3, condition={"name": ["a", "b"]}),
        r"condition holds a list",
    ),
    "rows of nothing": (
        lambda: Canvas.infill(IDS[:, :0], FLAGS[:, :0]),
        r"tokens has shape \(2, 0\): a row needs one position or more",
    ),
    "a condition without rows": (
        lambda: Canvas.blank(2, 3, condition={"class": torch.tensor(1)}),
        r"condition of shape \(\) for 2 rows.*batch",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what):
    make, message = REFUSED[what]
    with pytest.raises(CanvasError, match=message):
        make()


@pytest.mark.parametrize("bad", [-1, VOCAB, 10**9])
def test_given_ids_outside_the_vocabulary_are_named(bad):
    calls = []
    tokens = IDS.clone()
    tokens[1, 1] = bad
    message = rf"id {bad} at row 1, position 1 is outside the vocabulary of {VOCAB}.*0 to 5"
    with pytest.raises(CanvasError, match=message):
        unmask.generate(flat_network(calls), Canvas.infill(tokens, FLAGS), seed=0)
    assert calls == []


def test_given_ids_are_checked_when_the_vocabulary_is_learnt_from_the_first_call():
    network = unmask.wrap(lambda tokens: torch.zeros(*tokens.shape, VOCAB), mask_id=MASK)
    tokens = IDS.clone()
    tokens[1, 1] = 99
    with pytest.raises(
        CanvasError, match=r"id 99 at row 1, position 1 is outside the vocabulary of 6"
    ):
        unmask.generate(network, Canvas.infill(tokens, FLAGS), seed=0)


def test_a_padding_id_outside_the_vocabulary_is_not_told_to_be_editable():
    canvas = Canvas.ragged([[1, 2], [3]], pad_id=-100)
    with pytest.raises(CanvasError, match=r"padding|pad_id"):
        unmask.generate(flat_network([]), canvas, seed=0)


def test_what_stands_where_generation_may_write_is_ignored():
    calls = []
    tokens = IDS.masked_fill(FLAGS, -100)
    out = unmask.generate(flat_network(calls), Canvas.infill(tokens, FLAGS), seed=0)
    assert torch.equal(out[~FLAGS], IDS[~FLAGS])
    assert calls[0][FLAGS].tolist() == [MASK] * 3


@pytest.mark.parametrize("name", presets.__all__)
def test_nothing_editable_returns_the_canvas_without_a_forward(name):
    calls = []
    make = getattr(presets, name)
    needed = {"critic": None, "delimiters": [1], "height": 2, "width": IDS.shape[1] // 2}
    needed |= {"end_id": 1}
    taken = inspect.signature(make).parameters
    strategy = make(**{key: value for key, value in needed.items() if key in taken})
    canvas = Canvas.infill(IDS, torch.zeros_like(FLAGS))
    record = unmask.run(flat_network(calls), canvas, strategy, seed=0)
    assert torch.equal(record.tokens, IDS)
    assert calls == []
    assert record.forwards.tolist() == record.steps.tolist() == [0, 0]
    assert list(unmask.stream(flat_network(calls), canvas, strategy, seed=0)) == []


def test_rows_without_anything_editable_cost_no_forward():
    calls = []
    flags = FLAGS.clone()
    flags[0] = False
    record = unmask.run(flat_network(calls), Canvas.infill(IDS, flags), seed=0)
    assert record.forwards.tolist() == [0, 1]
    assert [len(tokens) for tokens in calls] == [1]
    assert record.tokens[0].tolist() == IDS[0].tolist()


def test_an_empty_batch_comes_back_empty():
    nobody = torch.zeros(0, 4, dtype=torch.int64)
    out = unmask.generate(flat_network([]), Canvas.infill(nobody, nobody > 0), seed=0)
    assert out.shape == (0, 4)


def test_padding_before_what_is_no_padding_is_refused():
    valid = torch.tensor([[True, False, True], [True, True, True]])
    with pytest.raises(CanvasError, match=r"padding of row 0 .* must be at the end"):
        Canvas.infill(IDS, FLAGS & valid, valid=valid)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"nothing to generate: pass a canvas, or batch_size and length"),
        ({"batch_size": 2}, r"nothing to generate.*batch_size=16, length=64"),
        ({"length": 2}, r"nothing to generate"),
        ({"canvas": IDS}, r"canvas is a Tensor: pass Canvas\.blank.*Canvas\.infill"),
        ({"canvas": Canvas.blank(1, 2), "length": 3}, r"length given beside a canvas"),
        (
            {"canvas": Canvas.blank(1, 2), "batch_size": 1, "condition": 1},
            r"batch_size, condition given beside a canvas",
        ),
    ],
    ids=str,
)
def test_generate_says_what_to_pass(arguments, message):
    with pytest.raises(CanvasError, match=message):
        unmask.generate(flat_network([]), **arguments)


def test_steps_per_row_must_be_one_per_row():
    with pytest.raises(CanvasError, match=r"steps=\[1, 2, 3\] for 2 rows: .* for each row"):
        Canvas.blank(2, 4, steps=[1, 2, 3])


def test_a_canvas_moves_with_its_condition():
    label = torch.arange(2)
    canvas = Canvas.blank(2, 3, condition={"label": label, "name": "kept"}).to("cpu")
    assert canvas.shape == (2, 3)
    assert canvas.condition["name"] == "kept"
    assert torch.equal(canvas.condition["label"], label)


def test_a_condition_that_would_not_be_cut_into_rows_is_refused():
    with pytest.raises(CanvasError, match=r"condition holds a ndarray.*: pass a tensor of B rows"):
        Canvas.blank(2, 4, condition={"names": np.array(["a", "b"])})


@pytest.mark.parametrize("form", [torch.Tensor.tolist, torch.Tensor.numpy, torch.Tensor.clone])
def test_arrays_and_lists_are_tensors_of_the_same_numbers(form):
    legal = torch.ones(3, VOCAB, dtype=torch.bool)
    required = torch.tensor([-1, -1, 3])
    flags = torch.tensor([[False, True, True], [True, False, True]])
    valid = torch.ones_like(flags)
    plain = Canvas.infill(IDS, flags, valid=valid, legal=legal, required=required)
    found = Canvas.infill(
        form(IDS), form(flags), valid=form(valid), legal=form(legal), required=form(required)
    )
    made = Canvas(form(IDS), form(flags), form(valid), legal=form(legal), required=form(required))
    for canvas in (found, made):
        for name in ("tokens", "editable", "valid", "legal", "required"):
            assert torch.equal(getattr(canvas, name), getattr(plain, name))
            assert getattr(canvas, name).dtype == getattr(plain, name).dtype


def test_a_canvas_shares_nothing_with_an_array():
    array = IDS.numpy().copy()
    canvas = Canvas.infill(array, FLAGS)
    array[:] = 0
    assert torch.equal(canvas.tokens, IDS)


@pytest.mark.parametrize("big", [">i4", "<i8", "u1"])
def test_arrays_of_any_integers_are_ids(big):
    array = IDS.numpy().astype(big)[:, ::-1]
    assert Canvas.infill(array, FLAGS).tokens.tolist() == IDS.flip(1).tolist()


@pytest.mark.parametrize("given", [[1, 2], np.array([1, 2]), (1, 2), [np.int64(1), np.int64(2)]])
def test_a_condition_may_be_a_list_or_an_array(given):
    assert Canvas.blank(2, 3, condition=given).condition.tolist() == [1, 2]
    inside = Canvas.blank(2, 3, condition={"class": given, "scale": 3}).condition
    assert inside["class"].tolist() == [1, 2]
    assert inside["scale"] == 3


@pytest.mark.parametrize("one", [7, np.int64(7)])
def test_a_condition_that_is_one_number_is_that_of_every_row(one):
    assert Canvas.blank(2, 3, condition=one).condition.tolist() == [7, 7]


def test_a_list_of_lists_is_a_condition_row_by_row_and_no_tree():
    table = Canvas.blank(2, 3, condition=[[1, 2], [3, 4]]).condition
    assert table.tolist() == [[1, 2], [3, 4]]


class OneDevice(TorchDispatchMode):
    """Refuses what a GPU refuses: rows chosen by numbers that are elsewhere."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in ("index", "index_select"):
            leaf, *numbers = [x for x in tree_leaves(args) if isinstance(x, torch.Tensor)]
            allowed = {leaf.device, torch.device("cpu")} if name == "index" else {leaf.device}
            assert {at.device for at in numbers} <= allowed, f"{name} on several devices"
        return function(*args, **kwargs or {})


@pytest.mark.parametrize("rows_far", [False, True])
@pytest.mark.parametrize("canvas_far", [False, True])
def test_rows_are_taken_wherever_their_numbers_are(elsewhere, rows_far, canvas_far):
    legal = torch.rand(3, 2, 5, generator=torch.Generator().manual_seed(1)) < 0.5
    legal[..., 0] = True
    of_rows = {"condition": {"class": torch.arange(3)}, "steps": [4, 5, 6], "legal": legal}
    tokens, required = torch.arange(6).view(3, 2), torch.tensor([[-1, 1], [0, -1], [-1, -1]])
    canvas = Canvas.infill(tokens, torch.ones(3, 2).bool(), required=required, **of_rows)
    places, rows = [torch.device("cpu"), elsewhere.FAR], [2, 0, 2]
    with elsewhere.counted():
        canvas, at = canvas.to(places[canvas_far]), torch.tensor(rows).to(places[rows_far])
        with OneDevice():
            part = canvas.take(at)
        assert part.tokens.device == places[canvas_far]
        assert part.tokens.tolist() == tokens[rows].tolist()
        assert part.condition["class"].tolist() == rows
        assert part.steps.tolist() == [6, 4, 6]
        assert part.legal.tolist() == legal[rows].tolist()
        assert part.required.tolist() == required[rows].tolist()


def test_what_all_rows_share_is_shared_by_those_taken():
    canvas = Canvas.blank(3, 2, condition=torch.ones(1, 4).expand(3, 4), legal=torch.ones(2, 5) > 0)
    part = canvas.take(torch.tensor([1, 1]))
    assert part.condition.stride(0) == 0
    assert part.condition.shape == (2, 4)
    assert part.legal is canvas.legal


def test_ragged_rows_of_several_kinds_of_integers_keep_their_ids():
    rows = [np.array([5], np.uint8), [101, 30522], torch.tensor([3000], dtype=torch.int16)]
    assert Canvas.ragged(rows).tokens.tolist() == [[5, 0], [101, 30522], [3000, 0]]
