"""Requests that mean harm: nothing fails, and no other request is held up or touched."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import torch
from pydantic import ValidationError
from tests.server.conftest import served, serving

import unmask
from unmask.server.settings import Settings
from unmask.server.wire.chat import ChatRequest
from unmask.server.wire.infill import InfillRequest
from unmask.server.wire.score import ScoreRequest
from unmask.text.structured import Structure

JSON = {"Content-Type": "application/json"}
ASKED = {"model": "bytes", "prompt": "the cat", "max_tokens": 4}
PATHS = {
    "/v1/completions": ASKED,
    "/v1/fim/completions": ASKED,
    "/v1/chat/completions": {"model": "bytes", "messages": [{"role": "user", "content": "a"}]},
    "/v1/infill": {"model": "bytes", "text": "the [MASK:2]"},
    "/v1/score": {"model": "bytes", "text": "the cat"},
}
BIG = "9" * 4000
OPEN = ("/health", "/ready")


def error_of(found, status=400):
    assert found.status_code == status, found.text[:500]
    assert len(found.content) < 10_000
    error = found.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def said(body, more):
    """JSON text of a body with more behind it, as it is typed."""
    return f"{json.dumps(body)[:-1]}, {more}}}"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("more", "param", "words"),
    [
        ('"seed": NaN', None, "NaN, which is no JSON"),
        ('"options": {"early": Infinity}', None, "Infinity, which is no JSON"),
        ('"options": {"early": -Infinity}', None, "-Infinity"),
        ('"options": {"early": 1e999}', None, "beyond all numbers"),
        ('"seed": 1, "seed": 2', "seed", "'seed' twice"),
        ('"options": {"a": 1, "b": {"c": 1, "c": 1}}', "c", "'c' twice"),
        (f'"seed": {"9" * 5000}', None, "thousands of digits"),
        ('"seed": 01', None, "no JSON"),
        ('"sed": 1', "sed", "did you mean 'seed'"),
        (f'"{"x" * 100_000}": 1', None, "unknown field"),
        (f'"preset": "{"x" * 100_000}"', "preset", "at most 4096"),
        ('"options": []', "options", ""),
    ],
)
def test_a_body_says_one_thing(http, path, more, param, words):
    found = http.post(path, content=said(PATHS[path], more), headers=JSON)
    error = error_of(found)
    assert words in error["message"]
    assert error["param"] == param or (param is None and set(error["param"]) == {"x"})


HUGE = [
    ("n", 129, "n", "gives 128 at most"),
    ("n", 2**70, "n", "less than or equal"),
    ("steps", 16_385, "steps", "takes 16384 at most"),
    ("steps", 2**70, "steps", "less than or equal"),
    ("block_length", 16_385, "block_length", "takes 16384 at most"),
    ("options", {"steps": 10**9}, "steps", "at most"),
    ("options", {"passes": 10**9}, "passes", "at most"),
    ("options", {"later_steps": [1, 10**9]}, "later_steps", "at most"),
    ("options", {"height": 16_000, "width": 16_000}, "height", "cells"),
    ("options", {"block": -(10**9)}, "block", "at most"),
    ("temperature", 1e31, "temperature", "at most"),
    ("top_k", 2**40, "top_k", "less than or equal"),
    ("cfg_scale", 1e30, "cfg_scale", "less than or equal"),
    ("max_forwards", 2**40, "max_forwards", "less than or equal"),
    ("logit_bias", {"٣": 1}, "logit_bias", "its names are ids"),
    ("logit_bias", {"007": 1}, "logit_bias", "its names are ids"),
    ("logit_bias", {BIG: 1}, "logit_bias", "its names are ids"),
    ("logit_bias", {"7": True}, "logit_bias.7", "from -100 to 100"),
    ("logit_bias", {"7": 1e300}, "logit_bias.7", "from -100 to 100"),
]


@pytest.mark.parametrize("case", HUGE, ids=lambda case: f"{case[0]}-{HUGE.index(case)}")
@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions", "/v1/infill"])
def test_limits_cannot_be_passed(http, path, case):
    field, value, param, words = case
    error = error_of(http.post(path, json={**PATHS[path], field: value}))
    assert error["param"] == param
    assert words in error["message"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": ["a"] * 129}, "n"),
        ({"prompt": ["a"] * 60, "n": 1, "best_of": 3}, "n"),
        ({"n": 64, "prompt": ["a", "b", "c"]}, "n"),
        ({"prompt": [2**64]}, "prompt"),
        ({"prompt": [-(2**63)]}, "prompt"),
        ({"stop": ["a"] * 65}, "stop"),
        ({"stop": ["a"] * 100_000}, "stop"),
        ({"choices": ["a"] * 100_000}, "choices"),
        ({"regex": "a" * 100_000}, "regex"),
        ({"logit_bias": {str(i): 1 for i in range(200_000)}}, "logit_bias"),
        ({"max_tokens": 2**31}, "max_tokens"),
        ({"max_tokens": 16_385}, "max_tokens"),
        ({"prompt": "x" * 50_000}, "max_tokens"),
    ],
)
def test_limits_of_texts_cannot_be_passed(http, body, param):
    assert error_of(http.post("/v1/completions", json={**ASKED, **body}))["param"] == param


@pytest.mark.parametrize(
    ("path", "kind", "body", "param"),
    [
        ("/v1/infill", InfillRequest, {"ids": ["a"] * 300_000}, "ids.0"),
        ("/v1/infill", InfillRequest, {"grid": [["a"]] * 100_000}, "grid.0.0"),
        ("/v1/infill", InfillRequest, {"segments": [{"mask": 0}] * 100_000}, "segments.0.mask"),
        ("/v1/chat/completions", ChatRequest, {"messages": [{}] * 300_000}, "messages.0.role"),
        ("/v1/score", ScoreRequest, {"ids": [None] * 300_000}, "ids.0"),
    ],
)
def test_a_list_of_very_many_mistakes_is_told_by_the_first(http, path, kind, body, param):
    """Without that, each of them is an object of its own."""
    assert error_of(http.post(path, json={"model": "bytes", **body}))["param"] == param
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(body)
    assert caught.value.error_count() <= 2  # of one entry


def test_a_role_that_templates_do_not_know_is_refused(http):
    def ask(role):
        talk = [{"role": role, "content": "be short"}, {"role": "user", "content": "the cat"}]
        body = {"model": "bytes", "messages": talk, "max_tokens": 4, "seed": 1}
        return http.post("/v1/chat/completions", json=body)

    for role in ("tool", "function", "sysem", "<|user|>"):
        assert error_of(ask(role))["param"] == "messages.0.role"
    assert ask("developer").json()["choices"] == ask("system").json()["choices"]


def test_null_is_what_is_left_out(http):
    """OpenAI's clients send null for what their users leave out."""
    plain = http.post("/v1/completions", json={**ASKED, "seed": 1}).json()["choices"]
    names = (
        "n", "stream", "echo", "best_of", "stop", "logprobs", "logit_bias", "options", "suffix",
        "stream_options", "diffusing", "stream_mode", "return_record", "likeliest", "user",
        "frequency_penalty",
    )  # fmt: skip
    body = {**ASKED, "seed": 1, **dict.fromkeys(names)}
    found = http.post("/v1/completions", json=body)
    assert found.status_code == 200, found.text
    assert found.json()["choices"] == plain
    assert error_of(http.post("/v1/completions", json={**ASKED, "prompt": None}))
    error = error_of(http.post("/v1/completions", json={**ASKED, "frequency_penalty": False}))
    assert error["param"] == "frequency_penalty"


def test_errors_name_their_field(http):
    """Of unions, the name alone, and none of what pydantic calls its parts."""
    for path, body, param in (
        ("/v1/score", {"text": "a", "given": 5}, "given"),
        ("/v1/score", {"text": "a", "given": [1, "a"]}, "given"),
        ("/v1/score", {"ids": [1], "by": "ordered", "preset": "nothing"}, "preset"),
        ("/v1/score", {"ids": [1], "by": "ordered", "preset": "random_order",
                       "options": {"steps": 10**9}}, "steps"),
        ("/v1/completions", {"prompt": "a", "preset": "nothing"}, "preset"),
        ("/v1/completions", {"prompt": "a", "preset": "llada", "options": {"stpes": 3}}, "stpes"),
        ("/v1/completions", {"prompt": "a", "preset": "llada", "block_length": 3, "steps": -1},
         "steps"),
        ("/v1/completions", {"prompt": "a", "regex": "("}, "regex"),
        ("/v1/completions", {"prompt": "a", "choices": []}, "choices"),
        ("/v1/completions", {"prompt": "a", "likeliest": True}, "likeliest"),
        ("/v1/completions", {"prompt": "a", "max_tokens": 600}, "max_tokens"),
        ("/v1/completions",
         {"prompt": "a", "response_format": {"type": "json_schema",
          "json_schema": {"name": "a", "schema": 3}}}, "response_format.json_schema.schema"),
    ):  # fmt: skip
        error = error_of(http.post(path, json={"model": "bytes", **body}))
        assert error["param"] == param, error


def test_a_form_that_the_model_has_no_characters_for_names_them(texts):
    text = texts["bytes"]
    never = [text.encoding.encode(each)[0] for each in '{}"7']
    spec = text.denoiser.spec
    net = unmask.wrap(
        lambda tokens: torch.zeros(*tokens.shape, spec.vocab_size),
        mask_id=spec.mask_id,
        vocab_size=spec.vocab_size,
        forbidden=never,
    )
    model = served("few", unmask.TextModel(net, text.encoding))
    with serving([model]) as address:
        for form, words in (
            ({"regex": "a7+"}, "it needs '7', which this model never generates"),
            ({"response_format": {"type": "json_object"}}, "it needs '{', '}'"),
        ):
            body = {"prompt": "a", "max_tokens": 30, **form}
            error = error_of(httpx.post(f"{address}/v1/completions", json=body, timeout=60))
            assert words in error["message"]
            assert error["param"] in form


def test_forms_that_are_compiled_hold_up_no_others(http, monkeypatch):
    """As many as there are threads for all else, none of which they take."""
    inside, go, real = threading.Semaphore(0), threading.Event(), Structure.of.__func__

    def slow(cls, regex=None, *given, **named):
        if regex == "[ab]{2}slow":
            inside.release()
            assert go.wait(60)
        return real(cls, regex, *given, **named)

    monkeypatch.setattr(Structure, "of", classmethod(slow))
    body = {**ASKED, "max_tokens": 12, "regex": "[ab]{2}slow"}
    with ThreadPoolExecutor(24) as pool:
        held = [pool.submit(http.post, "/v1/completions", json=body) for _ in range(12)]
        assert inside.acquire(timeout=60)
        for path, other in PATHS.items():
            assert http.post(path, json=other).status_code == 200
        assert http.post("/v1/completions", json={**ASKED, "stream": True}).status_code == 200
        assert not any(each.done() for each in held)
        go.set()
        assert [each.result().status_code for each in held] == [200] * 12


def test_bodies_are_read_on_a_thread(texts, monkeypatch):
    """Megabytes of numbers are parsed and checked beside the event loop."""
    import asyncio

    from unmask.server import parsing

    loops, real = [], parsing.body_of

    def watched(kind, text):
        loops.append(asyncio._get_running_loop())
        return real(kind, text)

    monkeypatch.setattr(parsing, "body_of", watched)
    with serving([served("bytes", texts["bytes"])]) as address:
        for path, body in PATHS.items():
            assert httpx.post(f"{address}{path}", json=body, timeout=60).status_code == 200
    assert loops == [None] * len(PATHS)


# What is another's: ids of requests give nobody anything.


class Slow(torch.nn.Module):
    """A pass takes a moment, and counts."""

    def __init__(self, vocab_size):
        super().__init__()
        self.vocab_size, self.passes = vocab_size, 0

    def forward(self, tokens):
        self.passes += 1
        time.sleep(0.02)
        return torch.zeros(*tokens.shape, self.vocab_size)


@pytest.fixture
def slow(texts):
    text = texts["bytes"]
    spec = text.denoiser.spec
    net = Slow(spec.vocab_size).eval()
    wrapped = unmask.wrap(net, mask_id=spec.mask_id, vocab_size=spec.vocab_size)
    model = served("slow", unmask.TextModel(wrapped, text.encoding))
    with serving([model]) as address:
        yield address, model


STEPS = {"prompt": "a", "max_tokens": 40, "preset": "random_order", "steps": 40, "seed": 1}


def test_the_same_id_at_once_belongs_to_two_requests(slow):
    """One of two clients with the same id goes away: the other has its own answer, whole."""
    address, model = slow
    headers = {"X-Request-Id": "victim"}
    with httpx.Client(base_url=address, timeout=60, headers=headers) as client:
        alone = client.post("/v1/completions", json=STEPS).json()["choices"]
        with ThreadPoolExecutor(2) as pool:
            kept = pool.submit(client.post, "/v1/completions", json=STEPS)
            while not model.worker.load.begun:
                time.sleep(0.005)
            body = {**STEPS, "seed": 2, "stream": True}
            with client.stream("POST", "/v1/completions", json=body) as other:
                assert other.headers["x-request-id"] == "victim"
                while model.worker.load.begun < 2:
                    time.sleep(0.005)
            found = kept.result()
        assert found.status_code == 200
        assert found.json()["choices"] == alone
        assert found.headers["x-request-id"] == "victim"


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST", "PUT", "PATCH"])
def test_nobody_reads_or_cancels_by_an_id(slow, method):
    address, model = slow
    headers = {"X-Request-Id": "victim"}
    with httpx.Client(base_url=address, timeout=60) as client, ThreadPoolExecutor(1) as pool:
        kept = pool.submit(client.post, "/v1/completions", json=STEPS, headers=headers)
        while not model.worker.load.begun:
            time.sleep(0.005)
        for place in (
            "completions",
            "chat/completions",
            "responses",
            "requests",
            "infill",
            "models",
        ):
            for path in (f"/v1/{place}/victim", f"/v1/{place}/victim/cancel"):
                found = client.request(method, path, headers=headers)
                assert found.status_code in (404, 405), path
        found = kept.result()
    assert found.status_code == 200
    assert found.json()["usage"]["forwards"] == 40


def test_a_wrong_key_opens_nothing(texts):
    settings = Settings(api_key="right-key")
    with (
        serving([served("bytes", texts["bytes"])], settings) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        right = {"Authorization": "Bearer right-key"}
        paths = client.get("/openapi.json", headers=right).json()["paths"]
        every = [
            (method.upper(), path.replace("{name}", "bytes"))
            for path, methods in paths.items()
            for method in methods
        ]
        every += [("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/nowhere")]
        assert len(every) >= 10
        for method, path in every:
            for given in (
                None, "Bearer wrong", "Bearer right-ke", "Bearer right-keyy", "Bearer",
                "Basic right-key", "right-key", "Bearer RIGHT-KEY", "Bearer right-key x",
            ):  # fmt: skip
                headers = {} if given is None else {"Authorization": given}
                found = client.request(method, path, headers=headers, json=PATHS.get(path))
                if path in OPEN:
                    assert found.status_code == 200
                else:
                    assert error_of(found, 401)["code"] == "invalid_api_key"
            for name in ("api_key", "key", "token", "access_token"):
                found = client.request(method, path, params={name: "right-key"})
                assert found.status_code == (200 if path in OPEN else 401)
        assert client.get("/v1/models", headers=right).status_code == 200


@pytest.mark.parametrize("path", PATHS)
def test_bodies_that_are_no_bodies(http, path):
    whole = json.dumps(PATHS[path]).encode()
    for content, code in (
        (b"[" * 100_000, "too_deep"),
        (b'{"a":' * 100_000, "too_deep"),
        (b'{"prompt": "\xff"}', "invalid_utf8"),
        (b'{"prompt": "\\ud800"}', "invalid_unicode"),
        (whole[:-1], "invalid_json"),
        (whole + whole, "invalid_json"),
        (b"\x00" + whole, "invalid_json"),
        ("\ufeff".encode() + whole, "invalid_json"),
        (whole.decode().encode("utf-16-le"), "invalid_json"),
        (whole.decode().encode("utf-16"), "invalid_utf8"),
    ):
        error = error_of(http.post(path, content=content, headers=JSON))
        assert error["code"] == code, content[:40]
        assert code != "invalid_json" or "the body is no JSON" in error["message"]
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        error = error_of(http.post(path, content=whole, headers={"Content-Type": kind}))
        assert "Content-Type: application/json" in error["message"]
    found = http.post(
        path, content=whole, headers={"Content-Type": "application/json; charset=utf-8"}
    )
    assert found.status_code == 200
    most = Settings().max_body
    found = http.post(path, content=b" " * (most + 1), headers=JSON)
    assert error_of(found, 413)["code"] == "body_too_large"
