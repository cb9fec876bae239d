"""docs/peers.md names tests that exist, leaves none out, and is about the versions installed."""

import ast
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TESTS = [*HERE.glob("test_diffusers_*.py"), *(HERE.parent / "compat").glob("test_*.py")]
DOCUMENT = (HERE.parents[1] / "docs" / "peers.md").read_text(encoding="utf-8")


def named_in(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return {name for name in functions if name.startswith("test_")}


def section(scheduler):
    """The rows of the defects of a scheduler."""
    return re.search(rf"^### [^\n]*`{scheduler}`\n(.*?)(?=^#|\Z)", DOCUMENT, re.M | re.S)[1]


def test_every_test_it_names_exists():
    named = set(re.findall(r"`(test_\w+)`", DOCUMENT))
    assert named
    assert named <= set().union(*map(named_in, TESTS))


@pytest.mark.parametrize(
    ("file", "scheduler"),
    [
        ("amused", "AmusedScheduler"),
        ("block_refinement", "BlockRefinementScheduler"),
        ("entropy_bound", "EntropyBoundScheduler"),
    ],
)
def test_every_comparison_is_listed_with_its_scheduler(file, scheduler):
    compared = "".join(line for line in DOCUMENT.splitlines() if f", `{scheduler}`" in line)
    text = compared + section(scheduler)
    found = named_in(HERE / f"test_diffusers_{file}.py")
    assert found
    assert found == set(re.findall(r"`(test_\w+)`", text))


@pytest.mark.parametrize("peer", ["diffusers", "x-transformers"])
def test_its_versions_are_those_compared_with(peer):
    """A patch release need not be named; a minor one is to be looked at."""
    stated = set(re.findall(rf"^\| {peer}, [^|]*\| ([\d.]+) \|", DOCUMENT, re.M))
    stated |= set(re.findall(rf"^### {peer} ([\d.]+),", DOCUMENT, re.M))
    assert len(stated) == 1
    try:
        installed = version(peer)
    except PackageNotFoundError:
        pytest.skip(f"{peer} is not installed")
    assert installed.split(".")[:2] == stated.pop().split(".")[:2]
