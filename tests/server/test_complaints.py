"""The complaints that people have about servers of diffusion language models, a test each.

That answers do not depend on what is generated beside them, the longest of these tests, is in
test_load.py.
"""

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import torch
from tests.server.conftest import served, serving
from tests.server.reading import streamed

import unmask
from unmask.models.forwarding import Forwarding
from unmask.server.settings import Settings

PROMPT = "the cat sat"
ASKED = {"model": "bytes", "prompt": PROMPT, "seed": 5, "max_tokens": 24, "temperature": 1.0}
TALK = [{"role": "user", "content": PROMPT}]


def ask(http, path="/v1/completions", **body):
    found = http.post(path, json={"model": "bytes", "prompt": PROMPT, "seed": 3, **body})
    assert found.status_code == 200, found.text
    return found.json()


def chat(http, **body):
    asked = {"model": "bytes", "messages": TALK, "seed": 7, "max_tokens": 20, **body}
    found = http.post("/v1/chat/completions", json=asked)
    assert found.status_code == 200, found.text
    return found.json()


def model_of(text, net):
    """The text model with another network."""
    spec = text.denoiser.spec
    wrapped = unmask.wrap(net.eval(), mask_id=spec.mask_id, vocab_size=spec.vocab_size)
    return unmask.TextModel(wrapped, text.encoding)


# One chunk per whole canvas, so that the display of tokens per second reads 0.


def test_blocks_come_one_by_one(texts):
    """No chunk is a whole canvas: a client that counts sees tokens while rows are generated."""
    text, begun = texts["bytes"], threading.Event()
    go = threading.Semaphore(0)

    class Held(torch.nn.Module):
        def forward(self, tokens):
            begun.set()
            go.acquire()
            return torch.nn.functional.one_hot(tokens * 0 + 70, text.denoiser.spec.vocab_size) * 9.0

    model = model_of(text, Held())
    body = {"prompt": "a", "max_tokens": 12, "preset": "llada", "steps": 1, "block_length": 4}
    with (
        serving([served("held", model)]) as address,
        httpx.stream("POST", f"{address}/v1/completions", json={**body, "stream": True}) as found,
    ):
        lines = (line for line in found.iter_lines() if '"text"' in line)
        for _ in range(2):
            go.release()
            assert sum('"text":""' not in next(lines) for _ in range(4)) == 4
        go.release()
        assert len(list(lines)) >= 4


# A literal mask token in a prompt gets edited.


def test_a_mask_token_in_a_prompt_is_text(http, texts):
    model = texts["bytes"]
    prompt = f"the {model.encoding.mask_token} sat"
    ids = model.encoding.encode(prompt)
    assert model.encoding.mask_id not in ids
    found = ask(http, prompt=prompt, max_tokens=4, echo=True)
    assert found["choices"][0]["text"].startswith(prompt)
    assert found["usage"]["prompt_tokens"] == len(ids)
    assert found["usage"]["completion_tokens"] <= 4


def test_a_mask_token_in_a_message_is_text(http, texts):
    said = texts["bytes"].encoding.mask_token
    talk = [{"role": "user", "content": said}]
    found = chat(http, messages=talk)
    ids = texts["bytes"].encoding.template(talk, {})
    assert texts["bytes"].encoding.mask_id not in ids
    assert found["usage"]["prompt_tokens"] == len(ids)
    assert said not in found["choices"][0]["message"]["content"]


# max_tokens exceeded by up to a canvas.


@pytest.mark.parametrize("model", ["bytes", "bert", "canvases"])
@pytest.mark.parametrize("most", [1, 5, 13])
def test_max_tokens_is_never_exceeded(http, texts, model, most):
    prompt = "a cat sat"
    found = ask(http, model=model, prompt=prompt, max_tokens=most, logprobs=0)
    tokens = found["choices"][0]["logprobs"]["tokens"]
    assert len(tokens) <= most
    assert found["usage"]["completion_tokens"] == len(tokens)


# Shape mismatch under concurrency.


@pytest.mark.parametrize("model", ["bytes", "bert", "canvases"])
def test_texts_of_all_lengths_are_generated_at_once(http, model):
    bodies = [
        {"model": model, "prompt": "a cat " * (1 + i % 7), "max_tokens": 1 + 5 * (i % 5), "seed": i}
        for i in range(20)
    ]
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda body: ask(http, **body), bodies))
    for body, answer in zip(bodies, found, strict=True):
        assert answer["usage"]["completion_tokens"] <= body["max_tokens"]
        assert answer["usage"]["prompt_tokens"] >= 2 * (body["prompt"].count("cat"))


# Seeds refused or dependent on the batch (see test_load.py, too).


def test_an_absent_seed_is_drawn_and_told(http):
    body = {"model": "bytes", "prompt": PROMPT, "max_tokens": 16, "temperature": 1.0}
    found = [http.post("/v1/completions", json=body).json() for _ in range(3)]
    assert len({each["seed"] for each in found}) == 3
    assert len({each["choices"][0]["text"] for each in found}) > 1
    again = http.post("/v1/completions", json={**body, "seed": found[0]["seed"]}).json()
    assert again["choices"] == found[0]["choices"]


def test_a_seed_gives_the_same_beside_others(http):
    body = {**ASKED, "preset": "confidence", "steps": 6}
    alone = ask(http, **body)["choices"]
    others = [{**body, "seed": i, "max_tokens": 3 + i} for i in range(12)]
    with ThreadPoolExecutor(13) as pool:
        beside = list(pool.map(lambda one: ask(http, **one), [*others, body]))
    assert beside[-1]["choices"] == alone


# One user's temperature applied to all, and identical rollouts for different seeds.


def test_seeds_differ_and_temperatures_are_ones_own(http):
    """Cold and hot requests at once: the cold are greedy, the hot differ by their seeds."""
    body = {
        "model": "bytes",
        "prompt": "the cat",
        "max_tokens": 16,
        "preset": "confidence",
        "steps": 8,
    }
    cold, hot = {**body, "temperature": 0.0}, {**body, "temperature": 1.0}
    bodies = [{**(cold if i % 2 else hot), "seed": i} for i in range(16)]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda one: ask(http, **one)["choices"][0]["text"], bodies))
    assert len(set(found[1::2])) == 1
    assert len(set(found[::2])) == 8


# Structured output answered by a 500.

PLAIN = {"type": "string"}


def schema(given):
    shown = {"type": "json_schema", "json_schema": {"name": "a", "schema": given}}
    return {"response_format": shown}


KEPT = [
    ({"regex": "[0-9]{3}"}, str.isdigit),
    ({"regex": "(){1000000000}"}, lambda text: text == ""),
    ({"choices": ["yes", "no"]}, lambda text: text in ("yes", "no")),
    ({"response_format": {"type": "json_object"}}, lambda text: type(json.loads(text)) is dict),
    (
        schema({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}),
        lambda text: type(json.loads(text)["a"]) is int,
    ),
    (schema({"type": ["object", "null"], "properties": {}}), lambda t: json.loads(t) in ({}, None)),
    (schema({"enum": [1e300, None, {}]}), lambda text: json.loads(text) in (1e300, None, {})),
    (
        schema({"const": {"a": [1, {"b": "\0"}]}}),
        lambda text: json.loads(text) == {"a": [1, {"b": "\0"}]},
    ),
]


@pytest.mark.parametrize("number", range(len(KEPT)))
def test_a_form_is_kept(http, number):
    form, holds = KEPT[number]
    body = {**ASKED, "max_tokens": 40, **form}
    assert holds(ask(http, **body)["choices"][0]["text"])
    parts = [data["choices"][0]["text"] for _, data in streamed(http, **body)]
    assert holds("".join(parts))


@pytest.mark.parametrize(
    "form",
    [
        {"regex": "a{99999999999}"},
        {"regex": "(?L)a"},
        {"regex": "(a)(?=b)"},
        {"choices": []},
        *map(
            schema,
            (
                {"type": "array", "items": {"type": "integer"}, "minItems": 10**12},
                {"$ref": "#"},
                {"type": "string", "pattern": "a{99999999999}"},
                {"type": "integer", "minimum": 3, "maximum": 2},
                {"oneOf": [PLAIN, PLAIN]},
                {"type": {}},
                True,
                {},
            ),
        ),
    ],
    ids=repr,
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_form_that_cannot_be_kept_is_refused(http, form, stream):
    found = http.post("/v1/completions", json={**ASKED, **form, "stream": stream})
    assert found.status_code == 400
    assert found.json()["error"]["param"] in form


# A forward in the event loop, so that /health hangs.


def test_the_event_loop_answers_during_a_forward(texts):
    text, inside = texts["bytes"], threading.Event()
    vocab = text.denoiser.spec.vocab_size

    class Long(torch.nn.Module):
        def forward(self, tokens):
            inside.set()
            time.sleep(1)
            return torch.zeros(*tokens.shape, vocab)

    model = served("long", model_of(text, Long()))
    with serving([model], Settings(timeout=30)) as address:
        body = {"prompt": "a", "max_tokens": 1}
        thread = threading.Thread(
            target=httpx.post,
            args=(f"{address}/v1/completions",),
            kwargs={"json": body, "timeout": 60},
        )
        thread.start()
        assert inside.wait(30)
        begun = time.perf_counter()
        assert httpx.get(f"{address}/health").json() == {"status": "ok"}
        assert time.perf_counter() - begun < 0.7
        thread.join()


@pytest.mark.parametrize("method", ["encode_all", "decode"])
def test_the_event_loop_neither_tokenizes_nor_reads(texts, monkeypatch, method):
    text, loops = texts["bytes"], []
    original = getattr(type(text.encoding), method)

    def watched(self, *given, **named):
        loops.append(asyncio._get_running_loop())
        return original(self, *given, **named)

    monkeypatch.setattr(type(text.encoding), method, watched)
    with serving([served("bytes", text)]) as address, httpx.Client(base_url=address) as http:
        for mode in ({}, {"stream": True}, {"stream": True, "stream_mode": "denoise"}):
            body = {**ASKED, "preset": "llada", "block_length": 8, **mode}
            assert http.post("/v1/completions", json=body).status_code == 200
    assert loops
    assert not any(loops)


# Suffix accepted and ignored.


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/fim/completions"])
def test_a_suffix_is_not_ignored(http, texts, path):
    found = ask(http, path, suffix=" on the mat", max_tokens=5)
    direct = texts["bytes"].infill(PROMPT, " on the mat", max_tokens=5, seed=3)
    assert found["choices"][0]["text"] == direct.text
    assert found["usage"]["prompt_tokens"] > len(texts["bytes"].encoding.encode(PROMPT))
    assert ask(http, path, suffix="", max_tokens=5) != found


# Logprobs crash.


@pytest.mark.parametrize("model", ["bytes", "bert", "canvases"])
@pytest.mark.parametrize("count", [0, 1, 20])
def test_log_probabilities_of_every_model_are_told(http, model, count):
    body = {"model": model, "prompt": "a cat", "max_tokens": 9, "logprobs": count, "n": 2}
    found = ask(http, **body)
    parts = [data for _, data in streamed(http, **body, seed=3)]
    for choice in found["choices"]:
        told = choice["logprobs"]
        assert len(told["tokens"]) == len(told["token_logprobs"]) == len(told["text_offset"])
        assert all(value <= 0 for value in told["token_logprobs"])
        tops = told["top_logprobs"] or [{}] * len(told["tokens"])
        assert all(bool(each) == bool(count) for each in tops)
        mine = [p["choices"][0] for p in parts if p["choices"][0]["index"] == choice["index"]]
        assert [x for each in mine for x in each["logprobs"]["tokens"]] == told["tokens"]


def test_log_probabilities_of_an_answer_that_is_cut(http):
    """A stop string in the middle of tokens, and a text that has none."""
    whole = chat(http, logprobs=True, top_logprobs=2, temperature=1.0)
    text = whole["choices"][0]["message"]["content"]
    for stop in (text[:1], text[3:5]):
        found = chat(http, logprobs=True, top_logprobs=2, temperature=1.0, stop=stop)
        [choice] = found["choices"]
        assert choice["message"]["content"] == text[: text.index(stop)]
        assert choice["finish_reason"] == "stop"
        assert len(choice["logprobs"]["content"]) <= len(whole["choices"][0]["logprobs"]["content"])


# Thinking and tool text leaking.


def test_special_tokens_do_not_leak(http, texts):
    """Nothing of the template, nor an end, is in an answer or its pieces."""
    names = texts["bytes"].encoding.backend.all_special_tokens
    for seed in range(3):
        body = {"seed": seed, "temperature": 1.0, "preset": "confidence", "steps": 5}
        text = chat(http, **body)["choices"][0]["message"]["content"]
        asked = {"model": "bytes", "messages": TALK, "max_tokens": 20, **body}
        chunks = [data for _, data in streamed(http, "/v1/chat/completions", **asked)]
        pieces = [each["choices"][0]["delta"].get("content", "") for each in chunks]
        assert "".join(pieces) == text
        assert not any(name in text for name in names)


# Out of memory from canvas × vocabulary temporaries.


class Recording(Forwarding):
    """A network that keeps the sizes of its logits."""

    def __init__(self, inner):
        super().__init__(inner)
        self.sizes = []

    def forward(self, query, cache):
        return self.inner.forward(query, cache)

    def logits(self, hidden):
        found = self.inner.logits(hidden)
        self.sizes.append(found.numel() * found.element_size())
        return found


def test_no_logits_of_whole_canvases_exist(texts):
    text, rows, length = texts["bytes"], 64, 480
    network = Recording(text.denoiser)
    model = unmask.TextModel(network, text.encoding)
    body = {"prompt": "a", "n": rows, "max_tokens": length, "preset": "confidence", "steps": 1}
    with serving([served("bytes", model)]) as address:
        found = httpx.post(f"{address}/v1/completions", json=body, timeout=120)
    assert found.status_code == 200
    whole = rows * length * text.denoiser.spec.vocab_size * 4
    assert sum(network.sizes) >= whole > 32 * 2**20
    assert max(network.sizes) <= 32 * 2**20


# A default of one running request: test_faults.py, test_requests_share_passes.
# A repetitive answer cut as a loop with finish_reason "stop".


def test_what_is_repetitive_is_no_loop_that_ends(http):
    found = ask(http, prompt="a a a a a a a a", max_tokens=40, regex="( a){20}( a)*", logprobs=0)
    [choice] = found["choices"]
    assert choice["text"] == " a" * 20
    assert len(choice["logprobs"]["tokens"]) == 40
    assert choice["finish_reason"] == "length"
