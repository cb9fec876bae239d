"""`unmask demo`, with untrained models in place of the bundled ones, but for that of text."""

import pytest
from PIL import Image

from unmask.models import checkpoint

from ..conftest import files

PICTURES = sorted(
    f"{name}.{kind}"
    for name in ("digits", "completion", "shidoku", "verse")
    for kind in ("gif", "png")
)


BUNDLED = checkpoint.bundled()


@pytest.fixture(autouse=True)
def with_text(bundled, monkeypatch):
    names = {**checkpoint.bundled(), "shakespeare": BUNDLED["shakespeare"]}
    monkeypatch.setattr(checkpoint, "bundled", lambda: names)


def test_demo_shows_writes_and_counts(call, tmp_path):
    done = call("demo")
    assert done.code == 0, done.err
    assert files(tmp_path / "unmask-out") == PICTURES
    for words in (
        "1. Digits from nothing", "2. Half a digit completed", "3. Shidoku solved",
        "of 88 boards are valid", "4. A verse filled in", "Rough winds do shake the",
        "unmask-out/verse.gif", "unmask-out/digits.gif", "unmask infill shidoku --puzzle ",
    ):  # fmt: skip
        assert words in done.out
    tried = next(line.strip() for line in done.out.splitlines() if "--puzzle" in line)
    assert call(*tried.split()[1:]).code == 0
    with Image.open("unmask-out/shidoku.gif") as animation:
        assert animation.n_frames == 12
    # Sixteen digits in fours, and four images beside two completions and the truth.
    with Image.open("unmask-out/digits.png") as one, Image.open("unmask-out/completion.png") as two:
        assert one.size == two.size


def test_demo_json(call, tmp_path):
    said = call("demo", "--out", "deep/er", "--json", "--seed", 1).json
    assert sorted(said["files"]) == [f"deep/er/{name}" for name in PICTURES]
    assert said["shidoku"]["puzzles"] == 88
    assert 0 <= said["shidoku"]["exact"] <= said["shidoku"]["valid"] <= 88


def test_demo_refuses_a_file_in_place_of_the_folder(call, tmp_path):
    (tmp_path / "taken").write_text("")
    assert "taken is a file" in call("demo", "--out", "taken").error()


def test_demo_refuses_to_be_live_in_json(call):
    assert "leave --live out" in call("demo", "--json", "--live").error()


def test_demo_without_its_models(call, monkeypatch):
    monkeypatch.setattr(checkpoint, "bundled", dict)
    assert "'digits' is neither" in call("demo").error()
