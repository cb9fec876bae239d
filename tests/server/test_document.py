"""docs/http-api.md is true of the fields and the events."""

import json
import re
from pathlib import Path

import pytest
from tests.server.conftest import serving
from tests.server.reading import streamed

from unmask.server.served import Served
from unmask.server.settings import Settings
from unmask.server.wire.chat import ChatRequest
from unmask.server.wire.completions import CompletionRequest
from unmask.server.wire.decoding import Decoding
from unmask.server.wire.infill import InfillRequest
from unmask.server.wire.score import ScoreRequest

TEXT = (Path(__file__).parents[2] / "docs" / "http-api.md").read_text(encoding="utf-8")


def fields_of(section):
    """The names in the first column of the table of a section."""
    table = TEXT.split(f"## {section}")[1].split("\n## ")[0]
    first = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return {name for cell in first for name in re.findall(r"`(\w+)`", cell)}


def test_every_field_is_in_the_document():
    known = {*CompletionRequest.model_fields, *ChatRequest.model_fields}
    # These are in the table of endpoints.
    assert fields_of("Fields") == known - {"prompt", "messages"}


def test_every_field_of_rows_and_scores_is_in_the_document():
    common = {*Decoding.model_fields} - {"top_logprobs"}
    assert fields_of("Rows with unknown positions") == {*InfillRequest.model_fields} - common
    assert fields_of("Scores") == {*ScoreRequest.model_fields} - {"model", "seed", "user"}


@pytest.mark.slow
def test_the_example_runs():
    [code] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    settings = Settings()
    with serving([Served.open("shakespeare", settings)], settings) as address:
        namespace = {}
        exec(code.replace("http://127.0.0.1:8000", address), namespace)
    found = namespace["found"]
    assert found.choices[0].text
    assert 1 <= found.usage.completion_tokens <= 8
    assert found.usage.forwards <= 8


def test_events_are_those_of_the_document(http):
    block = TEXT.split('```json\n{"type": "start"')[1].split("```")[0]
    lines = f'{{"type": "start"{block}'.splitlines()
    told = {each["type"]: each for each in map(json.loads, lines)}
    body = {"model": "bytes", "prompt": "a", "max_tokens": 4, "stream_mode": "denoise"}
    for _, event in streamed(http, **body):
        assert set(event) == set(told[event["type"]])
        for name, value in told[event["type"]].items():
            assert isinstance(event[name], type(value))
    assert set(told["start"]["rows"][0]) == {"index", "length", "tokens", "text"}
