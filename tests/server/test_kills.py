"""Clients that are killed, networks that fail, full disks: the server goes on, at rest."""

import contextlib
import gc
import random
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

TEXT = {"max_tokens": 24, "preset": "random_order", "steps": 24, "seed": 3}
TALK = {**TEXT, "messages": [{"role": "user", "content": "hi"}]}
ASKED = {
    "chat": ("/v1/chat/completions", {**TALK, "n": 2}),
    "completions": ("/v1/completions", {**TEXT, "prompt": ["a", "bc"], "logprobs": 2}),
    "echo": ("/v1/completions", {**TEXT, "prompt": "a" * 20, "echo": True, "logprobs": 1}),
    "suffix": ("/v1/completions", {**TEXT, "prompt": "a", "suffix": "b"}),
    "infill": ("/v1/infill", {"segments": [{"mask": 20}], **TEXT, "n": 3}),
    "score": ("/v1/score", {"text": "the cat sat on the mat", "by": "ordered"}),
}
ASKED["infill"][1].pop("max_tokens")
MODES = ({}, {"stream": True}, {"stream": True, "diffusing": True}, {"stream_mode": "denoise"})
WELL = ("/v1/completions", {**TEXT, "prompt": "well"})
OFTEN = pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(900)])


def asked(draw):
    """A random request: its path and its body."""
    path, body = ASKED[draw.choice(list(ASKED))]
    mode = draw.choice(MODES)
    if path.endswith("score"):
        return path, body
    if "stream_mode" in mode or (mode and path.endswith("infill")):
        mode = {"stream": True, "stream_mode": "denoise"}
    return path, {**body, **mode}


def kill(server, draw):
    """Ask for something, read a while, and close the connection, by a reset half of the time."""
    path, body = asked(draw)
    connection = server.raw(path, body)
    if draw.random() < 0.5:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until = time.monotonic() + draw.random() * 0.4
    while (left := until - time.monotonic()) > 0:
        connection.settimeout(left)
        with contextlib.suppress(TimeoutError):
            if not connection.recv(1 << 16):
                break
    connection.close()


@pytest.mark.parametrize("times", [24, OFTEN])
def test_nothing_is_left_of_clients_that_are_killed(live, times):
    server = live(slow=0.005, max_rows=8)
    with server.client() as client:
        right = client.post(WELL[0], json=WELL[1]).json()["choices"]
        server.rests()
        threads = threading.active_count()
        draws = [random.Random(1000 * times + i) for i in range(times)]
        with ThreadPoolExecutor(8) as pool:
            kills = [pool.submit(kill, server, draw) for draw in draws]
            while not all(each.done() for each in kills):  # others are answered, and alike
                assert client.post(WELL[0], json=WELL[1]).json()["choices"] == right
            for each in kills:
                each.result()
        server.rests()
        assert client.post(WELL[0], json=WELL[1]).json()["choices"] == right
        page = client.get("/metrics").text
    server.until(lambda: not server.running._uvicorn.server_state.connections)
    server.until(lambda: not server.running._uvicorn.server_state.tasks)
    assert threading.active_count() <= threads + 24  # of the three pools, which stay a while
    for name in ("queue_depth", "open_rows", "open_tokens"):
        assert f'unmask_{name}{{model="slow"}} 0.0' in page
    server.drain()
    lines = server.lines()
    outcomes = [line["outcome"] for line in lines]
    assert {*outcomes} <= {"ok", "disconnected"}
    assert outcomes.count("disconnected") >= times // 3
    assert not [line for line in server.stream.getvalue().splitlines() if '"error"' in line]


def ask(server, path, body):
    with server.client() as client:
        return client.post(path, json=body)


def together(server, draws, number=12):
    """Ask for many things at once; the answers."""
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(lambda draw: ask(server, *asked(draw)), draws))


@pytest.mark.filterwarnings("ignore::unmask.errors.SplitWarning")
def test_memory_that_runs_out_now_and_then_ends_nothing(live):
    """With several rows in a pass; they go on in halves."""
    server, draw = live(slow=0.002, max_rows=16), random.Random(5)

    def fault(tokens):
        if len(tokens) > 1 and draw.random() < 0.2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with server.client() as client:
        right = client.post(WELL[0], json=WELL[1]).json()["choices"]
    server.net.fault = fault
    draws = [random.Random(i) for i in range(12)]
    answers = together(server, draws)
    beside = [a for a in answers if a.status_code != 200]
    # Passes beside the worker (of score, echo, suffix) are not taken in halves.
    assert all(a.json()["error"]["code"] == "out_of_memory" for a in beside)
    server.net.fault = None
    with server.client() as client:
        assert client.post(WELL[0], json=WELL[1]).json()["choices"] == right
    server.rests()


@pytest.mark.filterwarnings("ignore::unmask.errors.SplitWarning")
@pytest.mark.parametrize("kind", [*ASKED, "stream"])
def test_memory_that_runs_out_for_one_row_is_told(live, kind):
    server = live(slow=0)
    path, body = ASKED.get(kind, ASKED["completions"])

    def fault(tokens):
        raise torch.OutOfMemoryError("CUDA out of memory")

    server.net.fault = fault
    answer = ask(server, path, {**body, "stream": True} if kind == "stream" else body)
    assert answer.status_code == (200 if kind == "stream" else 503)
    assert "out_of_memory" in answer.text
    server.net.fault = None
    server.rests()
    assert ask(server, path, body).status_code == 200
    server.rests()
    server.drain()
    assert [line["outcome"] for line in server.lines()] == ["unavailable", "ok"]


@pytest.mark.parametrize("error", [RuntimeError, ValueError, AssertionError, KeyError])
def test_errors_of_the_network_end_requests_and_nothing_else(live, error):
    server, draw = live(slow=0.002), random.Random(6)

    def fault(tokens):
        if draw.random() < 0.15:
            raise error("injected")

    with server.client() as client:
        right = client.post(WELL[0], json=WELL[1]).json()["choices"]
    server.net.fault = fault
    answers = together(server, [random.Random(i) for i in range(16)])
    assert {a.status_code for a in answers} <= {200, 500}
    assert any("injected" in a.text for a in answers)
    server.net.fault = None
    with server.client() as client:
        assert client.post(WELL[0], json=WELL[1]).json()["choices"] == right
        assert client.get("/ready").status_code == 200
    server.rests()


@pytest.mark.parametrize("method", ["step", "adopt", "cancel", "release"])
def test_errors_of_the_worker_itself_end_requests_and_nothing_else(live, method, monkeypatch):
    """The engine fails at random, in whatever it is asked."""
    from unmask.engine import Engine

    server, draw = live(slow=0.002), random.Random(7)
    with server.client() as client:
        right = client.post(WELL[0], json=WELL[1]).json()["choices"]
    original, injected = getattr(Engine, method), []

    def failing(self, *given, **named):
        if threading.current_thread().name == "unmask-slow" and draw.random() < 0.2:
            injected.append(1)
            raise RuntimeError("injected")
        return original(self, *given, **named)

    monkeypatch.setattr(Engine, method, failing)
    answers = together(server, [random.Random(i) for i in range(12)])
    for seed in range(4):
        kill(server, random.Random(seed))
    assert {a.status_code for a in answers} <= {200, 500}
    monkeypatch.undo()
    server.rests()
    assert injected or method == "release"  # which only jobs that share a failing step need
    with server.client() as client:
        assert client.post(WELL[0], json=WELL[1]).json()["choices"] == right
        assert client.get("/ready").status_code == 200
    server.rests()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_server_without_a_worker_is_not_ready(live):
    server = live(slow=0)

    def fault(tokens):
        raise SystemExit

    server.net.fault = fault
    answer = ask(server, *WELL)
    assert answer.status_code == 503
    server.model.worker._thread.join(30)
    with server.client() as client:
        answer = client.get("/ready")
        assert (answer.status_code, answer.json()) == (503, {"status": "no worker: slow"})
        assert client.get("/health").status_code == 200


def test_memory_of_requests_is_given_back(live):
    """No job, reply or record of a request outlives it, whatever became of it."""
    from unmask.core.generation import Generation
    from unmask.server.posting import PostingJob
    from unmask.server.text_answers import TextReply

    server = live(slow=0.002)

    def kept():
        gc.collect()
        kinds = (PostingJob, TextReply, Generation)
        return sum(issubclass(type(each), kinds) for each in gc.get_objects())

    before = kept()
    for seed in range(6):
        kill(server, random.Random(seed))
    together(server, [random.Random(i) for i in range(6)], 3)
    server.net.fault = lambda tokens: 1 / 0
    together(server, [random.Random(i) for i in range(3)], 3)
    server.net.fault = None
    ask(server, *WELL)
    server.rests()
    assert kept() <= before + 3  # those of the last, which threads have in hand
