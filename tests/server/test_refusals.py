"""What is refused: before any work, by OpenAI's body, naming the field and what to type."""

import json

import pytest

ASKED = {"model": "bytes", "prompt": "the cat", "max_tokens": 4}
TALK = {"model": "bytes", "messages": [{"role": "user", "content": "the cat"}], "max_tokens": 4}
JSON = {"Content-Type": "application/json"}
DEEP = {"type": "array", "items": {"$ref": "#"}}


def schema(given):
    named = {"name": "a", "schema": given}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def message(**parts):
    return {"messages": [{"role": "user", **parts}]}


# The field that an error is about, words of its message, and the body.
COMPLETIONS = [
    ("max_tokns", "did you mean 'max_tokens'", {"max_tokns": 3}),
    ("blok", "did you mean", {"blok": 3}),
    ("early", "takes no early", {"early": 3.0, "preset": "llada"}),
    ("stepz", "takes no stepz='3'", {"options": {"stepz": "3"}, "preset": "llada"}),
    ("block_length", "block_length=4", {"block_length": 4, "preset": "random_order"}),
    ("preset", "no preset 'lada': did you mean 'llada'", {"preset": "lada"}),
    ("block", "of the wrong kind", {"options": {"block": "x"}, "preset": "llada"}),
    ("preset", "needs a critic", {"preset": "self_critic"}),
    ("steps", "at most", {"steps": 10**9, "preset": "llada"}),
    ("steps", "at most", {"options": {"steps": 10**9}, "preset": "llada"}),
    (None, "both given", {"options": {"steps": 3}, "steps": 3, "preset": "llada"}),
    ("early", "twice", {"early": 3.0, "options": {"early": 3.0}, "preset": "prophet"}),
    ("n", "at most", {"n": 1000}),
    ("n", "greater than or equal to 1", {"n": 0}),
    ("n", "integer", {"n": "2"}),
    ("n", "integer", {"n": True}),
    ("temperature", "greater than", {"temperature": -1}),
    ("top_p", "less than", {"top_p": 1.5}),
    ("seed", "greater than", {"seed": -1}),
    ("max_tokens", "this server takes", {"max_tokens": 10**7}),
    ("max_tokens", "the network has 512 positions", {"max_tokens": 600}),
    ("max_tokens", "differ", {"max_completion_tokens": 5}),
    ("prompt", "a list of texts", {"prompt": []}),
    ("prompt", "a list of texts", {"prompt": [1, "a"]}),
    ("prompt", "a list of texts", {"prompt": None}),
    ("prompt", "id 99999 at place 1", {"prompt": [1, 99999]}),
    ("prompt", "id -1 at place 0", {"prompt": [-1]}),
    ("best_of", "pass 2 or more", {"n": 2, "best_of": 1}),
    ("best_of", "stream=true", {"best_of": 2, "stream": True}),
    ("suffix", "one prompt", {"prompt": ["a", "b"], "suffix": "c"}),
    ("suffix", "one prompt", {"prompt": [40, 41], "suffix": "c"}),
    ("logprobs", "20", {"logprobs": 21}),
    ("logit_bias", "of 'the': its names are ids", {"logit_bias": {"the": 1}}),
    ("logit_bias.5", "100", {"logit_bias": {"5": 101}}),
    ("logit_bias", "of the id 99999", {"logit_bias": {"99999": 1}}),
    (None, "does not change", {"logit_bias": {"5": 1}, "preset": "llada21"}),
    (None, "alternatives", {"logprobs": 2, "preset": "daedal"}),
    ("frequency_penalty", "cannot be honoured", {"frequency_penalty": 0.5}),
    ("presence_penalty", "cannot be honoured", {"presence_penalty": -0.5}),
    ("diffusing", "stream=true", {"diffusing": True}),
    ("stream_mode", "stream=true", {"stream_mode": "denoise"}),
    ("diffusing", "one of them", {"diffusing": True, "stream_mode": "denoise", "stream": True}),
    ("stream_mode", "'text' or 'denoise'", {"stream_mode": "steps", "stream": True}),
    ("stream_options.usage", "unknown", {"stream": True, "stream_options": {"usage": True}}),
    ("stop", "a list of texts", {"stop": 3}),
    ("stop", "a list of texts", {"stop": ["a", 3]}),
    ("stop", "empty text", {"stop": ""}),
    ("regex", "regex", {"regex": "("}),
    ("regex", "regex", {"regex": "[a-z]{50}"}),
    ("likeliest", "likeliest", {"likeliest": True}),
    ("choices", "both given", {"regex": "a", "choices": ["b"]}),
    ("stop", "stop=", {"regex": "a*", "stop": "a"}),
    ("response_format", "both or neither", {"response_format": {"type": "json_schema"}}),
    ("response_format.type", "'json_object'", {"response_format": {"type": "xml"}}),
    ("response_format", "json_schema", schema({"type": "wrong"})),
    ("response_format", "json_schema", schema(DEEP)),
    ("response_format", "at least", {"response_format": {"type": "json_object"}, "max_tokens": 1}),
    (None, "surrogate", {"prompt": "\ud800"}),
]  # fmt: skip
CHATS = [
    ("messages", "at least 1", {"messages": []}),
    ("messages.0.contents", "did you mean 'content'", message(contents="a")),
    ("messages.0.content", "'image_url' is not read", message(content=[{"type": "image_url"}])),
    ("tools", "cannot be honoured", {"tools": [{"type": "function"}]}),
    ("tool_choice", "cannot be honoured", {"tool_choice": "required"}),
    ("reasoning_effort", "cannot be honoured", {"reasoning_effort": "high"}),
    ("top_logprobs", "logprobs=true", {"top_logprobs": 0}),
    ("top_logprobs", "20", {"top_logprobs": 21, "logprobs": True}),
    ("prompt", "unknown field", {"prompt": "a"}),
]  # fmt: skip


def check(found, param, words):
    error = found.json()["error"]
    assert found.status_code == 400, found.text
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert words in error["message"]
    assert error["param"] == param


@pytest.mark.parametrize("case", COMPLETIONS, ids=lambda case: f"{case[0]} {case[1]}")
def test_a_completion_that_cannot_be_is_refused(http, case):
    param, words, body = case
    content = json.dumps({**ASKED, **body})
    found = http.post("/v1/completions", content=content, headers=JSON)
    check(found, param, words)


@pytest.mark.parametrize("case", CHATS, ids=lambda case: f"{case[0]} {case[1]}")
def test_a_chat_that_cannot_be_is_refused(http, case):
    param, words, body = case
    check(http.post("/v1/chat/completions", json={**TALK, **body}), param, words)


@pytest.mark.parametrize("stream", [False, True])
def test_what_the_network_cannot_do_is_refused_before_an_answer_begins(http, stream):
    for preset, words in (("llada", "blocks of 8"), ("random_order", "blocks of 8")):
        given = {"model": "canvases", "preset": preset, "max_tokens": 16}
        body = {**ASKED, **given, "stream": stream}
        check(http.post("/v1/completions", json=body), None, words)
    body = {**ASKED, "model": "canvases", "preset": "llada", "block_length": 8, "stream": stream}
    check(http.post("/v1/completions", json=body), None, "no mask id")
    body = {**TALK, "model": "bert", "stream": stream}
    check(http.post("/v1/chat/completions", json=body), None, "no chat template")


def test_neutral_values_change_nothing(http):
    plain = http.post("/v1/completions", json={**ASKED, "seed": 1}).json()
    neutral = {
        "frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}, "n": 1, "echo": False,
        "best_of": 1, "suffix": None, "stop": None, "user": "me", "stream_options": None,
        "response_format": {"type": "text"}, "logprobs": None, "cfg_scale": 0.0,
    }  # fmt: skip
    found = http.post("/v1/completions", json={**ASKED, "seed": 1, **neutral}).json()
    assert found["choices"] == plain["choices"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"3", b'{"prompt": NaN}', b'{"temperature": 1e999, "prompt": "a"}'],
)
def test_a_body_that_is_no_object(http, content):
    found = http.post("/v1/completions", content=content, headers=JSON)
    assert found.status_code == 400
    assert found.json()["error"]["type"] == "invalid_request_error"


def test_a_body_without_its_type(http):
    found = http.post("/v1/completions", content=json.dumps(ASKED))
    check(found, None, "Content-Type: application/json")


def test_unknown_models_and_places(http):
    found = http.post("/v1/completions", json={**ASKED, "model": "byte"})
    assert found.status_code == 404
    assert found.json()["error"]["code"] == "model_not_found"
    assert "did you mean 'bytes'" in found.json()["error"]["message"]
    for found in (http.get("/v1/nothing"), http.get("/v1/completions")):
        assert found.status_code in (404, 405)
        assert set(found.json()["error"]) == {"message", "type", "param", "code"}
