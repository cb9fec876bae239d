"""Terminal pictures as text: snapshots without colours, escapes where colours are the point."""

import io

import pytest
import torch
from rich.console import Console
from rich.style import Style

from unmask.errors import InputError
from unmask.viz import Layout, frame_panel, glyphs, palette, replay, terminal

IMAGE = Layout.image(2, 3, 5)
BOARD = Layout.board(4, 4, "1234", box=(2, 2))
SOLVED = torch.tensor([[0, 1, 2, 3, 2, 3, 0, 1, 1, 0, 3, 2, 3, 2, 1, 0]])


@pytest.fixture(autouse=True)
def fresh_styles():
    """A style keeps the escape it was first rendered to, on whatever terminal that was."""
    for cached in (Style.parse, Style.normalize, Style._add, glyphs._style):
        cached.cache_clear()


def printed(renderable, *, width=60, **options):
    console = Console(file=io.StringIO(), width=width, **{"color_system": None, **options})
    console.print(renderable)
    return console.file.getvalue()


def coloured(renderable, **options):
    return printed(renderable, force_terminal=True, color_system="truecolor", **options)


def ink(colour):
    return "38;2;{};{};{}".format(*colour)


def paper(colour):
    return "48;2;{};{};{}".format(*colour)


def grey(level):
    return palette.ramp(palette.NIGHT, palette.LIGHT, 5)[level]


def test_a_board_without_colours():
    frame = SOLVED.clone()
    frame[0, 5:7] = -1
    assert printed(frame_panel(frame, BOARD, title="a")).splitlines() == [
        "╭──────── a ────────╮",
        "│ ┏━━━┯━━━┳━━━┯━━━┓ │",
        "│ ┃ 1 │ 2 ┃ 3 │ 4 ┃ │",
        "│ ┠───┼───╂───┼───┨ │",
        "│ ┃ 3 │ · ┃ · │ 2 ┃ │",
        "│ ┣━━━┿━━━╋━━━┿━━━┫ │",
        "│ ┃ 2 │ 1 ┃ 4 │ 3 ┃ │",
        "│ ┠───┼───╂───┼───┨ │",
        "│ ┃ 4 │ 3 ┃ 2 │ 1 ┃ │",
        "│ ┗━━━┷━━━┻━━━┷━━━┛ │",
        "╰───────────────────╯",
    ]


def test_images_without_colours_are_shades_with_two_characters_a_pixel():
    frame = torch.tensor([[0, 1, 2, 3, 4, -1], [4, 4, 4, 4, 4, 4], [-1] * 6])
    assert printed(frame_panel(frame, IMAGE, columns=2)).splitlines() == [
        "╭────────────────╮",
        "│   ░░▒▒  ██████ │",
        "│ ▓▓██··  ██████ │",
        "│                │",
        "│ ······         │",
        "│ ······         │",
        "╰────────────────╯",
    ]


def test_images_in_colour_are_half_blocks():
    frame = torch.tensor([[0, 1, -1, 3, 4, -1]])
    out = coloured(frame_panel(frame, IMAGE))
    assert f"\x1b[{ink(grey(0))};{paper(grey(3))}m▀" in out
    assert f"\x1b[{ink(grey(1))};{paper(grey(4))}m▀" in out
    assert f"\x1b[{ink(palette.NIGHT_HATCH)};{paper(palette.NIGHT_UNKNOWN)}m░" in out
    assert out.count("▀") == 2  # two pixels a character, one line for both
    assert len(out.splitlines()) == 3


def test_an_odd_line_of_pixels_has_nothing_below_it():
    out = coloured(frame_panel(torch.tensor([[0, 4, -1]]), Layout.image(3, 1, 5)))
    assert f"\x1b[{ink(palette.NIGHT_UNKNOWN)}m▀" in out
    assert len(out.splitlines()) == 4


def test_new_cells_are_highlighted_and_clues_are_bold():
    changed, given = torch.zeros(2, 1, 16, dtype=torch.bool)
    changed[0, 1] = given[0, 0] = True
    out = coloured(frame_panel(SOLVED, BOARD, changed=changed, given=given))
    assert "\x1b[1m 1 " in out
    assert f"\x1b[1;{ink(palette.NIGHT)};{paper(palette.NIGHT_FRESH)}m 2 " in out
    assert out.count(paper(palette.NIGHT_FRESH)) == 1
    assert f"\x1b[{ink(palette.NIGHT_DRAWN)}m 3 " in out

    frame = torch.tensor([[0, 1, 2, 3, 4, 0]])
    plain = coloured(frame_panel(frame, IMAGE))
    mark = torch.tensor([[True] + [False] * 5])
    assert coloured(frame_panel(frame, IMAGE, changed=mark)) != plain
    assert coloured(frame_panel(frame + 1, Layout.image(2, 3, 6), given=mark)) != coloured(
        frame_panel(frame + 1, Layout.image(2, 3, 6))
    )


def test_line_ends_and_half_characters_do_not_move_the_cursor():
    layout = Layout.text(("\n", "\t", "\udce6", "\x07", "日", "a"), width=6)
    out = printed(frame_panel(torch.tensor([[0, 1, 2, 3, 4, 5]]), layout))
    assert [line.split() for line in out.splitlines()[1:-1]] == [
        ["│", "↵", "→", "·", "·", "日", "a", "│"]
    ]


def test_text_is_wrapped_to_the_console():
    layout = Layout.text("abc", width=12)
    frame = torch.tensor([[0, 1, 2] * 4, [-1] * 12])
    assert printed(frame_panel(frame, layout), width=12).splitlines() == [
        "╭──────────╮",
        "│ abcabcab │",
        "│ cabc     │",
        "│          │",
        "│ ········ │",
        "│ ····     │",
        "╰──────────╯",
    ]
    assert printed(frame_panel(frame, layout)).splitlines()[1:3] == [
        "│ abcabcabcabc │",
        "│ ············ │",
    ]


def test_ids_without_symbols_stand_apart():
    out = printed(frame_panel(torch.tensor([[7, 123, 456, -1, 10]]), Layout.text(width=5)))
    assert out.splitlines()[1].split() == ["│", "7", "123", "456", "·", "10", "│"]


def test_wide_symbols_keep_boards_straight():
    layout = Layout.board(2, 2, ("1", "10", "数"))
    lines = printed(frame_panel(torch.tensor([[0, 1, 2, -1]]), layout)).splitlines()
    assert lines[2:5:2] == ["│ ┃  1 │ 10 ┃ │", "│ ┃ 数 │  · ┃ │"]


def test_a_narrow_panel_is_widened_for_its_subtitle():
    out = printed(frame_panel(torch.zeros(1, 6).long(), IMAGE, subtitle="step 3/16 · 42% known"))
    assert "step 3/16 · 42% known" in out


@pytest.mark.parametrize(
    ("rows", "width", "columns", "tiles"),
    [
        (6, 60, None, [3, 3]),
        (4, 60, None, [2, 2]),  # three fit, but lines are filled evenly
        (2, 60, None, [2]),
        (2, 10, None, [1, 1]),
        (4, 60, 3, [3, 1]),
        (4, 60, 9, [3, 1]),  # nine do not fit
        (2, 60, 1, [1, 1]),
    ],
)
def test_columns_fit_and_are_even(rows, width, columns, tiles):
    out = printed(frame_panel(SOLVED.expand(rows, 16), BOARD, columns), width=width)
    tops = [line.count("┏") for line in out.splitlines()]
    assert [count for count in tops if count] == tiles


def test_rows_beyond_the_height_are_counted():
    out = printed(frame_panel(SOLVED.expand(40, 16), BOARD, max_lines=24)).splitlines()
    assert sum(line.count("┏") for line in out) == 6
    assert "and 34 more" in out[-2]
    assert len(out) < 24
    assert printed(frame_panel(SOLVED, BOARD, max_lines=5)).count("┏") == 1


def test_ascii_consoles_get_ascii(monkeypatch):
    monkeypatch.setattr("rich.console.ConsoleOptions.ascii_only", True)
    out = printed(frame_panel(torch.cat([SOLVED, SOLVED.masked_fill(SOLVED > 0, -1)]), BOARD))
    assert out.isascii()
    assert "| 1 | 2 | 3 | 4 |" in out
    assert printed(frame_panel(torch.tensor([[0, 1, 2, 3, 4, -1]]), IMAGE)).isascii()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": 0}, "at least one column"),
        ({"changed": torch.zeros(1, 3, dtype=torch.bool)}, "changed is"),
        ({"given": torch.zeros(1, 16)}, "given is"),
    ],
)
def test_refuses_options_at_once(options, message):
    with pytest.raises(InputError, match=message):
        frame_panel(SOLVED, BOARD, **options)
    with pytest.raises(InputError, match="id 4 at row 0"):
        frame_panel(SOLVED + 1, BOARD)


@pytest.fixture
def pauses(monkeypatch):
    """The delays asked for, none of them waited."""
    asked = []
    monkeypatch.setattr(terminal.time, "sleep", asked.append)
    return asked


def emerging():
    positions = torch.arange(16)
    return torch.stack([SOLVED.masked_fill(positions >= 4 * s, -1) for s in range(5)])


def test_replay_in_a_terminal_shows_every_frame(pauses):
    console = Console(file=io.StringIO(), width=60, height=30, force_terminal=True)
    replay(emerging(), BOARD, console, delay=0.25)
    out = console.file.getvalue()
    for step in range(5):
        assert f"step {step}/4 · {25 * step}% known" in out
    assert pauses == [0.25] * 4
    assert out.endswith("\x1b[?25h")  # the cursor is back


def test_replay_elsewhere_prints_the_last_frame_alone(pauses):
    console = Console(file=io.StringIO(), width=60)
    replay(emerging(), BOARD, console)
    out = console.file.getvalue()
    assert out == printed(frame_panel(SOLVED, BOARD, subtitle="step 4/4 · 100% known"))
    assert "\x1b" not in out
    assert pauses == []


def test_replay_refuses_what_cannot_be_shown(pauses):
    console = Console(file=io.StringIO())
    with pytest.raises(InputError, match=r"frame\[None\]"):
        replay(SOLVED, BOARD, console)
    with pytest.raises(InputError, match="delay=-1"):
        replay(emerging(), BOARD, console, delay=-1)
    with pytest.raises(InputError, match="given is"):
        replay(emerging(), BOARD, console, given=torch.ones(2, 16, dtype=torch.bool))


def test_words_flow_as_text():
    """Unknown ones are a dot; lines break at line ends, between words, and in no character."""
    layout = Layout.text((" the", " cat", "\n", "日", "", "\udce2", "\udc82\udcac"), width=12)
    frame = torch.tensor([[0, 1, -1, 2, 0, 3], [0, 0, 0, 5, 6, 4]])
    lines = printed(frame_panel(frame, layout)).splitlines()[1:-1]
    shown = [line[2:-2].rstrip() for line in lines]
    assert shown == ["the cat·↵", " the日", "", "the the the€", ""]
    blank = printed(frame_panel(torch.full((1, 4), -1), Layout.text(("", "")))).splitlines()
    assert blank[1].split() == ["│", "····", "│"]
