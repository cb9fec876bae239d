"""Clients that do not read: they hold nobody up, take little memory, and do not stay for ever."""

import asyncio
import contextlib
import json
import random
import re
import socket
import threading
import time

import numpy as np
import pytest
from tests.server.reading import events

from unmask.server import posting
from unmask.server.job import Step
from unmask.server.likeliest import Likeliest
from unmask.server.mailbox import Mailbox
from unmask.server.posting import Ended, PostingJob

SMALL = 4096  # bytes that the system buffers, at each end
LONG = {"prompt": "a", "max_tokens": 60, "preset": "random_order", "steps": 60, "seed": 1, "n": 8}
MODES = {
    "text": {"stream": True, "logprobs": 5},
    "snapshots": {"stream": True, "diffusing": True},
    "steps": {"stream": True, "stream_mode": "denoise"},
    "whole": {"return_record": True, "logprobs": 20},
}


def body(mode):
    return {**LONG, **MODES[mode]}


def gone(connection, found=b""):
    """Read on; whether the other end has cut the connection before the answer was whole."""
    connection.settimeout(10)
    try:
        while data := connection.recv(65536):
            found += data
    except ConnectionError:
        return True
    head, _, rest = found.partition(b"\r\n\r\n")
    told = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    return len(rest) < int(told[1]) if told else not found.endswith(b"0\r\n\r\n")


def slowly(connection, size, seconds):
    """Read so many bytes at a time, for a while or to the end."""
    found = connection.recv(size)
    until = time.monotonic() + seconds
    while time.monotonic() < until and (data := connection.recv(size)):
        found += data
        time.sleep(0.02)
    return found


@pytest.mark.parametrize("mode", MODES)
def test_who_reads_nothing_is_cut_off(live, mode):
    server = live(slow=0, stall=0.5, sndbuf=SMALL)
    connection = server.raw("/v1/completions", body(mode), SMALL)
    server.until(lambda: server.net.threads)
    server.until(lambda: not server.model.worker.load.begun)  # though nothing was read
    with server.client() as client:  # others are answered meanwhile
        assert client.post("/v1/completions", json={"prompt": "a"}).status_code == 200
    server.rests()
    server.until(lambda: not server.running._uvicorn.server_state.connections)
    assert gone(connection)
    server.drain()
    found = [line["outcome"] for line in server.lines()]
    # A whole answer is out of hand once it is made.
    assert sorted(found) == sorted(["ok", "ok" if mode == "whole" else "disconnected"])


@pytest.mark.parametrize("mode", ["steps", "whole"])
def test_who_reads_slowly_gets_everything(live, mode):
    """In longer than the stall in all, of which some is taken meanwhile."""
    server = live(slow=0, stall=1.0, sndbuf=SMALL)
    connection = server.raw("/v1/completions", body(mode), SMALL)
    found = slowly(connection, 2048, 2.5)
    assert len(found) < 300_000  # not all of it
    assert not gone(connection, found)
    server.rests()


def test_a_stream_ends_though_something_is_read_now_and_then(live):
    """A trickle is progress, but the time of the request is the end."""
    server = live(slow=0, stall=1.5, timeout=2.5, sndbuf=SMALL)
    connection = server.raw("/v1/completions", {**body("steps"), "n": 30}, SMALL)
    connection.settimeout(10)
    with contextlib.suppress(ConnectionError):
        assert b"[DONE]" not in slowly(connection, 600, 60)
    server.rests()
    server.drain()
    assert [line["status"] for line in server.lines()] == [408]


def test_many_that_read_nothing_hold_nobody_up(live):
    server = live(slow=0, stall=2.0, sndbuf=SMALL, max_rows=16)
    with server.client() as client:
        alone = client.post("/v1/completions", json={**LONG, "n": 1}).json()["choices"]
        idle = [server.raw("/v1/completions", body("steps"), SMALL) for _ in range(12)]
        for _ in range(3):
            assert client.post("/v1/completions", json={**LONG, "n": 1}).json()["choices"] == alone
            with client.stream("POST", "/v1/completions", json=body("text")) as found:
                assert events(found)[-1] == (None, None)
    server.rests()
    assert all(map(gone, idle))


def step(number, at, length, masked, rng=random):
    """A step of a row in which anything may have changed."""
    return Step(
        number=number, step=at, forwards=at,
        tokens=np.array([rng.randrange(9) for _ in range(length)]),
        masked=masked, logprob=np.zeros(length, np.float32),
        committed=np.array([], int), remasked=np.array([], int), edited=np.array([], int),
        alternatives={}, drafted=[None] * length, finished=False,
    )  # fmt: skip


def history(rng, length=12, steps=40):
    """Steps of a row with all kinds of changes, as an engine tells them."""
    masked, tokens = np.ones(length, bool), np.zeros(length, int)
    for at in range(1, steps):
        before, old = masked.copy(), tokens.copy()
        for place in range(length):
            if rng.random() < 0.3:
                masked[place] = rng.random() < 0.4
                tokens[place] = rng.randrange(9)
        committed = np.flatnonzero(before & ~masked)
        edited = np.flatnonzero(~before & ~masked & (old != tokens))
        told = {int(p): [(int(tokens[p]), -1.0), (at, -2.0)] for p in (*committed, *edited)}
        yield Step(
            number=rng.randrange(1), step=at, forwards=at, tokens=tokens.copy(),
            masked=masked.copy(), logprob=np.zeros(length, np.float32), committed=committed,
            remasked=np.flatnonzero(~before & masked), edited=edited, alternatives=told,
            drafted=[None] * length, finished=at == steps - 1,
        )  # fmt: skip


@pytest.mark.parametrize("seed", range(10))
def test_joined_steps_leave_what_single_ones_do(seed):
    rng = random.Random(seed)
    single, joined, waiting = Likeliest(2), Likeliest(2), None
    before = np.ones(12, bool)
    for each in history(rng):
        single.take(each)
        waiting = each if waiting is None else each.behind(waiting)
        if rng.random() < 0.3 or each.finished:
            joined.take(waiting)
            assert waiting.step == each.step
            assert not waiting.masked[waiting.committed].any()
            assert waiting.masked[waiting.remasked].all()
            new = np.flatnonzero(before & ~waiting.masked)
            assert {*new.tolist()} <= {*waiting.committed.tolist()}
            before, waiting = waiting.masked, None
    assert dict(joined.of(0)) == dict(single.of(0))


def test_a_mailbox_that_is_not_read_stays_small(monkeypatch):
    """However many steps come, no more wait than a limit, and one of each row."""
    monkeypatch.setattr(posting, "WAITING", 1000)

    class Rows:
        lengths = (10, 10, 10)

    async def run():
        job = PostingJob(Rows(), watched=True)
        masked = np.zeros(10, bool)
        for at in range(10_000):
            job.step(step(at % 3, at, 10, masked))
            assert len(job.mail) <= 100 + 3
        job.end(None)
        return await job.mail.take()

    *steps, end = asyncio.run(run())
    assert end == Ended(None)
    assert [each.step for each in steps[:97]] == list(range(97))
    last = {each.number: each.step for each in steps}
    assert sorted(last.values()) == [9997, 9998, 9999]
    for number in range(3):  # in their order, of each row
        mine = [each.step for each in steps if each.number == number]
        assert mine == sorted(mine)


def test_joined_steps_draw_the_same_row(live, monkeypatch):
    """The rows of a stream whose reader is far behind."""
    server, take = live(slow=0.002), Mailbox.take
    asked = {**LONG, "n": 3, "logprobs": 3}
    with server.client() as client:
        direct = client.post("/v1/completions", json=asked).json()

        async def late(self):
            await asyncio.sleep(0.05)
            return await take(self)

        monkeypatch.setattr(posting, "WAITING", 0)
        monkeypatch.setattr(Mailbox, "take", late)
        with client.stream("POST", "/v1/completions", json={**asked, **MODES["steps"]}) as found:
            start, *steps, end = [data for _, data in events(found)[:-1]]
        with client.stream("POST", "/v1/completions", json={**asked, **MODES["text"]}) as found:
            chunks = [chunk for _, data in events(found)[:-1] for chunk in data["choices"]]
    assert len(steps) < 3 * 60
    rows = {row["index"]: list(row["tokens"]) for row in start["rows"]}
    for each in steps:
        row = rows[each["index"]]
        for place, token in zip(each["positions"], each["tokens"], strict=True):
            row[place] = token
    assert all(None not in row for row in rows.values())
    assert end["response"]["choices"] == direct["choices"]
    for index, choice in enumerate(direct["choices"]):
        mine = "".join(chunk["text"] for chunk in chunks if chunk["index"] == index)
        assert mine == choice["text"]


def test_mail_is_taken_once_and_whole_from_any_thread():
    """Items of several threads, read while they come: none is lost, and each thread's in order."""

    async def run():
        mail = Mailbox()

        def post(name):
            for i in range(2000):
                mail.put((name, i))
                time.sleep(0.0005 * (i % 50 == 0))

        threads = [threading.Thread(target=post, args=(name,)) for name in range(4)]
        for each in threads:
            each.start()
        found = []
        while len(found) < 8000:
            taken = await asyncio.wait_for(mail.take(), 30)
            assert taken
            found += taken
        return found

    found = asyncio.run(run())
    for name in range(4):
        assert [i for n, i in found if n == name] == list(range(2000))


def test_a_mailbox_of_a_loop_that_is_over_takes_mail():
    async def make():
        return Mailbox()

    mail = asyncio.run(make())
    mail.put(1)
    assert len(mail) == 1


def test_a_connection_is_as_usual_for_who_reads(live):
    server = live(slow=0, stall=0.2)
    with server.client() as client:
        for _ in range(2):  # over one connection, idle for longer than the stall
            found = client.post("/v1/completions", json=LONG)
            assert found.status_code == 200
            assert json.loads(found.content)["choices"]
            time.sleep(0.4)
    with socket.create_connection(server.place) as idle:  # has asked for nothing
        time.sleep(0.4)
        idle.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert b"200 OK" in idle.recv(4096)
