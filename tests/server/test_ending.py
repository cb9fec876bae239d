"""A server in a process of its own: from the first request to its end by a signal."""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from tests.server.reading import events

FULL = 'unmask_open_rows{model="shidoku"} 64.0'
OFTEN = pytest.param(20, marks=[pytest.mark.slow, pytest.mark.timeout(900)])
PLAIN = {"trust_env": False, "verify": False}  # certificates take half a second to read
PROGRAM = [sys.executable, "-u", str(Path(__file__).with_name("ending.py"))]


class Server:
    """A server that `ending.py` forks."""

    def __init__(self, parent, folder, line, **named):
        self.parent, self.err, self.out = parent, folder / "err", folder / "out"
        for file in (self.err, self.out):
            file.unlink(missing_ok=True)
        call = {"line": line, "out": str(self.out), "err": str(self.err), **named}
        parent.stdin.write(json.dumps(call) + "\n")
        parent.stdin.flush()
        self.process = int(parent.stdout.readline())
        self.code = None
        self.url = self._wait(r"(http://\S+)")
        self._wait("(Ready)")

    def _wait(self, pattern):
        until = time.monotonic() + 60
        while time.monotonic() < until:
            found = re.search(pattern, self.out.read_text()) if self.out.exists() else None
            if found:
                return found[1]
            time.sleep(0.01)
        raise AssertionError((self.out.read_text(), self.err.read_text()))

    def signal(self, number=signal.SIGTERM):
        os.kill(self.process, number)

    def wait(self):
        """The exit code, once the process has ended."""
        if self.code is None:
            self.code = int(self.parent.stdout.readline())
        return self.code

    def requests(self):
        """The lines of the log about requests."""
        lines = [line for line in self.err.read_text().splitlines() if line.startswith("{")]
        return [line for line in map(json.loads, lines) if line["event"] == "request"]


@pytest.fixture(scope="module")
def parent():
    process = subprocess.Popen(PROGRAM, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process
    process.stdin.close()
    process.wait(60)
    process.stdout.close()


@pytest.fixture
def start(parent, tmp_path):
    started = []

    def make(*line, **named):
        started.append(Server(parent, tmp_path, line, **named))
        return started[-1]

    yield make
    for each in started:
        if each.code is None:
            each.signal(signal.SIGKILL)
            each.wait()


class Client(threading.Thread):
    """Sends request after request until it cannot connect. What came, and when it was asked."""

    def __init__(self, url, seed):
        super().__init__()
        self.url, self.seed, self.found = url, seed, []
        self.start()

    def run(self):
        draw = random.Random(self.seed)
        with httpx.Client(base_url=self.url, timeout=60, **PLAIN) as client:
            while True:
                begun = time.monotonic()
                try:
                    status = self.ask(client, draw)
                except httpx.ConnectError:
                    return
                except httpx.HTTPError as error:
                    self.found.append((begun, type(error).__name__))
                    return
                self.found.append((begun, status))
                if status == 503:
                    time.sleep(0.01)

    def ask(self, client, draw):
        """Ask once; the status."""
        asked = {"n": draw.randint(1, 3), "steps": draw.randint(1, 10)}
        return checked(client.post("/v1/tiny", json=asked), "rows", asked["n"])


class Infilling(Client):
    """Asks by the way of all real endpoints, for streams half of the time."""

    def ask(self, client, draw):
        asked = {"n": draw.randint(1, 3), "preset": "random_order", "steps": draw.randint(1, 10)}
        asked["ids"] = [None] * draw.randint(4, 10)
        if draw.random() < 0.5:
            return checked(client.post("/v1/infill", json=asked), "choices", asked["n"])
        mode = {"stream": True, "stream_mode": "denoise"}
        with client.stream("POST", "/v1/infill", json={**asked, **mode}) as answer:
            if answer.status_code == 503:
                answer.read()
                check_refusal(answer)
            else:
                *_, (_, last), done = events(answer)
                assert done == (None, None)
                assert len(last["response"]["choices"]) == asked["n"]
            return answer.status_code


def checked(answer, name, number):
    """The status of an answer that refuses, or has so many entries."""
    if answer.status_code == 503:
        check_refusal(answer)
    else:
        assert len(answer.json()[name]) == number
    return answer.status_code


def check_refusal(answer):
    assert answer.headers["retry-after"]
    assert answer.json()["error"]["code"] == "shutting_down"


@pytest.mark.parametrize("kind", [Client, Infilling])
@pytest.mark.parametrize("times", [2, OFTEN])
def test_no_accepted_request_is_lost_at_the_end(start, times, kind):
    refused = 0
    for seed in range(times):
        server = start("--grace", "60")
        clients = [kind(server.url, seed * 100 + i) for i in range(12)]
        time.sleep(0.3 + random.Random(seed).random() / 2)
        before = time.monotonic()
        server.signal()
        assert server.wait() == 0, server.err.read_text()
        for client in clients:
            client.join(60)
        found = [each for client in clients for each in client.found]
        asked_before = [status for begun, status in found if begun < before - 0.1]
        assert len(asked_before) >= 12
        assert set(asked_before) == {200}
        statuses = [status for _, status in found]
        logged = [line["status"] for line in server.requests()]
        assert set(logged) <= {200, 503}
        assert logged.count(200) == statuses.count(200)  # all that were accepted arrived
        refused += statuses.count(503)
    assert refused


def test_new_requests_are_refused_while_others_are_finished(start):
    server = start("--grace", "60", slow=0.1)
    with httpx.Client(base_url=server.url, timeout=60, **PLAIN) as client:
        waiting = Client(server.url, 1)
        while client.get("/metrics").text.find('unmask_open_rows{model="shidoku"} 0.0') >= 0:
            time.sleep(0.01)
        assert client.get("/ready").status_code == 200
        server.signal(signal.SIGINT)
        until = time.monotonic() + 30
        while client.get("/ready").status_code == 200 and time.monotonic() < until:
            time.sleep(0.005)
        answer = client.post("/v1/tiny", json={})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert client.get("/health").status_code == 200
    assert server.wait() == 0
    waiting.join(60)
    assert waiting.found[0][1] == 200
    assert "requests are finished first" in server.err.read_text()


@pytest.mark.parametrize("how", ["the time is over", "a second signal"])
def test_requests_that_take_too_long_are_told_so(start, how):
    server = start("--grace", "0.3" if how == "the time is over" else "600", slow=0.5)
    found = []

    def ask():
        found.append(httpx.post(server.url + "/v1/tiny", json={"steps": 10}, timeout=60, **PLAIN))

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.3)
    server.signal()
    if how == "a second signal":
        time.sleep(0.2)
        server.signal()
    assert server.wait() == 2
    asking.join(60)
    assert found[0].status_code == 503
    assert found[0].json()["error"]["code"] == "shutting_down"
    assert "ended with requests at hand: --grace" in server.err.read_text()


def test_a_server_at_rest_ends_at_once_and_counts_nothing(start):
    server = start("--grace", "600")
    with httpx.Client(base_url=server.url, **PLAIN) as client:
        assert client.post("/v1/tiny", json={"n": 3}).status_code == 200
        page = client.get("/metrics").text
        for name in ("queue_depth", "open_rows", "open_tokens"):
            assert f'unmask_{name}{{model="shidoku"}} 0.0' in page
        begun = time.monotonic()
        server.signal()
        assert server.wait() == 0
    assert time.monotonic() - begun < 30


def test_a_client_that_goes_away_is_counted_no_more(start):
    server = start(slow=0.05)
    with httpx.Client(base_url=server.url, **PLAIN) as client:
        with pytest.raises(httpx.ReadTimeout):
            client.post("/v1/tiny", json={"n": 20, "steps": 10}, timeout=0.2)
        until = time.monotonic() + 60
        while "unmask_open_requests 1.0" not in client.get("/metrics").text:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert 'unmask_open_rows{model="shidoku"} 0.0' in client.get("/metrics").text


def asking(server, number):
    """Threads that ask for as many batches, and end with the server."""

    def ask():
        with contextlib.suppress(httpx.HTTPError):
            httpx.post(server.url + "/v1/tiny", json={"n": 128}, timeout=600, **PLAIN)

    threads = [threading.Thread(target=ask) for _ in range(number)]
    for each in threads:
        each.start()
    return threads


def test_health_answers_within_a_pass(start):
    """A pass takes longer than all requests to /health, which come to their end within it."""
    server = start(slow=30)
    with httpx.Client(base_url=server.url, timeout=60, **PLAIN) as client:
        threads = asking(server, 1)
        while FULL not in client.get("/metrics").text:
            time.sleep(0.01)
        for _ in range(100):
            assert client.get("/health").status_code == 200
        page = client.get("/metrics").text
        assert FULL in page
        assert 'unmask_step_seconds_count{model="shidoku"} 0.0' in page  # the first has not ended
    server.signal(signal.SIGKILL)
    server.wait()
    threads[0].join(60)


@pytest.mark.slow
@pytest.mark.skipif(
    os.getloadavg()[0] > 1, reason="times of an idle machine: something else is computing here"
)
def test_health_is_quick_while_a_batch_is_computed(start):
    server = start(busy=True, slow=0)
    with httpx.Client(base_url=server.url, timeout=60, **PLAIN) as client:
        threads = asking(server, 40)
        while FULL not in client.get("/metrics").text:
            time.sleep(0.01)
        seconds = []
        for _ in range(200):
            begun = time.monotonic()
            assert client.get("/health").status_code == 200
            seconds.append(time.monotonic() - begun)
            time.sleep(0.01)
        assert FULL in client.get("/metrics").text
    server.signal(signal.SIGKILL)
    server.wait()
    for each in threads:
        each.join(60)
    p99 = sorted(seconds)[int(0.99 * len(seconds))]
    print(f"99 of 100 answers within {1000 * p99:.1f} ms")
    assert p99 < 0.05, sorted(seconds)[-10:]
