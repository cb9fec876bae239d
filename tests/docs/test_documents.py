"""Code in the documents is code that runs."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def python_blocks(name: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def test_the_loop_in_the_architecture_is_the_loop():
    block = python_blocks("docs/architecture.md")[0]
    source = (ROOT / "src/unmask/decoding/step.py").read_text(encoding="utf-8")
    indented = "".join(f"        {line}\n" for line in block.splitlines())
    assert indented in source


def test_the_preset_in_contributing_is_one_of_the_package():
    [block] = python_blocks("CONTRIBUTING.md")
    assert block in (ROOT / "src/unmask/presets/reference.py").read_text(encoding="utf-8")


def test_owning_the_loop_shows_the_example():
    example = (ROOT / "examples/owning_the_loop.py").read_text(encoding="utf-8")
    assert example in python_blocks("docs/owning-the-loop.md")


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.stem)
def test_examples_run(path, capsys):
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out


COMPILES = pytest.param(
    "docs/speed-and-memory.md",
    # Where nothing can be compiled or captured, that is said, and the code still runs.
    marks=[pytest.mark.slow, pytest.mark.filterwarnings("ignore::unmask.errors.CompileWarning")],
)


@pytest.mark.parametrize("name", ["README.md", "docs/caching.md", "docs/training.md", COMPILES])
def test_the_document_runs(name, tmp_path, monkeypatch, capsys):
    """Every Python block, in order, in one namespace."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    blocks = python_blocks(name)
    assert blocks
    for block in blocks:
        exec(compile(block, name, "exec"), namespace)


DOCUMENTS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", *DOCUMENTS])
def test_links_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert links or name != "README.md"
    for link in links:
        assert ((ROOT / name).parent / link).exists(), f"{name} links to {link}"


def test_the_first_screen_shows_images_and_text_side_by_side():
    from PIL import Image, ImageSequence

    first = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:20]
    [line] = [line for line in first if "docs/images" in line]
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", line)
    assert shown == ["docs/images/digits.gif", "docs/images/text.gif"]
    for name in shown:
        path = ROOT / name
        assert path.stat().st_size < 150_000
        with Image.open(path) as picture:
            assert len({frame.size for frame in ImageSequence.Iterator(picture)}) == 1
            assert picture.n_frames > 20


def test_the_commands_that_made_the_picture_of_text_are_commands():
    from typer.main import get_command

    from unmask.cli import app

    text = (ROOT / "docs/training.md").read_text(encoding="utf-8")
    [block] = [b for b in re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL) if "text.gif" in b]
    for line in block.splitlines():
        program, *words = line.partition("  #")[0].split()
        if program != "unmask":
            continue
        options = {
            flag for each in get_command(app).commands[words[0]].params for flag in each.opts
        }
        assert {word for word in words if word.startswith("-")} <= options
