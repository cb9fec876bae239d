"""What the log and the metrics tell of requests: of answers, of streams, and of errors in them."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.server.reading import events

TEXT = {"prompt": "the cat", "max_tokens": 6, "preset": "random_order", "steps": 3, "seed": 1}
TALK = {k: v for k, v in TEXT.items() if k != "prompt"}
TALK |= {"messages": [{"role": "user", "content": "hi"}]}
FILL = {"ids": [70, None, 71, None], "preset": "random_order", "steps": 2, "seed": 1}
ASKED = {
    "completions": ("/v1/completions", {**TEXT, "n": 2}),
    "chat": ("/v1/chat/completions", TALK),
    "infill": ("/v1/infill", {**FILL, "n": 3}),
}
MODES = {
    "text": {"stream": True, "stream_options": {"include_usage": True}},
    "snapshots": {"stream": True, "diffusing": True, "stream_options": {"include_usage": True}},
    "steps": {"stream": True, "stream_mode": "denoise"},
}
FACTS = ("status", "outcome", "model", "prompt_tokens", "completion_tokens")


def told(line):
    return tuple(line.get(name) for name in FACTS)


def read(server, path, body):
    """The usage of a stream that is whole."""
    with server.client() as client, client.stream("POST", path, json=body) as found:
        *_, (_, last), done = events(found)
    assert done == (None, None)
    return last["response"]["usage"] if "response" in last else last["usage"]


def cost(usage):
    return usage["prompt_tokens"], usage["completion_tokens"]


@pytest.mark.parametrize("kind", ASKED)
def test_answers_and_streams_tell_model_and_tokens(live, kind):
    server = live(slow=0)
    path, body = ASKED[kind]
    with server.client() as client:
        usages = [client.post(path, json=body).json()["usage"]]
    modes = ["steps"] if kind == "infill" else list(MODES)
    usages += [read(server, path, {**body, **MODES[mode]}) for mode in modes]
    server.rests()
    figures = server.figures()
    assert (
        cost(usages[0])
        == {
            "completions": (cost(usages[0])[0], 12),
            "chat": (cost(usages[0])[0], 6),
            "infill": (2, 6),
        }[kind]
    )
    assert len({cost(usage) for usage in usages}) == 1
    server.drain()
    assert [told(line) for line in server.lines()] == [
        (200, "ok", "slow", *cost(usage)) for usage in usages
    ]
    for name, place in (("prompt", 0), ("completion", 1)):
        total = sum(cost(usage)[place] for usage in usages)
        assert figures[f'unmask_{name}_tokens_total{{model="slow"}}'] == total > 0
    key = f'unmask_requests_total{{endpoint="{path}",outcome="ok"}}'
    assert figures[key] == len(usages)


def test_a_score_tells_its_tokens(live):
    server = live(slow=0)
    with server.client() as client:
        found = client.post("/v1/score", json={"text": "the cat", "seed": 1}).json()
    server.drain()
    assert [told(line) for line in server.lines()] == [(200, "ok", "slow", found["tokens"], 0)]


def breaking(rows):
    """A fault of the network with this many rows in a pass."""

    def fault(tokens):
        if len(tokens) == rows:
            raise RuntimeError("hush, no such thing")

    return fault


@pytest.mark.parametrize("mode", [None, *MODES])
def test_a_failure_is_one_within_a_stream_too(live, mode):
    server = live(slow=0, fault=breaking(1))
    body = {**TEXT, **({} if mode is None else MODES[mode])}
    with server.client() as client:
        answer = client.post("/v1/completions", json=body)
    assert answer.status_code == (500 if mode is None else 200)
    server.rests()
    figures = server.figures()
    assert figures['unmask_requests_total{endpoint="/v1/completions",outcome="failed"}'] == 1
    server.drain()
    [line] = server.lines()
    assert told(line) == (500, "failed", "slow", line["prompt_tokens"], 0)
    assert (line["level"], line["error"]) == ("error", "DenoiserError")
    assert line["cause"] == "RuntimeError"
    assert line["where"][-1].endswith(" fault")  # where the network raised it
    assert line["prompt_tokens"] > 0
    assert "hush" not in server.stream.getvalue()


def test_rows_that_were_finished_before_an_error_are_counted(live):
    server = live(slow=0.01, max_rows=1)
    server.net.fault = lambda tokens: 1 / 0 if len(server.net.threads) > 4 else None
    with server.client() as client:
        body = {**TEXT, "n": 2, **MODES["steps"]}
        assert "ZeroDivisionError" in client.post("/v1/completions", json=body).text
    server.drain()
    [line] = server.lines()
    assert told(line) == (500, "failed", "slow", line["prompt_tokens"], 6)


def test_what_ends_streams_is_told(live):
    server = live(slow=0.05, timeout=0.6, grace=0.1)
    body = {**TEXT, "max_tokens": 200, "steps": 200, "stream": True}
    with server.client() as client:
        assert "timeout" in client.post("/v1/completions", json=body).text
        steps = {**body, "stream_mode": "denoise"}  # which begins at once
        with client.stream("POST", "/v1/completions", json=steps) as found:
            next(found.iter_lines())
        server.rests()
        with ThreadPoolExecutor(1) as pool:
            last = pool.submit(client.post, "/v1/completions", json=body)
            server.until(lambda: server.model.worker.load.rows)
            time.sleep(0.1)
            assert not server.drain()
            assert "shutting_down" in last.result().text
    found = [(line["status"], line["outcome"]) for line in server.lines()]
    assert found == [(408, "timeout"), (499, "disconnected"), (503, "unavailable")]


def test_what_is_refused_has_no_model_and_what_waits_has(live):
    server = live(slow=0.02, max_rows=1, max_queue=0)
    with server.client() as client, ThreadPoolExecutor(1) as pool:
        assert client.post("/v1/completions", json={**TEXT, "model": "other"}).status_code == 404
        assert client.post("/v1/completions", json={**TEXT, "steps": 0}).status_code == 400
        first = pool.submit(client.post, "/v1/completions", json=TEXT)
        server.until(lambda: server.model.worker.load.begun)
        assert client.post("/v1/completions", json=TEXT).status_code == 429
        assert first.result().status_code == 200
    server.drain()
    found = sorted((line["status"], line.get("model")) for line in server.lines())
    assert found == [(200, "slow"), (400, None), (404, None), (429, "slow")]


def test_texts_before_an_error_are_not_lost(live):
    """A stream that is told its steps and its end at once tells both."""
    from unmask.server.posting import Ended
    from unmask.server.streams import Stream

    class Counting(Stream):
        def opened(self):
            return []

        def step(self, step):
            return [{"data": str(step)}]

        def row(self, number, record):
            return []

        def closed(self):
            return []

        def _taken(self, item):
            return self.step(item) if isinstance(item, int) else super()._taken(item)

    class Nothing:
        likeliest = None

    stream = Counting(Nothing())
    first, second, error, done = stream.take([1, 2, Ended(RuntimeError("no"))])
    assert (first["data"], second["data"], done["data"]) == ("1", "2", "[DONE]")
    assert "RuntimeError" in error["data"]
    assert stream.over
    assert str(stream.error) == "no"
