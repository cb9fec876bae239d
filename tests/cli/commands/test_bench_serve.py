"""`unmask bench-serve`, against a server that answers as slowly as it is told."""

import asyncio
import json
import math
import socket
import threading

import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

from unmask.server.load.asks import asks
from unmask.server.load.client import Answer
from unmask.server.load.loops import Open
from unmask.server.load.report import figures, percentiles

WAIT = 0.02


class Stand:
    """A server of completions: a token each `WAIT` seconds. asked: bodies, as they came."""

    def __init__(self):
        self.asked, self.open, self.most, self.keys = [], 0, 0, set()
        self.app = FastAPI()
        self.app.post("/v1/completions")(self.complete)
        self.app.get("/v1/models")(self.models)
        sock = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        self.server = uvicorn.Server(uvicorn.Config(self.app, log_config=None, ws="none"))
        self.thread = threading.Thread(target=self.server.run, args=([sock],))
        self.thread.start()

    def models(self):
        kinds = {"pictures": "image", "letters": "text", "words": "text"}
        return {"data": [{"id": k, "unmask": {"kind": v}} for k, v in kinds.items()]}

    async def complete(self, request: Request):
        body = await request.json()
        self.asked.append(body)
        self.keys.add(request.headers.get("authorization"))
        number = len(self.asked)
        if number % 10 == 0:
            return JSONResponse({"error": {"message": "full"}}, 429)
        return StreamingResponse(self.stream(body, number), media_type="text/event-stream")

    async def stream(self, body, number):
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            yield ": keep-alive\n\n"
            for _ in range(2):
                await asyncio.sleep(WAIT)
                yield self.event({"choices": [{"text": "a"}]})
            if number % 10 == 1:
                yield self.event({"error": {"code": "generation_failed"}}) + "data: [DONE]\n\n"
                return
            if number % 10 == 2:
                return
            yield self.event({"choices": [{"text": ""}]})
            yield self.event({"choices": [], "usage": {"completion_tokens": body["max_tokens"]}})
            yield "data: [DONE]\n\n"
        finally:
            self.open -= 1

    @staticmethod
    def event(value):
        return f"data: {json.dumps(value)}\n\n"


@pytest.fixture
def stand():
    made = Stand()
    yield made
    made.server.should_exit = True
    made.thread.join(30)


def test_figures_of_a_closed_and_an_open_loop(call, stand, tmp_path):
    line = ["bench-serve", stand.url, "--clients", 3, "--rate", 200, "--requests", 20]
    told = call(*line, "--api-key", "sesame", "--out", "a.json", "--out", "a.png", "--json").json
    assert (told["model"], stand.keys) == ("letters", {"Bearer sesame"})
    assert [each["load"] for each in told["loops"]] == ["3 clients", "200 requests/s"]
    for each in told["loops"]:
        assert (each["requests"], each["whole"]) == (20, 14)
        assert each["errors"] == {"429": 2, "cut short": 2, "generation_failed": 2}
        assert WAIT <= each["first_token"]["p50"] < each["last_token"]["p50"]
        assert each["last_token"]["p99"] <= each["latency"]["p99"] <= each["latency"]["max"]
        assert each["last_token"]["p50"] >= 2 * WAIT
        assert each["tokens_per_second"] == pytest.approx(each["tokens"] / each["seconds"], 0.01)
    assert stand.most > 3  # of the open loop
    assert len(stand.asked) == 40
    sent = [json.dumps(each, sort_keys=True) for each in stand.asked]
    assert sorted(sent[:20]) == sorted(sent[20:])  # the same requests
    assert all(each["stream"] and each["model"] == "letters" for each in stand.asked)
    saved = json.loads((tmp_path / "a.json").read_text())
    assert len(saved["answers"]["3 clients"]) == 20
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_closed_loop_has_as_many_requests_at_once_as_clients(call, stand):
    shown = call("bench-serve", stand.url, "--clients", 4, "--requests", 16, "--model", "words")
    assert shown.code == 0
    assert stand.most == 4
    assert f"words at {stand.url}" in shown.out
    assert "4 clients: 1 × 429" in shown.out


def test_what_cannot_work(call, stand):
    assert "type a number of requests" in call("bench-serve", stand.url, "--rate", 0).error()
    assert "--clients" in call("bench-serve", stand.url, "--clients", 0).error()
    assert "--requests" in call("bench-serve", stand.url, "--requests", 0).error()
    assert ".json (figures), .png" in call("bench-serve", stand.url, "--out", "a.csv").error()
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    assert "does not answer" in call("bench-serve", f"http://127.0.0.1:{port}").error()
    assert "does not answer" in call("bench-serve", "localhost").error()


def test_a_load_or_a_model_that_cannot_be_measured(call, stand):
    twice = call("bench-serve", stand.url, "--clients", 2, "--clients", 2).error()
    assert "--clients 2 is typed twice" in twice
    assert (
        "--rate 0.5 is typed twice"
        in call("bench-serve", stand.url, "--rate", 0.5, "--rate", 0.5).error()
    )
    assert "type a number of seconds" in call("bench-serve", stand.url, "--timeout", 0).error()
    near = call("bench-serve", stand.url, "--model", "leters").error()
    assert "serves no model 'leters': did you mean 'letters'" in near
    assert (
        "'pictures', which is no model of text"
        in call("bench-serve", stand.url, "--model", "pictures").error()
    )
    assert stand.asked == []


def test_an_address_of_something_else(call, stand):
    error = call("bench-serve", f"{stand.url}/v1").error()
    assert f"{stand.url}/v1/v1/models answers 404" in error
    assert "type the address that unmask serve printed" in error
    stand.app.get("/page/v1/models")(lambda: "a page")
    assert "answers 200" in call("bench-serve", f"{stand.url}/page").error()
    stand.app.get("/keyed/v1/models")(lambda: JSONResponse({}, 401))
    assert "type --api-key KEY" in call("bench-serve", f"{stand.url}/keyed").error()


def test_asks_are_ragged_and_the_same_for_a_seed():
    some = asks(200, 5, 40, seed=3)
    assert some == asks(200, 5, 40, seed=3) != asks(200, 5, 40, seed=4)
    assert {len(each.prompt.split()) for each in some} == {1, 2, 3, 4, 5}
    assert {each.max_tokens for each in some} == set(range(10, 41))


def test_an_open_loop_keeps_its_rate_and_counts_from_when_a_request_was_due():
    loop = Open(50.0, seed=1)
    gaps = loop.gaps(4000)
    # The mean of 4,000 gaps is within 5 of its standard errors, but for one in a million.
    assert abs(sum(gaps) / 4000 - 0.02) < 5 * 0.02 / math.sqrt(4000)
    sent = []

    async def slow(ask, due):
        sent.append((ask, due))
        await asyncio.sleep(0.1)
        return Answer(200, 0.1)

    answers = asyncio.run(Open(200.0, seed=1).run(asks(10, 1, 4, 0), slow, lambda: None))
    assert len(answers) == 10
    dues = [due for _, due in sent]
    expected = Open(200.0, seed=1).gaps(10)
    for before, after, gap in zip(dues, dues[1:], expected[1:], strict=False):
        assert after - before == pytest.approx(gap, abs=1e-6)


def test_percentiles_are_those_of_numbers_in_order():
    assert percentiles([i / 100 for i in range(101)]) == {
        "p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0,
    }  # fmt: skip
    nothing = figures("1 client", [Answer("ConnectError", 0.1)], 2.0)
    assert nothing["latency"] == {"p50": None, "p90": None, "p99": None, "max": None}
    assert (nothing["tokens_per_second"], nothing["errors"]) == (None, {"ConnectError": 1})
