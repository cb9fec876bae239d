"""The curls of the documents run, and their answers have the form that the documents show."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.server.conftest import served, serving

from unmask.cli.commands.serve import _curl
from unmask.server.served import Served
from unmask.server.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHOWN = "http://127.0.0.1:8000"
ENDPOINTS = {
    "/v1/completions", "/v1/fim/completions", "/v1/chat/completions", "/v1/infill", "/v1/score",
    "/v1/models", "/health", "/ready", "/metrics",
}  # fmt: skip

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def examples():
    """(curl, the answer that is shown behind it or None) of all curls of the documents."""
    found = []
    for name in ("http-api.md", "serving.md"):
        blocks = BLOCK.findall((DOCS / name).read_text(encoding="utf-8"))
        for (kind, text), (after, answer) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
            if kind == "sh" and text.startswith("curl "):
                found.append((text, answer if after == "json" else None))
    return found


EXAMPLES = examples()


@pytest.fixture(scope="module")
def address(texts):
    settings = Settings()
    bundled = [Served.open(name, settings) for name in ("shakespeare", "shidoku")]
    with serving([*bundled, served("my-model", texts["bytes"])], settings) as found:
        yield found


def run(command, address):
    words = shlex.split(os.path.expandvars(command.replace("\\\n", " ").replace(SHOWN, address)))
    return subprocess.run(
        [*words, "-s"], capture_output=True, text=True, timeout=120, check=True
    ).stdout


def values(text):
    """The JSON values of a text, one behind the other, or in the events of a stream."""
    rest = re.sub(r"^event: .*$|^data: (\[DONE\])?", "", text, flags=re.MULTILINE).strip()
    found = []
    while rest:
        value, end = json.JSONDecoder().raw_decode(rest)
        found.append(value)
        rest = rest[end:].strip()
    return found


def alike(shown, found, place="$"):
    """Raise unless a value has the form of another one: the names, and the kinds of values.

    An object of nothing stands for any.
    """
    if isinstance(shown, dict):
        assert isinstance(found, dict), place
        assert not shown or {*found} == {*shown}, place
        for name in shown:
            alike(shown[name], found[name], f"{place}.{name}")
    elif isinstance(shown, list):
        assert isinstance(found, list), place
        for number, each in enumerate(found if shown else []):
            alike(shown[min(number, len(shown) - 1)], each, f"{place}[{number}]")
    elif shown is not None and found is not None:
        assert type(found) is type(shown), place


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_a_curl_gives_what_is_shown(address, number, monkeypatch):
    monkeypatch.setenv("UNMASK_API_KEY", "a-key")
    command, shown = EXAMPLES[number]
    printed = run(command, address)
    if shown is None:
        assert printed
        assert '{"error"' not in printed
        return
    wanted = values(shown)
    for each in values(printed):
        [form] = [one for one in wanted if one.get("type") == each.get("type")]
        alike(form, each)


def test_every_endpoint_has_a_curl_and_some_show_their_answer():
    asked = "\n".join(command for command, _ in EXAMPLES)
    for path in ENDPOINTS:
        assert re.search(rf"{SHOWN}{path}[\s/']", f"{asked}\n"), path
    assert sum(shown is not None for _, shown in EXAMPLES) >= 6


@pytest.mark.parametrize("name", ["shakespeare", "shidoku", "digits"])
def test_the_first_curl_that_the_command_prints_is_answered(name):
    """Of a model of text, and of those whose ids are none."""
    settings = Settings()
    model = Served.open(name, settings)
    with serving([model], settings) as address:
        [found] = values(run(_curl(model, address, settings), address))
    assert found["choices"], found
