"""Pictures of text: lines, signs without a look, bytes of characters, and frames of one size."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from unmask.viz import Layout, fonts, gif, letters, palette, sheet
from unmask.viz.flow import BREAK, OTHER, TAB, Sign, columns_of, flow
from unmask.viz.highlights import looks
from unmask.viz.layout import BLANK, UNKNOWN

FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"  # three people, joined
ODD = [
    *("a", " word", "\n", "\n\n", "\t", "\r\n", ".\n", "", "日", "日本", "é", "\u0627", "\u3000"),
    *("e\u0301", "\u0302", "\U0001f642", FAMILY, "\u200d", "\ue000", "\x07", "\ufffd"),
    *("\udce6", "\udc97", "\udca5", "\udcff"),
]  # fmt: skip


def lines(layout, frames, given=None):
    """Each row of each frame as lines of text: ▒ unknown, wide characters once."""
    frames = frames if frames.dim() == 3 else frames[None]
    rows = frames.flatten(0, 1)
    found = flow(layout, layout.cells(rows), looks(layout, rows, given), len(frames))

    def shown(cell):
        if cell in (UNKNOWN, BLANK):
            return "▒" if cell == UNKNOWN else " "
        sign = found.signs[cell]
        return "" if sign.part == 2 else sign.text or " "

    return [["".join(map(shown, line)).rstrip() for line in row] for row in found.cells.tolist()]


def ids(symbols, *texts):
    return torch.tensor([[symbols.index(each) for each in row] for row in texts])


def test_lines_break_where_the_text_does():
    layout = Layout.text(("def", " f", "\n", "\t", "x", "\r\n"), width=8)
    rows = ids(layout.symbols, ["def", " f", "\n", "\t", "x", "\r\n", "\n", "x"])
    assert lines(layout, rows) == [["def f↵", "→   x↵", "↵", "x"]]


def test_words_are_not_cut_and_lines_do_not_begin_with_their_space():
    layout = Layout.text((" the", " cat", " sat", "s", "overlongwordhere"), width=8)
    rows = ids(layout.symbols, [" the", " cat", "s", " sat", " the", "overlongwordhere"])
    assert lines(layout, rows) == [["the cats", "sat theo", "verlongw", "ordhere"]]


def test_bytes_of_a_character_are_one_sign_when_all_are_known():
    layout = Layout.text(("\udce6", "\udc97", "\udca5", "a"), width=8)
    rows = ids(layout.symbols, list(layout.symbols))
    frames = torch.stack([rows.masked_fill(torch.arange(4) >= n, -1) for n in range(5)])
    assert lines(layout, frames) == [["▒▒▒"], ["▒▒▒"], ["▒▒▒"], ["日▒"], ["日a"]]
    assert lines(layout, rows[:, [0, 3, 1, 2]]) == [["·a··"]]  # bytes that are no character


def test_a_mark_belongs_to_the_letter_before():
    layout = Layout.text(("e", "\u0301", "x", "\u0302"))
    rows = ids(layout.symbols, ["e", "\u0301", "x", "\u0302"])
    assert lines(layout, rows) == [["éx̂"]]


def test_signs():
    assert columns_of("\n") == (Sign(BREAK, pale=True),)
    assert columns_of("\t") == (Sign(TAB, pale=True), *[Sign("")] * 3)
    assert columns_of("日") == (Sign("日", 1), Sign("日", 2))
    assert columns_of("e\u0301") == columns_of("é") == (Sign("é"),)
    for odd in ("\x07", "\ue000", "\udcff", "\ufffd", "\ud800"):
        assert columns_of(odd)[0].pale, odd
    people = FAMILY.replace("\u200d", "")
    assert columns_of(FAMILY) == (Sign(people, 1), Sign(people, 2))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_token_stays_in_its_place(data):
    """Between two frames, only signs of tokens that changed change."""
    layout = Layout.text(tuple(ODD), width=data.draw(st.integers(2, 9)))
    count, steps = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 4))
    token = st.integers(0, len(ODD) - 1)
    final = torch.tensor([data.draw(st.lists(token, min_size=count, max_size=count))] * 2)
    when = torch.tensor(data.draw(st.lists(st.integers(0, steps), min_size=count, max_size=count)))
    frames = torch.stack([final.masked_fill(when > n, -1) for n in range(steps + 1)])
    rows = frames.flatten(0, 1)
    found = flow(layout, layout.cells(rows), looks(layout, rows), len(frames))
    parts = found.cells.reshape(len(frames), 2, *found.cells.shape[1:])
    assert (parts[:, 0] == parts[:, 1]).all()
    assert parts.shape[-1] <= layout.width
    for before, after in pairwise(parts[:, 0]):
        # What was there stays: a token is committed once, and until then is a block.
        assert (before[before >= 0] == after[before >= 0]).all()
        assert (before[after == UNKNOWN] == UNKNOWN).all()
    # Every character of the last frame is somewhere.
    alone = flow(layout, layout.cells(final), looks(layout, final), 1)
    texts = [
        sorted(each.signs[cell].text for cell in each.cells[-1].flat if cell >= 0)
        for each in (found, alone)
    ]
    assert [t for t in texts[0] if t] == [t for t in texts[1] if t]


def pictured(tmp_path, frames, layout, **options):
    path = gif(frames, layout, tmp_path / "a.gif", **options)
    with Image.open(path) as file:
        return [np.asarray(each.convert("RGB")) for each in ImageSequence.Iterator(file)]


def test_frames_are_of_one_size_however_tokens_change(tmp_path):
    layout = Layout.text(tuple(ODD), width=10)
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(-1, len(ODD), (9, 3, 20), generator=generator)
    found = pictured(tmp_path, frames, layout)
    assert len({each.shape for each in found}) == 1
    # One that is all unknown at first is as large as its last frame.
    frames[0] = -1
    assert len({each.shape for each in pictured(tmp_path, frames, layout)}) == 1


@pytest.fixture
def alone(monkeypatch):
    """A machine without other fonts."""
    monkeypatch.setattr(fonts, "others", tuple)


def test_no_box_stands_for_a_character_that_no_font_has(alone):
    """It is the quiet dot, and so is what has no look at all."""
    layout = Layout.text(("\ue000", "日", OTHER, " "), width=4)
    rows = torch.tensor([[0], [1]])
    private, wide = (np.asarray(sheet(row[None], layout)) for row in rows)
    dot = letters._drawn(Sign(OTHER, pale=True), 0, letters.CELL, letters.width(letters.CELL))
    at = 20 + letters.width(letters.CELL) // 2
    assert (private[at : at + dot.shape[0], at : at + dot.shape[1]] == dot).all()
    ink = (np.abs(wide.astype(int) - palette.PAPER).max(-1) > 60) & (
        np.abs(wide.astype(int) - palette.TABLE).max(-1) > 60
    )
    assert 0 < ink.sum() < 12  # a dot, and no box


def test_every_sign_that_is_drawn_has_a_glyph(alone):
    from matplotlib.ft2font import FT2Font

    for sign in (BREAK, TAB, OTHER, "a", "é", "Я", "∑", "x̂"):
        face = FT2Font(fonts.font_of(sign, 16).path)
        assert all(face.get_char_index(ord(character)) for character in sign)
    assert fonts.font_of("日", 16) is None


def test_a_font_of_the_machine_is_taken_where_it_has_the_character(monkeypatch):
    own = fonts.own()
    monkeypatch.setattr(fonts, "own", lambda: own[:1])
    monkeypatch.setattr(fonts, "others", lambda: ("missing.ttf", own[1]))
    assert fonts.font_of("ༀ", 16) is None
    found = next(c for c in map(chr, range(0x1000, 0x20000)) if _only(own, c))
    assert fonts.font_of(found, 16).path == own[1]


def _only(own, character):
    return fonts._has(own[1], character) and not fonts._has(own[0], character)


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    import sys

    from unmask.errors import MissingExtraError

    fonts.own.cache_clear()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'unmask\[viz\]'"):
        sheet(torch.tensor([[0]]), Layout.text("a"))
