"""GIFs read back: frames, times, colours, and the earlier file after a failure."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from unmask.errors import InputError
from unmask.viz import Layout, gif, palette, sheet
from unmask.viz.sheet import MARGIN

LAYOUT = Layout.image(2, 2, 17)
TOKENS = torch.tensor([[0, 4, 9, 16], [16, 3, 0, 8]])


def emerging(tokens):
    """One more position known in each frame: (N+1, B, N)."""
    positions = torch.arange(tokens.shape[1])
    return torch.stack([tokens.masked_fill(positions >= s, -1) for s in range(len(positions) + 1)])


def read(path):
    """(frames as RGB arrays, durations in ms, loop)"""
    with Image.open(path) as file:
        frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(file)]
        durations = []
        for index in range(file.n_frames):
            file.seek(index)
            durations.append(file.info["duration"])
        return frames, durations, file.info["loop"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.gif"


def test_frames_times_and_size(path):
    assert gif(emerging(TOKENS), LAYOUT, path, step_ms=100) == path
    frames, durations, loop = read(path)
    assert durations == [100] * 4 + [2000]
    assert loop == 0
    assert all(frame.shape[:2] == sheet(TOKENS, LAYOUT).size[::-1] for frame in frames)


def without_bar(frame):
    return frame[: -MARGIN + 1]


def test_first_frame_is_unknown_and_the_last_is_the_plain_sheet(path):
    gif(emerging(TOKENS), LAYOUT, path)
    frames, _, _ = read(path)
    # Few colours, so the palette is exact.
    blank = np.asarray(sheet(torch.full_like(TOKENS, -1), LAYOUT))
    assert (without_bar(frames[0]) == without_bar(blank)).all()
    assert (without_bar(frames[-1]) == without_bar(np.asarray(sheet(TOKENS, LAYOUT)))).all()


def test_frames_are_of_one_size_however_long_their_ids_are(path):
    tokens, layout = torch.tensor([[1, 2, 345, 6]]), Layout.text(width=4)
    gif(emerging(tokens), layout, path)
    frames, _, _ = read(path)
    wanted = np.asarray(sheet(tokens, layout))
    assert {frame.shape for frame in frames} == {wanted.shape}
    assert np.abs(without_bar(frames[-1]).astype(int) - without_bar(wanted)).max() <= 12
    assert (frames[1] != frames[-1]).mean() < 0.5  # the first id is where it stays


def test_common_colours_are_exact_beyond_256(path):
    tokens = torch.arange(36).roll(5)[None] % 4
    layout = Layout.board(6, 6, ("1", "2", "10", "x"), box=(2, 3))
    given = torch.arange(36)[None] < 9
    frames = torch.where(given, tokens, emerging(tokens))
    gif(frames, layout, path, given=given)
    wanted = without_bar(np.asarray(sheet(tokens, layout, given=given)))
    assert (without_bar(read(path)[0][-1]) == wanted).mean() > 0.95


def test_a_new_cell_is_highlighted_for_one_frame(path):
    gif(emerging(TOKENS), LAYOUT, path, scale=20)
    frames, _, _ = read(path)
    ink = frames[-1][MARGIN + 10, MARGIN + 10]  # level 0: paper
    seen = [tuple(frame[MARGIN + 10, MARGIN + 10].tolist()) for frame in frames]
    assert tuple(ink.tolist()) == palette.PAPER
    assert seen[1] not in (palette.PAPER, palette.UNKNOWN, palette.HATCH)
    assert seen[2:] == [palette.PAPER] * 3


def test_given_cells_are_never_highlighted(path):
    given = torch.zeros(2, 4, dtype=torch.bool)
    given[:, 0] = True
    gif(emerging(TOKENS), LAYOUT, path, scale=20, given=given)
    frames, _, _ = read(path)
    assert {tuple(f[MARGIN + 10, MARGIN + 10].tolist()) for f in frames[1:]} == {
        palette.GIVEN_PAPER
    }


def test_the_line_grows_with_the_share_known(path):
    gif(emerging(TOKENS), LAYOUT, path)
    frames, _, _ = read(path)
    grown = [int((frame[-MARGIN // 2] == palette.DRAWN).all(-1).sum()) for frame in frames]
    whole = frames[0].shape[1] - 2 * MARGIN
    assert grown == [round(whole * share / 4) for share in range(5)]


def test_more_than_256_colours_stay_close(path):
    layout = Layout.image(20, 20, 400)
    tokens = torch.arange(400)[None]
    gif(torch.stack([torch.full_like(tokens, -1), tokens]), layout, path, scale=4)
    frames, _, _ = read(path)
    wanted = np.asarray(sheet(tokens, layout, scale=4)).astype(int)
    assert np.abs(without_bar(frames[-1]) - without_bar(wanted)).max() <= 12


def test_equal_frames_are_merged_and_keep_their_time(path):
    frames = emerging(TOKENS)
    gif(torch.cat([frames[:1], frames]), LAYOUT, path, step_ms=100)
    _, durations, _ = read(path)
    assert durations == [200, 100, 100, 100, 2000]


def test_an_exception_in_the_middle_leaves_the_earlier_file(path, monkeypatch):
    gif(emerging(TOKENS), LAYOUT, path)
    earlier = path.read_bytes()

    def save(self, file, *args, **options):
        file.write(b"GIF89a")
        raise OSError("No space left on device")

    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises(OSError, match="No space"):
        gif(emerging(TOKENS).flip(0), LAYOUT, path)
    assert path.read_bytes() == earlier
    assert len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize(
    ("frames", "options", "message"),
    [
        (TOKENS, {}, r"frame\[None\]"),
        (torch.zeros(3, 2, 4), {}, r"integer ids \(S, B, N\)"),
        (torch.zeros(0, 2, 4).long(), {}, "nothing to show"),
        (TOKENS[None], {"step_ms": 5}, "slow a GIF down"),
        (TOKENS[None], {"given": torch.ones(2, 3, dtype=torch.bool)}, "given is"),
        (TOKENS[None] + 1, {}, "id 17 at row"),
    ],
)
def test_refuses_what_cannot_be_shown(path, frames, options, message):
    with pytest.raises(InputError, match=message):
        gif(frames, LAYOUT, path, **options)
    assert not path.exists()


def test_refuses_another_suffix(tmp_path):
    with pytest.raises(InputError, match=r"a\.gif"):
        gif(TOKENS[None], LAYOUT, tmp_path / "a.png")
