"""Logs and streams that cannot be written: lines are dropped, and requests are answered."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from tests.server.live import PLAIN
from tests.server.test_kills import WELL, ask

FULL = Path("/dev/full")
pytestmark = pytest.mark.skipif(not FULL.exists(), reason="a device of Linux")
ROWS = {"ids": [None] * 16, "preset": "random_order", "steps": 16}


def test_a_disk_that_is_full_takes_no_lines_and_stops_nobody(live):
    with contextlib.ExitStack() as stack:
        full = FULL.open("w")
        stack.callback(close_anyway, full)
        server = live(slow=0, log=full)
        for _ in range(3):
            assert ask(server, *WELL).status_code == 200
        server.net.fault = lambda tokens: 1 / 0
        assert ask(server, *WELL).status_code == 500
        server.rests()
        server.drain()
        assert server.log.dropped == 4


def close_anyway(file):
    with contextlib.suppress(OSError):
        file.close()


@contextlib.contextmanager
def unwritable(kind, folder):
    """The streams of a process, of which at least stderr cannot be written."""
    if kind == "closed pipe":
        reading, writing = os.pipe()
        os.close(reading)
        try:
            yield {"stdout": writing, "stderr": writing}
        finally:
            os.close(writing)
        return
    with FULL.open("w") as full, (folder / "out").open("w") as out:
        yield {"stdout": full if kind == "both" else out, "stderr": full}


def wait(process, client):
    """Wait until a server is ready."""
    until = time.monotonic() + 120
    while True:
        assert process.poll() is None
        assert time.monotonic() < until
        with contextlib.suppress(httpx.TransportError):
            if client.get("/ready").status_code == 200:
                return
        time.sleep(0.05)


@pytest.mark.parametrize("kind", ["stderr", "both", "closed pipe"])
def test_a_process_whose_streams_are_full_serves_and_ends_well(kind, tmp_path):
    """All that `unmask serve` says goes nowhere; nothing of that is an error."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    line = [sys.executable, "-m", "unmask", "serve", "shidoku", "--port", str(port)]
    with unwritable(kind, tmp_path) as streams:
        process = subprocess.Popen([*line, "--grace", "60"], **streams)
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=url, timeout=60, **PLAIN) as client:
            wait(process, client)
            assert client.post("/v1/infill", json={**ROWS, "n": 64}).status_code == 200
            assert "unmask_dropped_log_lines 0.0" not in client.get("/metrics").text
            with ThreadPoolExecutor(1) as pool:
                last = pool.submit(client.post, "/v1/infill", json={**ROWS, "n": 128})
                time.sleep(0.05)
                process.send_signal(signal.SIGTERM)
                assert last.result().status_code in (200, 503)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
