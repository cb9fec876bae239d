"""What stands around the routes: ids, log, metrics, key, gate, bodies and origins."""

import asyncio
import io
import json
import re

import httpx
import pytest

from unmask.server.app import create_app
from unmask.server.gate import Gate, Phase
from unmask.server.logs import Log
from unmask.server.operations import Operations
from unmask.server.settings import Settings

from . import tiny


class Called:
    """An application in this process, called as by HTTP."""

    def __init__(self, settings=None, gate=None, stream=None, level="info"):
        self.settings = settings or Settings()
        self.stream = stream or io.StringIO()
        self.log = Log(self.stream, level)
        self.operations = Operations(gate=gate or Gate(), log=self.log)
        meter = self.operations.metrics.meter("tiny")
        self.served = tiny.served(self.settings, meter)
        self.operations.metrics.watch("tiny", self.served.worker)
        self.app = create_app([self.served], self.settings, self.operations)
        self.app.include_router(tiny.router)

    def __call__(self, method, path, **named):
        return self.together((method, path, named))[0]

    def together(self, *calls):
        async def run():
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                each = (client.request(method, path, **named) for method, path, named in calls)
                return await asyncio.gather(*each)

        return asyncio.run(run())

    def lines(self):
        self.log.close(10)
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def called():
    made = []

    def make(**named):
        made.append(Called(**named))
        return made[-1]

    yield make
    for each in made:
        each.served.worker.close()
        each.log.close()


def figures(answer):
    """The samples of a page of metrics by name and labels."""
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_a_request_is_a_line_with_its_id_and_no_prompt(called):
    server = called()
    answer = server("POST", "/v1/tiny", json={"n": 2}, headers={"X-Request-Id": "mine-1"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (200, "mine-1")
    for odd in ("a b", "x" * 129, "é".encode()):
        answer = server("GET", "/health", headers={"X-Request-Id": odd})
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
    failed = server("POST", "/v1/broken?prompt=hush", json={"prompt": "hush"})
    assert failed.status_code == 500
    assert failed.json()["error"]["type"] == "server_error"
    first, *_, last = server.lines()
    told = ("event", "id", "method", "endpoint", "status", "outcome", "model", "completion_tokens")
    assert [first[name] for name in told] == [
        "request", "mine-1", "POST", "/v1/tiny", 200, "ok", "tiny", 20,
    ]  # fmt: skip
    assert first["seconds"] > 0
    assert (last["status"], last["error"], last["level"]) == (500, "RuntimeError", "error")
    assert last["id"] == failed.headers["x-request-id"]
    assert "hush" not in server.stream.getvalue()


def test_at_debug_errors_have_their_words(called):
    server = called(level="debug")
    server("POST", "/v1/broken", json={"prompt": "hush"})
    assert server.lines()[-1]["message"] == "nobody foresaw hush"


class Broken(io.StringIO):
    """A stream of a disk that is full."""

    def write(self, text):
        raise OSError(28, "No space left on device")


def test_a_stream_that_cannot_be_written_stops_nobody(called):
    closed = io.StringIO()
    closed.close()
    for stream in (Broken(), closed):
        server = called(stream=stream)
        for _ in range(3):
            assert server("POST", "/v1/tiny", json={}).status_code == 200
        server.log.close(10)
        assert figures(server("GET", "/metrics"))["unmask_dropped_log_lines"] == 3


def test_a_stream_that_takes_nothing_holds_nobody_up(called, monkeypatch):
    import threading

    monkeypatch.setattr("unmask.server.logs.WAITING", 2)
    go_on = threading.Event()

    class Stuck(io.StringIO):
        def write(self, text):
            go_on.wait(60)
            return super().write(text)

    server = called(stream=Stuck())
    for _ in range(6):
        assert server("GET", "/health").status_code == 200
    assert server.log.dropped >= 3
    go_on.set()


def test_metrics_count_requests_steps_and_tokens(called):
    server = called()
    calls = [("POST", "/v1/tiny", {"json": {"n": 2, "seed": i, "steps": 5}}) for i in range(3)]
    assert [each.status_code for each in server.together(*calls)] == [200] * 3
    assert server("POST", "/v1/tiny", json={"n": []}).status_code >= 400
    assert server("GET", "/nowhere/at/all").status_code == 404
    found = figures(server("GET", "/metrics"))
    assert found['unmask_requests_total{endpoint="/v1/tiny",outcome="ok"}'] == 3
    assert found['unmask_requests_total{endpoint="/v1/tiny",outcome="invalid"}'] == 1
    assert found['unmask_requests_total{endpoint="other",outcome="invalid"}'] == 1
    assert found['unmask_committed_tokens_total{model="tiny"}'] == 3 * 2 * tiny.LENGTH
    rows = found['unmask_step_rows_sum{model="tiny"}']
    assert rows == 3 * 2 * 5  # each row takes its own steps
    steps = found['unmask_step_seconds_count{model="tiny"}']
    assert 5 <= steps <= 15
    assert found['unmask_padding_share_sum{model="tiny"}'] == 0
    assert found['unmask_committed_per_forward_sum{model="tiny"}'] == pytest.approx(2 * steps)
    assert found['unmask_first_token_seconds_count{model="tiny"}'] == 3
    assert 0 < found['unmask_first_token_seconds_sum{model="tiny"}'] < 60
    for name in ("queue_depth", "open_rows", "open_tokens"):
        assert found[f'unmask_{name}{{model="tiny"}}'] == 0
    assert found["unmask_open_requests"] == 1  # that of the metrics
    assert server.operations.gate.open == 0


def test_what_waits_is_told_while_it_waits(called):
    server = called(settings=Settings(max_rows=1, max_queue=2))
    go = server.served.denoiser.inner.net.go
    go.clear()

    async def run():
        transport = httpx.ASGITransport(server.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            calls = []
            for i in range(3):
                calls.append(asyncio.create_task(client.post("/v1/tiny", json={"seed": i})))
                while server.served.worker.load.begun == 0:
                    await asyncio.sleep(0.001)
            while server.served.worker.load.waiting < 2:
                await asyncio.sleep(0.001)
            full = await client.post("/v1/tiny", json={})
            page = await client.get("/metrics")
            go.set()
            return full, page, await asyncio.gather(*calls)

    full, page, answers = asyncio.run(run())
    assert (full.status_code, full.headers["retry-after"]) == (429, "1")
    assert full.json()["error"]["code"] == "queue_full"
    found = figures(page)
    assert found['unmask_queue_depth{model="tiny"}'] == 2
    assert found['unmask_open_rows{model="tiny"}'] == 1
    assert found['unmask_open_tokens{model="tiny"}'] == tiny.LENGTH
    assert found['unmask_requests_total{endpoint="/v1/tiny",outcome="queue_full"}'] == 1
    assert [each.status_code for each in answers] == [200] * 3
    assert server.served.worker.load == type(server.served.worker.load)(0, 0, 0, 0)


@pytest.mark.parametrize("phase", [Phase.LOADING, Phase.DRAINING])
def test_a_gate_that_is_closed(called, phase):
    server = called(gate=Gate(phase))
    assert server("GET", "/health").json() == {"status": "ok"}
    answer = server("GET", "/ready")
    assert (answer.status_code, answer.json()) == (503, {"status": phase.value})
    answer = server("POST", "/v1/tiny", json={})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["error"]["code"] in ("loading", "shutting_down")
    assert server("GET", "/metrics").status_code == 200
    assert answer.headers.get("connection") == ("close" if phase is Phase.DRAINING else None)


def test_a_gate_that_opens_and_one_that_ended_first():
    gate = Gate(Phase.LOADING)
    gate.ready()
    assert gate.phase is Phase.READY
    gate = Gate(Phase.LOADING)
    gate.drain()
    gate.ready()
    assert gate.phase is Phase.DRAINING


def test_a_key_is_asked_for(called):
    server = called(settings=Settings(api_key="sesame"))
    for path in ("/health", "/ready"):
        assert server("GET", path).status_code == 200
    for given in (None, "Bearer", "Bearer sesam", "Bearer sesame2", "Basic sesame", "sesame"):
        headers = {} if given is None else {"Authorization": given}
        for method, path in (("POST", "/v1/tiny"), ("GET", "/metrics"), ("GET", "/docs")):
            answer = server(method, path, headers=headers)
            assert answer.status_code == 401, (given, path)
            assert answer.headers["www-authenticate"] == "Bearer"
            error = answer.json()["error"]
            assert error.keys() == {"message", "type", "param", "code"}
            assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")
    headers = {"Authorization": "bearer sesame"}
    assert server("POST", "/v1/tiny", json={}, headers=headers).status_code == 200
    assert "sesam" not in json.dumps(server.lines())


def test_keys_are_compared_in_constant_time(called, monkeypatch):
    compared = []

    def compare(a, b):
        compared.append((a, b))
        return a == b

    monkeypatch.setattr("hmac.compare_digest", compare)
    server = called(settings=Settings(api_key="sesame"))
    server("GET", "/metrics", headers={"Authorization": "Bearer wrong"})
    server("GET", "/metrics")
    assert compared == [(b"wrong", b"sesame"), (b"", b"sesame")]


def test_bodies_that_are_not_read(called):
    server = called(settings=Settings(max_body=1000))

    async def pieces():
        for _ in range(11):
            yield b" " * 100

    for content in (b" " * 1001, pieces()):
        answer = server("POST", "/v1/tiny", content=content)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")
    for content in (b'{"n": "\xff"}', b"[" * 900):
        assert server("POST", "/v1/tiny", content=content).status_code == 400
    room = b'{"n": 1, "seed": 3}'.ljust(1000)
    kind = {"Content-Type": "application/json"}
    assert server("POST", "/v1/tiny", content=room, headers=kind).status_code == 200


def test_a_large_body_is_checked_as_a_small_one(called):
    server = called()
    for content, status in ((b"[" * 100_000, 400), (b"\xff" * 100_000, 400)):
        assert server("POST", "/v1/tiny", content=content).status_code == status


def test_a_body_that_does_not_come(called):
    server = called(settings=Settings(timeout=0.05))

    async def never():
        yield b"{"
        await asyncio.sleep(60)

    answer = server("POST", "/v1/tiny", content=never())
    assert (answer.status_code, answer.json()["error"]["code"]) == (408, "timeout")


def test_other_origins_are_let_in_only_if_named(called):
    page = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    named = called(settings=Settings(cors=("https://app.example",), api_key="sesame"))
    answer = named("OPTIONS", "/v1/tiny", headers=page)
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    key = {"Authorization": "Bearer sesame", "Origin": "https://app.example"}
    answer = named("POST", "/v1/tiny", json={}, headers=key)
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    answer = named("POST", "/v1/tiny", json={}, headers={**key, "Origin": "https://b.example"})
    assert "access-control-allow-origin" not in answer.headers
    answer = called()("OPTIONS", "/v1/tiny", headers=page)
    assert "access-control-allow-origin" not in answer.headers


def test_who_goes_away_is_told_from_who_is_answered(called):
    server = called()
    scope = {
        "type": "http", "method": "GET", "path": "/v1/tiny", "headers": [], "query_string": b"",
    }  # fmt: skip

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await receive()

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        pass

    from unmask.server.tracing import Traced

    asyncio.run(Traced(app, server.log, server.operations.metrics)(scope, receive, send))
    [line] = server.lines()
    assert (line["status"], line["outcome"]) == (499, "disconnected")
