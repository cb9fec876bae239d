"""Passes beside the worker end where nobody waits for what they are about."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

MANY = "a" * 200
PASSES = {
    "bound": ("/v1/score", {"text": MANY, "samples": 16_000}),
    "ordered": ("/v1/score", {"text": MANY, "by": "ordered"}),
    "pseudo": ("/v1/score", {"ids": [70] * 512, "by": "pseudo"}),
    "echo": ("/v1/completions", {"prompt": MANY, "echo": True, "logprobs": 2, "max_tokens": 1}),
    "suffix": ("/v1/completions", {"prompt": "a", "suffix": "b", "max_tokens": 200}),
    "fim": ("/v1/fim/completions", {"prompt": "a", "suffix": "b", "max_tokens": 200}),
}
ALL = {"pseudo": 8}  # passes, of many rows; of the others 100 and more


def most(way):
    """Passes that are too many for a request that ends early."""
    return min(40, ALL.get(way, 100))


each_way = pytest.mark.parametrize("way", PASSES)


@each_way
def test_a_client_that_goes_away_ends_its_passes(live, way):
    server = live(slow=0.1 if way in ALL else 0.02)
    path, body = PASSES[way]
    connection = server.raw(path, body)
    server.until(lambda: len(server.net.threads) > 1)
    assert server.counts()["threads"] == 1
    connection.close()
    server.rests()
    passes = len(server.net.threads)
    assert passes < most(way)
    time.sleep(0.1)
    assert len(server.net.threads) == passes
    server.drain()
    [line] = server.lines()
    assert (line["status"], line["outcome"], line["model"]) == (499, "disconnected", "slow")


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_ends_its_rows(live, stream):
    server = live(slow=0.02)
    body = {"prompt": "a", "max_tokens": 200, "preset": "random_order", "steps": 200}
    connection = server.raw("/v1/completions", {**body, "stream": stream})
    server.until(lambda: len(server.net.threads) > 1)
    connection.close()
    server.rests()
    assert len(server.net.threads) < 100


@each_way
def test_passes_end_with_the_time_of_their_request(live, way):
    server = live(slow=0.1 if way in ALL else 0.02, timeout=0.3)
    path, body = PASSES[way]
    with server.client() as client:
        answer = client.post(path, json=body)
    assert answer.status_code == 408
    message = "the request was not finished in time"
    assert answer.json()["error"] == {
        "message": message, "type": "timeout_error", "param": None, "code": "timeout",
    }  # fmt: skip
    server.rests()
    assert len(server.net.threads) < most(way)
    server.drain()
    assert [line["outcome"] for line in server.lines()] == ["timeout"]


def test_the_time_of_passes_is_that_of_their_request(live):
    """The rows behind an echo have what is left of it."""
    server = live(slow=0, timeout=4.0)
    body = {"prompt": "a" * 8, "echo": True, "logprobs": 0, "max_tokens": 8}
    body |= {"preset": "random_order", "steps": 8}
    with server.client() as client:
        assert client.post("/v1/completions", json=body).status_code == 200
        assert len(server.net.threads) == 16
        first = {17, 25}  # of each half, neither of which takes too long alone
        server.net.fault = lambda _: len(server.net.threads) in first and time.sleep(2.5)
        assert client.post("/v1/completions", json=body).status_code == 408


@pytest.mark.parametrize("way", ["bound", "echo"])
def test_passes_end_with_the_server(live, way):
    server = live(slow=0.02, grace=0.2)
    path, body = PASSES[way]
    with server.client() as client, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.post, path, json=body)
        server.until(lambda: len(server.net.threads) > 1)
        begun = time.monotonic()
        assert not server.drain()
        assert time.monotonic() - begun < 5
        assert asked.result().status_code == 503
        assert asked.result().json()["error"]["code"] == "shutting_down"


def test_passes_at_hand_are_finished_within_the_grace_time(live):
    server = live(slow=0.01, grace=60)
    with server.client() as client, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.post, "/v1/score", json={"text": "a" * 30, "by": "ordered"})
        server.until(lambda: len(server.net.threads) > 1)
        assert server.drain()
        assert asked.result().status_code == 200


def test_who_waits_for_a_thread_leaves_at_once_and_too_many_are_refused(live):
    server = live(max_queue=2)
    server.net.go.clear()
    path, body = PASSES["bound"]
    passing = server.running.app.state.house._passing
    asked = [server.raw(path, body) for _ in range(4)]
    server.until(lambda: passing.borrowed_tokens == 4)
    assert server.net.inside.wait(30)
    asked += [server.raw(path, body) for _ in range(2)]
    server.until(lambda: passing.statistics().tasks_waiting == 2)
    with server.client() as client:
        answer = client.post(path, json=body)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert answer.json()["error"]["code"] == "queue_full"
    for each in asked[4:]:
        each.close()
    server.until(lambda: passing.statistics().tasks_waiting == 0)
    for each in asked[:4]:
        each.close()
    server.until(lambda: server.operations.gate.open == 4)
    time.sleep(0.1)  # for all four to be known as gone
    server.net.go.set()
    server.rests()
    assert len(server.net.threads) == 1


def test_passes_of_others_go_on(live):
    server = live(slow=0.005)
    path, body = PASSES["ordered"]
    with server.client() as client:
        right = client.post(path, json=body).json()
        with ThreadPoolExecutor(3) as pool:
            asked = [pool.submit(client.post, path, json=body) for _ in range(3)]
            server.raw(path, body).close()
            for each in asked:
                assert each.result().json()["nats"] == right["nats"]
    server.rests()


@pytest.mark.parametrize("stream", [False, True])
def test_the_time_is_over_though_the_network_does_not_answer(live, stream):
    server = live(timeout=0.3)
    server.net.go.clear()
    with server.client() as client:
        body = {"prompt": "a", "max_tokens": 4, "stream": stream}
        answer = client.post("/v1/completions", json=body)
        told = answer.text if stream else answer.json()["error"]["message"]
        assert "the request was not finished in time" in told
        assert answer.status_code == (200 if stream else 408)
        assert server.net.inside.is_set()
        assert server.counts()["load"][2] == 1
    server.net.go.set()
    server.rests()
    server.drain()
    assert [line["outcome"] for line in server.lines()] == ["timeout"]


def test_a_worker_whose_network_does_not_answer_holds_up_no_end(live, monkeypatch):
    monkeypatch.setattr("unmask.server.worker.PATIENCE", 0.2)
    server = live(grace=0.1)
    server.net.go.clear()
    server.raw("/v1/completions", {"prompt": "a"})
    assert server.net.inside.wait(30)
    threading.Timer(3, server.net.go.set).start()
    begun = time.monotonic()
    server.model.worker.close()
    assert time.monotonic() - begun < 2
