"""A server that is busy, late or closing, and how many requests it takes at once."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import torch
from tests.server.conftest import served, serving

import unmask
from unmask.server.settings import Settings

BODY = {"prompt": "a", "max_tokens": 4, "preset": "random_order", "steps": 4, "seed": 1}


class Held(torch.nn.Module):
    """Waits in each pass until it may go on, and keeps the rows of each."""

    def __init__(self, vocab_size):
        super().__init__()
        self.vocab_size, self.rows = vocab_size, []
        self.inside, self.go = threading.Event(), threading.Event()

    def forward(self, tokens):
        self.rows.append(len(tokens))
        self.inside.set()
        self.go.wait(30)
        return torch.zeros(*tokens.shape, self.vocab_size)


@pytest.fixture
def held(texts):
    """A server whose network waits: make(settings) gives its address, network and model."""
    opened = []

    def make(settings):
        text = texts["bytes"]
        spec = text.denoiser.spec
        net = Held(spec.vocab_size).eval()
        wrapped = unmask.wrap(net, mask_id=spec.mask_id, vocab_size=spec.vocab_size)
        model = served("held", unmask.TextModel(wrapped, text.encoding), settings)
        server = serving([model], settings)
        opened.append((net, server))
        return server.__enter__(), net, model

    yield make
    for net, server in opened:
        net.go.set()
        server.__exit__(None, None, None)


def ask(address, **body):
    return httpx.post(f"{address}/v1/completions", json={**BODY, **body}, timeout=60)


def test_requests_share_passes(held):
    """More than one request runs at once, without any setting."""
    address, net, model = held(Settings())
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(ask, address)
        assert net.inside.wait(30)
        rest = [pool.submit(ask, address, seed=seed) for seed in range(2, 6)]
        while model.worker.load.waiting < 4:
            time.sleep(0.005)
        net.go.set()
        assert [each.result().status_code for each in (first, *rest)] == [200] * 5
    assert max(net.rows) == 5


def test_a_full_queue_and_a_closing_server(held):
    address, net, model = held(Settings(max_rows=1, max_queue=1))
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(ask, address)
        assert net.inside.wait(30)
        second = pool.submit(ask, address)
        while not model.worker.load.waiting:
            time.sleep(0.005)
        for stream in (False, True):
            full = ask(address, stream=stream)
            assert full.status_code == 429
            assert full.headers["retry-after"] == "1"
            assert full.json()["error"]["code"] == "queue_full"
        closing = pool.submit(model.worker.close, 30)
        while not model.worker._closing:
            time.sleep(0.005)
        late = ask(address)
        assert late.status_code == 503
        assert late.json()["error"]["code"] == "shutting_down"
        net.go.set()
        assert [first.result().status_code, second.result().status_code] == [200, 200]
        assert closing.result()


def test_a_request_that_is_late(held):
    address, net, _ = held(Settings(timeout=0.3))
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(ask, address)
        assert net.inside.wait(30)
        time.sleep(0.4)
        net.go.set()
        assert found.result().status_code == 408
        assert found.result().json()["error"]["type"] == "timeout_error"


def test_values_that_json_cannot_write_are_told_as_the_least():
    from unmask.server.answers import finite

    assert [finite(x) for x in (float("-inf"), float("nan"), -1.5)] == [-9999.0, -9999.0, -1.5]
