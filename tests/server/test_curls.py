"""The curls of the documents run, and their answers have the form that the documents show."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import httpx
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


def examples():
    """(document, number, curl, the block behind it or None) of all curls of the documents."""
    found = []
    for name in ("http-api.md", "serving.md"):
        blocks = BLOCK.findall((DOCS / name).read_text(encoding="utf-8"))
        behind = [*blocks[1:], ("", "")]
        for (kind, text), (after, answer) in zip(blocks, behind, strict=True):
            if kind == "sh" and text.startswith("curl "):
                found.append((name, text, answer if after in ("json", "text") else None))
    return found


EXAMPLES = examples()


@pytest.fixture(scope="module")
def address(texts):
    settings = Settings()
    bundled = [Served.open(name, settings) for name in ("shakespeare", "shidoku")]
    with serving([*bundled, served("my-model", texts["bytes"])], settings) as found:
        yield found


def run(command, address):
    """What a curl prints: by curl, or by the few options of it that the documents have."""
    words = shlex.split(os.path.expandvars(command.replace("\\\n", " ").replace(SHOWN, address)))
    if shutil.which("curl"):
        done = subprocess.run([*words, "-s"], capture_output=True, timeout=120, check=True)
        return done.stdout.decode()
    rest, headers, data, url = iter(words[1:]), {}, None, None
    for word in rest:
        if word == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = value
        elif word == "-d":
            data = next(rest)
        elif not word.startswith("-"):
            url = word
        else:
            assert word == "-N", f"{word} is no option of curl that the documents should have"
    method = "GET" if data is None else "POST"
    return httpx.request(method, url, headers=headers, content=data, timeout=120).text


def alike(shown, found, place="$"):
    """Raise unless a value has the form of another one: the names, and the kinds of values."""
    if isinstance(shown, dict):
        assert isinstance(found, dict), place
        assert {*found} == {*shown}, place
        for name in shown:
            alike(shown[name], found[name], f"{place}.{name}")
    elif isinstance(shown, list):
        assert isinstance(found, list), place
        for number, each in enumerate(found if shown else []):
            alike(shown[min(number, len(shown) - 1)], each, f"{place}[{number}]")
    elif isinstance(shown, float):
        assert isinstance(found, int | float), place
    elif shown is not None and found is not None:
        assert type(found) is type(shown), place


def parsed(text):
    """The events of a stream, or the one answer."""
    lines = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    assert "[DONE]" in lines or not lines
    return [json.loads(line) for line in (lines or [text]) if line != "[DONE]"]


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_a_curl_gives_what_is_shown(address, number, monkeypatch):
    monkeypatch.setenv("UNMASK_API_KEY", "a-key")
    _, command, shown = EXAMPLES[number]
    printed = run(command, address)
    if shown is None:  # metrics, and what is long
        assert printed
        assert '{"error"' not in printed
        return
    wanted = parsed(shown)
    for each in parsed(printed):
        close = [one for one in wanted if {*one} == {*each} and one.get("type") == each.get("type")]
        assert close, each
        alike(close[0], each)


def test_every_endpoint_has_a_curl():
    asked = "\n".join(command for _, command, _ in EXAMPLES)
    for path in ENDPOINTS:
        assert re.search(rf"{SHOWN}{path}[\s/']", f"{asked}\n"), path


def test_the_documents_can_be_tried_without_curl(address, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    for number in range(2):
        test_a_curl_gives_what_is_shown(address, number, monkeypatch)


def test_the_first_curl_that_the_command_prints_is_answered(address):
    """Of a model of text, and of one whose ids are none."""
    settings = Settings()
    for name in ("shakespeare", "shidoku", "digits"):
        model = Served.open(name, settings)
        with serving([model], settings) as there:
            found = json.loads(run(_curl(model, there, settings), there))
        assert found["choices"], found
