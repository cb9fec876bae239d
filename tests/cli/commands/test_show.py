"""`unmask show`."""

import pytest
from PIL import Image

from ..conftest import files


@pytest.fixture
def record(call):
    done = call("generate", "shidoku", "-n", 2, "--steps", 4, "--record", "a.safetensors")
    assert done.code == 0, done.err
    return "a.safetensors"


def test_replay_without_a_terminal_is_the_last_frame(call, record):
    done = call("show", record)
    assert done.code == 0
    assert "shidoku · random_order" in done.out
    assert "step 4/4 · 100% known" in done.out


def test_pictures(call, record, tmp_path):
    done = call("show", record, "--out", "a.png", "--out", "a.gif", "--delay", "0.5")
    assert done.code == 0
    assert "wrote a.png\nwrote a.gif\n" in done.out
    with Image.open("a.gif") as animation:
        assert animation.info["duration"] == 500
    assert files(tmp_path) == ["a.gif", "a.png", record]


def test_json_describes_the_record(call, record):
    said = call("show", record, "--json").json
    again = call("generate", "shidoku", "-n", 2, "--steps", 4, "--json").json
    assert (said["rows"], said["positions"], said["steps"]) == (2, 16, 4)
    assert said["tokens"] == again["tokens"]
    assert said["seeds"] == again["seeds"]
    assert said["info"]["preset"] == "random_order"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--out", "a.mp4"], "pass a name that ends in .png (a picture), .gif (an animation)"),
        (["--out", "a.safetensors"], "pass a name that ends in .png"),
        (["--delay", "-1"], "--delay -1: pass seconds from 0 to 60"),
        (["--delay", "nan"], "--delay nan: pass seconds"),
        (["--out", "a.png", "--delay", "1"], "--delay applies to animations only"),
        (["--json", "--delay", "1"], "--delay applies to animations only"),
    ],
)
def test_what_cannot_work_is_told(call, record, tmp_path, options, words):
    assert words in call("show", record, *options).error()
    assert files(tmp_path) == [record]


def test_other_files_are_no_records(call, folders):
    assert "does not exist" in call("show", "nowhere.safetensors").error()
    weights = folders["shidoku"] / "model.safetensors"
    assert "no record of a generation" in call("show", weights).error()
