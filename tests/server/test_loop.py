"""The event loop computes nothing, so that it answers while others compute. Counted, not timed."""

import asyncio
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.server.reading import events
from tests.server.test_kills import ASKED

LOOP = "unmask-http"
COMPUTING = ("unmask.", "torch", "numpy", "tokenizers", "transformers")
# Of a few instructions each: errors and their messages, checks of fields, and hooks of imports.
QUICK = {
    "unmask.errors", "unmask.core.checks", "unmask.core.inference", "unmask.core.random",
    "unmask.presets.by_name", "torch.package.package_importer", "transformers",
    "transformers.utils.import_utils",
}  # fmt: skip
# What reads a request and what makes an answer, on threads of their own.
MAKING = {
    f"unmask.server.{name}"
    for name in ("asking", "echoing", "infilling", "infill_answers", "measuring", "rendering",
                 "stretches", "text_answers")
}  # fmt: skip
MAKES = {"_reply", "_begun", "_answer", "_made"}
SMALL = {"unmask.server.bodies"}  # which computes there for small bodies alone


@pytest.fixture
def called():
    """The functions that the event loop's thread calls: (module, name, module of the caller)."""
    found = set()

    def watch(frame, event, _):
        if threading.current_thread().name != LOOP:
            sys.setprofile(None)
        elif event == "call":
            back = frame.f_back
            who = "" if back is None else back.f_globals.get("__name__", "")
            found.add((frame.f_globals.get("__name__", ""), frame.f_code.co_name, who))

    threading.setprofile(watch)
    yield found
    threading.setprofile(None)


def is_computing(module, _, caller):
    mine = module.startswith(COMPUTING) and not module.startswith("unmask.server")
    return mine and module not in QUICK and caller not in SMALL


def test_the_event_loop_calls_nothing_that_computes(called, live):
    server = live(slow=0)
    with server.client() as client:
        for path, body in ASKED.values():
            assert client.post(path, json=body).status_code == 200
            if path != "/v1/score":
                streamed = {**body, "stream": True, "stream_mode": "denoise"}
                with client.stream("POST", path, json=streamed) as found:
                    assert events(found)[-1] == (None, None)
        text = {**ASKED["completions"][1], "stream": True, "response_format": {"type": "text"}}
        for mode in ({}, {"diffusing": True}, {"regex": "[ab]{24}"}):
            with client.stream("POST", "/v1/completions", json={**text, **mode}) as found:
                assert events(found)[-1] == (None, None)
    assert ("unmask.server.events", "_events") in {each[:2] for each in called}  # it is watched
    assert {each for each in called if is_computing(*each)} == set()
    assert {module for module, *_ in called} & MAKING == set()
    assert not {name for module, name, _ in called if module.startswith("unmask.server")} & MAKES


def test_every_pass_is_on_a_thread_of_its_own(live):
    server = live(slow=0)
    with server.client() as client:
        for path, body in ASKED.values():
            assert client.post(path, json=body).status_code == 200
    assert {*server.net.threads} == {"unmask-slow", "AnyIO worker thread"}


def test_the_event_loop_goes_round_within_each_pass(live):
    """Rounds of the loop are counted while a pass holds all that computes."""
    server = live(slow=0, max_rows=4)
    server.net.go.clear()
    rounds = []

    async def count():
        while True:
            rounds.append(time.monotonic())
            await asyncio.sleep(0.001)

    @server.running.app.get("/count")
    async def start():
        task = asyncio.get_running_loop().create_task(count())
        server.running.app.state.counting = task
        return {}

    @server.running.app.get("/stop")
    async def stop():
        server.running.app.state.counting.cancel()
        return {}

    with server.client() as client, ThreadPoolExecutor(16) as pool:
        assert client.get("/count").status_code == 200
        asked = [pool.submit(client.post, path, json=body) for path, body in [*ASKED.values()] * 2]
        assert server.net.inside.wait(30)
        before = len(rounds)
        server.until(lambda: len(rounds) > before + 200)  # within one pass
        for _ in range(20):
            assert client.get("/health").status_code == 200
        assert len(server.net.threads) == 1
        server.net.go.set()
        assert {each.result().status_code for each in asked} == {200}
        assert client.get("/stop").status_code == 200
    server.rests()


def test_streams_go_on_while_requests_that_are_slow_to_read_have_all_threads(live):
    """Reading requests and making events have threads of their own."""
    server = live(slow=0.001)
    house, go = server.running.app.state.house, threading.Event()

    async def busy():
        await asyncio.gather(*(house.compute(go.wait, 60) for _ in range(20)))
        return {}

    server.running.app.get("/busy")(busy)
    path, body = ASKED["completions"]
    with server.client() as client, ThreadPoolExecutor(1) as pool:
        server.net.go.clear()
        with client.stream("POST", path, json={**body, "stream": True}) as found:
            assert server.net.inside.wait(30)
            waiting = pool.submit(client.get, "/busy")
            server.until(lambda: house._computing.borrowed_tokens == 8)
            server.net.go.set()
            assert events(found)[-1] == (None, None)
            assert house._computing.borrowed_tokens == 8
        go.set()
        assert waiting.result().status_code == 200
