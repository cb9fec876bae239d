"""Contact sheets: the right pixels in the right places, and files that are never half-written."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from unmask.errors import InputError, MissingExtraError
from unmask.viz import Layout, palette, save_png, sheet
from unmask.viz.letters import width
from unmask.viz.sheet import GAP, MARGIN

IMAGE = Layout.image(2, 2, 3)
BOARD = Layout.board(4, 4, "1234", box=(2, 2))


def centre(picture, row, cell, columns, *, side=2, scale=10):
    """The colour in the middle of a pixel of an image tile."""
    tile = side * scale
    left = MARGIN + row % columns * (tile + GAP) + cell % side * scale + scale // 2
    top = MARGIN + row // columns * (tile + GAP) + cell // side * scale + scale // 2
    return picture.getpixel((left, top))


def test_images_are_enlarged_in_reading_order():
    tokens = torch.tensor([[0, 1, 2, -1], [2, 2, 2, 2], [0, 0, 0, 0]])
    picture = sheet(tokens, IMAGE, columns=2, scale=10)
    assert picture.size == (2 * MARGIN + 2 * 20 + GAP, 2 * MARGIN + 2 * 20 + GAP)
    assert picture.mode == "RGB"
    colours = [tuple(map(int, colour)) for colour in palette.ramp(palette.PAPER, palette.INK, 3)]
    assert [centre(picture, 0, cell, 2) for cell in range(3)] == colours
    assert centre(picture, 0, 3, 2) in (palette.UNKNOWN, palette.HATCH)
    assert {centre(picture, 1, cell, 2) for cell in range(4)} == {palette.INK}
    assert centre(picture, 2, 0, 2) == palette.PAPER
    assert centre(picture, 3, 0, 2) == palette.TABLE  # no fourth row
    assert picture.getpixel((0, 0)) == palette.TABLE


def test_every_pixel_of_a_cell_is_flat():
    picture = np.asarray(sheet(torch.tensor([[0, 1, 2, 0]]), IMAGE, scale=40))
    cell = picture[MARGIN + 10 : MARGIN + 40, MARGIN + 40 : MARGIN + 70]
    assert (cell == cell[0, 0]).all()


def test_given_and_changed_cells_have_colours_of_their_own():
    tokens = torch.tensor([[2, 2, 2, 2]])
    given = torch.tensor([[True, False, False, False]])
    changed = torch.tensor([[False, True, False, False]])
    picture = sheet(tokens, IMAGE, scale=10, given=given, changed=changed)
    looks = [centre(picture, 0, cell, 1) for cell in range(4)]
    assert looks[2] == looks[3] == palette.INK
    assert looks[0] == palette.GIVEN_INK
    assert len(set(looks)) == 3


def test_the_unknown_colour_is_no_grey_level():
    greys = {tuple(colour) for colour in palette.ramp(palette.PAPER, palette.INK, 256)}
    for unknown in (palette.UNKNOWN, palette.HATCH):
        nearest = min(max(abs(a - int(b)) for a, b in zip(unknown, c, strict=True)) for c in greys)
        assert nearest > 8


def test_boards_have_thick_lines_around_boxes_and_thin_ones_between_cells():
    tokens = torch.full((1, 16), -1)
    picture = np.asarray(sheet(tokens, BOARD, scale=20))
    across = picture[MARGIN + 3 + 10, MARGIN : MARGIN + 86]  # through the first line of cells
    ink = (across == palette.INK).all(-1).nonzero()[0].tolist()
    rule = (across == palette.RULE).all(-1).nonzero()[0].tolist()
    assert ink == [0, 1, 2, 42, 43, 44, 83, 84, 85]
    assert rule == [23, 63]


def test_digits_are_drawn_and_clues_are_darker_and_bolder():
    tokens = torch.tensor([[0] * 16])
    given = torch.zeros(1, 16, dtype=torch.bool)
    given[0, 0] = True
    picture = np.asarray(sheet(tokens, BOARD, given=given, scale=40)).astype(int)
    clue, drawn = (
        picture[MARGIN + 6 : MARGIN + 38, left : left + 30] for left in (MARGIN + 8, MARGIN + 50)
    )
    # How much of the cell is far from its own paper.
    strokes = [(np.abs(cell - cell[0, 0]).max(-1) > 100).sum() for cell in (clue, drawn)]
    assert strokes[0] > 1.2 * strokes[1] > 0


def test_text_goes_line_by_line():
    layout = Layout.text("ab", width=4)
    picture = sheet(torch.tensor([[0, 1, -1, 0, 1]]), layout, scale=20)
    wide = width(20)
    side = wide // 2  # of paper around the text
    assert picture.size == (2 * (MARGIN + side) + 4 * wide, 2 * (MARGIN + side) + 2 * 20)
    assert picture.getpixel((MARGIN + side + 2 * wide + wide // 2, MARGIN + side + 10)) in (
        palette.UNKNOWN,
        palette.HATCH,
    )
    # The end of the second line, short of the rounded corner.
    end = np.asarray(picture)[MARGIN + side + 20 : -MARGIN - side, MARGIN + side + wide : -MARGIN]
    assert (end[:-6] == palette.PAPER).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": 0}, "at least one column"),
        ({"scale": 0}, "at least one pixel"),
        ({"given": torch.zeros(1, 4)}, "given is torch.float32"),
        ({"changed": torch.zeros(2, 4, dtype=torch.bool)}, r"of the shape \(1, 4\)"),
    ],
)
def test_refuses_options_that_cannot_work(options, message):
    with pytest.raises(InputError, match=message):
        sheet(torch.zeros(1, 4).long(), IMAGE, **options)


def test_refuses_an_empty_sheet():
    with pytest.raises(InputError, match="no rows"):
        sheet(torch.zeros(0, 4).long(), IMAGE)


def test_without_pillow_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'unmask\[viz\]'"):
        sheet(torch.zeros(1, 4).long(), IMAGE)


def test_save_png_writes_the_same_pixels(tmp_path):
    picture = sheet(torch.tensor([[0, 1, 2, -1]]), IMAGE)
    path = save_png(picture, tmp_path / "a.png")
    with Image.open(path) as again:
        assert again.format == "PNG"
        assert (np.asarray(again) == np.asarray(picture)).all()
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("failure", [OSError("No space left on device"), KeyboardInterrupt()])
def test_an_exception_in_the_middle_leaves_the_earlier_file(tmp_path, failure):
    path = tmp_path / "a.png"
    save_png(sheet(torch.tensor([[0, 1, 2, -1]]), IMAGE), path)
    earlier = path.read_bytes()

    class Broken:
        def save(self, file, **options):
            file.write(b"half a picture")
            raise failure

    with pytest.raises(type(failure)):
        save_png(Broken(), path)
    assert path.read_bytes() == earlier
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_save_png_refuses_another_suffix(tmp_path):
    with pytest.raises(InputError, match=r"type .*a\.png"):
        save_png(sheet(torch.tensor([[0, 1, 2, -1]]), IMAGE), tmp_path / "a.jpg")
