"""Where ids go, what they look like, and the way through JSON."""

import json

import pytest
import torch

from unmask.errors import InputError
from unmask.viz import Layout

LAYOUTS = [
    Layout.image(8, 8, 17, offset=1),
    Layout.board(4, 4, "1234", box=(2, 2)),
    Layout.board(6, 6, ("1", "2", "10"), box=(2, 3)),
    Layout.text("ACDE", width=5),
    Layout.text(),
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.kind)
def test_json_and_back(layout):
    assert Layout.from_dict(json.loads(json.dumps(layout.to_dict()))) == layout


def test_cells_are_row_major_after_the_offset():
    layout = Layout.image(2, 3, 10, offset=1)
    cells = layout.cells(torch.tensor([[99, 0, 1, 2, 3, 4, -1]], dtype=torch.int32))
    assert cells.tolist() == [[[0, 1, 2], [3, 4, -1]]]
    assert cells.dtype == "int64"


def test_text_is_wrapped_and_its_end_left_blank():
    cells = Layout.text("ab", width=3).cells(torch.tensor([[0, 1, -1, 1]]))
    assert cells.tolist() == [[[0, 1, -1], [1, -2, -2]]]
    assert Layout.text().cells(torch.zeros(2, 0).long()).shape == (2, 1, 32)


def test_marks_lie_beside_cells():
    layout = Layout.text("ab", width=3, offset=1)
    marks = layout.marks(torch.tensor([[True, False, True, False, True]]))
    assert marks.tolist() == [[[False, True, False], [True, False, False]]]


def test_symbols():
    assert Layout.board(1, 1, ("x", "yz")).symbol(1) == "yz"
    assert Layout.text().symbol(417) == "417"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"kind": "image", "heigth": 8}, "no field 'heigth'; did you mean 'height'"),
        ({"kind": "imgae"}, "did you mean 'image'"),
        ({"height": 8}, "says no kind"),
        ({"kind": "image", "height": 8, "width": 8, "levels": 1}, "two grey levels"),
        ({"kind": "image", "height": 8.0, "width": 8, "levels": 2}, "sizes of a layout"),
        ({"kind": "image", "height": 0, "width": 8, "levels": 2}, "height of 1 or more"),
        ({"kind": "text", "height": 2}, "text: 0"),
        ({"kind": "text", "box": 3}, "sizes of a layout"),
        ({"kind": "text", "symbols": "ab"}, "tuple of strings"),
        ({"kind": "text", "symbols": ["a", 1]}, "tuple of strings"),
        ({"kind": "board", "height": 4, "width": 4}, "a symbol per id"),
        (
            {"kind": "board", "height": 4, "width": 4, "symbols": ["1"], "box": [3, 2]},
            "boxes of 3×2 do not tile",
        ),
    ],
)
def test_from_dict_refuses_with_a_way_out(data, message):
    with pytest.raises(InputError, match=message):
        Layout.from_dict(data)


@pytest.mark.parametrize(
    ("layout", "frame", "message"),
    [
        (Layout.image(2, 2, 3), torch.zeros(1, 5).long(), r"pass \(B, 4\)"),
        (Layout.image(2, 2, 3), torch.zeros(4).long(), r"pass integer ids \(B, N\)"),
        (Layout.image(2, 2, 3), torch.zeros(1, 4), r"pass integer ids \(B, N\)"),
        (Layout.image(2, 2, 3), torch.tensor([[0, 1, 3, 0]]), "id 3 at row 0, position 2"),
        (Layout.image(2, 2, 3), torch.tensor([[0, 1, -2, 0]]), "shows 0..2"),
        (Layout.board(1, 2, "ab"), torch.tensor([[0, 2]]), r"masked_fill\(masked, -1\)"),
        (Layout.text("ab"), torch.tensor([[0, 2]]), "shows 0..1"),
        (Layout.text(offset=3), torch.zeros(1, 2).long(), "of which 3 are not drawn"),
    ],
)
def test_cells_refuse_what_cannot_be_shown(layout, frame, message):
    with pytest.raises(InputError, match=message):
        layout.cells(frame)


def test_ids_in_the_offset_are_not_looked_at():
    Layout.image(1, 2, 3, offset=1).cells(torch.tensor([[28, 0, 2]]))
