"""The three kinds of streams."""

import time

import httpx
import pytest
import torch
from tests.server.conftest import served, serving
from tests.server.reading import events, streamed

import unmask

ASKED = {"model": "bytes", "prompt": "the cat sat", "seed": 5, "max_tokens": 24, "temperature": 1.0}
WAYS = [
    {},
    {"preset": "llada", "steps": 4, "block_length": 8},
    {"preset": "random_order", "steps": 6},
    {"preset": "remdm", "steps": 8},
    {"preset": "llada", "block_length": 4, "stop": ["e", "zz"]},
    {"preset": "threshold", "threshold": 0.05, "block_length": 8, "n": 3},
    {"regex": "[a-c ]{3,12}", "n": 2},
]
NAMES = ["recommended", "blocks", "random", "revising", "stops", "threshold", "regex"]
CASES = [("bytes", way) for way in WAYS]
CASES += [("bert", way) for way in WAYS[:-1]]  # nothing ends its texts, so forms need a length
CASES += [("canvases", {}), ("canvases", {"stop": ["e", "zz"]}), ("canvases", {"n": 2})]
EVERY = [*(f"bytes-{name}" for name in NAMES), *(f"bert-{name}" for name in NAMES[:-1])]
EVERY += [f"canvases-{name}" for name in ("recommended", "stops", "two")]


def each_way(function):
    return pytest.mark.parametrize(("model", "way"), CASES, ids=EVERY)(function)


def whole(http, **body):
    found = http.post("/v1/completions", json=body)
    assert found.status_code == 200, found.text
    return found.json()


def asked(model, way):
    body = {**ASKED, **way, "model": model, "prompt": "a cat sat"}
    if model == "canvases":
        body = {**body, "temperature": None}
    return body


@each_way
def test_pieces_make_the_text_a_token_at_a_time(http, model, way):
    body = {**asked(model, way), "logprobs": 0, "return_record": True}
    full = whole(http, **body)
    chunks = [data for _, data in streamed(http, **body)]
    assert {(each["object"], each["seed"], each["model"]) for each in chunks} == {
        ("text_completion", 5, model)
    }
    for choice in full["choices"]:
        mine = [c for chunk in chunks for c in chunk["choices"] if c["index"] == choice["index"]]
        assert "".join(each["text"] for each in mine) == choice["text"]
        assert [each["finish_reason"] for each in mine[:-1]] == [None] * (len(mine) - 1)
        assert mine[-1]["finish_reason"] == choice["finish_reason"]
        assert mine[-1]["record"] == choice["record"]
        told = choice["logprobs"]
        for name in ("tokens", "token_logprobs", "text_offset"):
            assert [x for each in mine for x in each["logprobs"][name]] == told[name]
        assert len([each for each in mine if each["text"]]) >= len([x for x in told["tokens"] if x])


@each_way
def test_a_snapshot_replaces_the_last(http, model, way):
    body = asked(model, way)
    full = whole(http, **body)
    chunks = [data["choices"][0] for _, data in streamed(http, diffusing=True, **body)]
    for choice in full["choices"]:
        mine = [each for each in chunks if each["index"] == choice["index"]]
        assert mine[-1]["text"] == choice["text"]
        assert mine[-1]["finish_reason"] == choice["finish_reason"]
        assert len(mine) > 1


@each_way
def test_a_row_can_be_drawn_from_its_steps(http, model, way):
    body = {**asked(model, way), "return_record": True}
    full = whole(http, **body)
    every = streamed(http, stream_mode="denoise", **body)
    assert {name for name, _ in every} == {"denoise"}
    start, *steps, end = [data for _, data in every]
    assert start["type"] == "start"
    assert start["seed"] == 5
    rows = {row["index"]: list(row["tokens"]) for row in start["rows"]}
    texts = {row["index"]: list(row["text"]) for row in start["rows"]}
    for step in steps:
        row, text = rows[step["index"]], texts[step["index"]]
        before = list(row)
        for place in step["remasked"]:
            assert row[place] is not None
            row[place] = text[place] = None
        for place, token, word in zip(step["positions"], step["tokens"], step["text"], strict=True):
            row[place], text[place] = token, word
        assert step["edited"] == [i for i in step["positions"] if before[i] is not None]
        assert len(step["logprobs"]) == len(step["positions"])
        assert isinstance(step["snapshot"], str)
    assert all(None not in row and len(row) == body["max_tokens"] for row in rows.values())
    response = end["response"]
    assert end["type"] == "end"
    assert response["choices"] == full["choices"]
    assert response["usage"] == full["usage"]
    for choice in full["choices"]:
        mine = [step for step in steps if step["index"] == choice["index"]]
        assert mine[-1]["forwards"] == choice["record"]["forwards"]


def test_edited_positions_are_named(http):
    options = {"fill": 0.01, "edit": 0.02, "block_length": 24}
    body = {**ASKED, "preset": "llada21", **options}
    steps = [data for _, data in streamed(http, stream_mode="denoise", **body)][1:-1]
    seen, edited = set(), 0
    for step in steps:
        assert step["edited"] == [place for place in step["positions"] if place in seen]
        seen |= {*step["positions"]}
        edited += len(step["edited"])
    assert edited


def test_usage_comes_last(http):
    *chunks, last = [
        data for _, data in streamed(http, stream_options={"include_usage": True}, **ASKED)
    ]
    assert last["choices"] == []
    assert last["usage"] == whole(http, **ASKED)["usage"]
    assert {chunk["usage"] for chunk in chunks} == {None}
    assert "usage" not in streamed(http, **ASKED)[-1][1]


def test_an_error_in_a_stream_is_told_in_it(texts):
    text = texts["bytes"]
    spec = text.denoiser.spec

    class Broken(torch.nn.Module):
        def forward(self, tokens):
            raise RuntimeError("no such thing")

    net = unmask.wrap(Broken().eval(), mask_id=spec.mask_id, vocab_size=spec.vocab_size)
    with serving([served("broken", unmask.TextModel(net, text.encoding))]) as address:
        body = {"prompt": "a", "max_tokens": 4}
        for mode in ({}, {"diffusing": True}, {"stream_mode": "denoise"}):
            given = {**body, **mode, "stream": True}
            with httpx.stream("POST", f"{address}/v1/completions", json=given) as found:
                *_, (_, error), done = events(found)
            assert done == (None, None)
            assert "no such thing" in error["error"]["message"]
        found = httpx.post(f"{address}/v1/completions", json=body)
        assert found.status_code == 500
        assert found.json()["error"]["type"] == "server_error"


@pytest.mark.parametrize(
    "mode", [None, {}, {"stream_mode": "denoise"}], ids=["whole", "text", "steps"]
)
def test_a_client_that_goes_away_ends_its_job(texts, mode):
    text = texts["bytes"]
    spec, passes = text.denoiser.spec, []

    class Slow(torch.nn.Module):
        def forward(self, tokens):
            passes.append(1)
            time.sleep(0.02)
            return torch.zeros(*tokens.shape, spec.vocab_size)

    net = unmask.wrap(Slow().eval(), mask_id=spec.mask_id, vocab_size=spec.vocab_size)
    model = served("slow", unmask.TextModel(net, text.encoding))
    body = {"prompt": "a", "max_tokens": 400, "preset": "random_order", "steps": 400}
    with serving([model]) as address, httpx.Client(base_url=address) as client:
        if mode is None:
            with pytest.raises(httpx.ReadTimeout):
                client.post("/v1/completions", json=body, timeout=0.5)
        else:
            given = {**body, **mode, "stream": True}
            with client.stream("POST", "/v1/completions", json=given):
                while not passes:
                    time.sleep(0.01)
        begun = time.monotonic()
        while model.worker.load.begun:
            assert time.monotonic() < begun + 3
            time.sleep(0.01)
        assert len(passes) < 200
        assert client.get("/health").json() == {"status": "ok"}
