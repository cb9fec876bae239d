"""Servers as `unmask serve` runs them, in this process, so that all their counts can be read."""

import contextlib
import io
import json
import socket
import threading
import time

import httpx
import torch

import unmask
from unmask.server.gate import Gate, Phase
from unmask.server.listening import listener
from unmask.server.logs import Log
from unmask.server.operations import Operations
from unmask.server.running import Running
from unmask.server.served import Served
from unmask.server.settings import Settings

PLAIN = {"trust_env": False, "verify": False}  # certificates take half a second to read


class Slow(torch.nn.Module):
    """Logits of a row alone, `slow` seconds a pass, which waits for `go`. threads: of each pass.

    fault: called with the tokens of each pass.
    """

    def __init__(self, vocab_size, slow=0.01, fault=None):
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.nn.Embedding(vocab_size, vocab_size)
        self.slow, self.fault, self.threads = slow, fault, []
        self.go, self.inside = threading.Event(), threading.Event()
        self.go.set()

    def forward(self, tokens):
        self.threads.append(threading.current_thread().name)
        self.inside.set()
        self.go.wait(60)
        time.sleep(self.slow)
        if self.fault is not None:
            self.fault(tokens)
        shown = self.table(tokens)
        return shown.cumsum(1) + shown.flip(1).cumsum(1).flip(1)


class Live:
    """A server of one text model with a slow network, by the name "slow"."""

    def __init__(self, text, *, log=None, sndbuf=None, slow=0.01, fault=None, **named):
        spec = text.denoiser.spec
        self.net = Slow(spec.vocab_size, slow, fault).eval()
        self.settings = Settings(**named)
        self.stream = io.StringIO() if log is None else log
        self.log = Log(self.stream)
        self.operations = Operations(Gate(Phase.LOADING), log=self.log)
        wrapped = unmask.wrap(self.net, mask_id=spec.mask_id, vocab_size=spec.vocab_size)
        model = unmask.TextModel(wrapped, text.encoding, template=text.template)
        meter = self.operations.metrics.meter("slow")
        self.model = Served.of("slow", wrapped, self.settings, text=model, meter=meter)
        sock = listener("127.0.0.1", 0)
        if sndbuf is not None:  # of each connection that it accepts
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
        self.place = sock.getsockname()
        self.url = f"http://127.0.0.1:{self.place[1]}"
        load = {"slow": self.model}.__getitem__
        self.running = Running(["slow"], self.settings, self.operations, sock, load)
        self.running.start()
        assert self.running.news.get(timeout=60) is None
        self.whole, self.connections = None, []

    def drain(self):
        """End the server; whether all requests were finished."""
        if self.whole is None:
            self.net.go.set()
            self.whole = self.running.drain()
            self.log.close()
        for each in self.connections:
            each.close()
        return self.whole

    def client(self, **named):
        return httpx.Client(base_url=self.url, timeout=60, **PLAIN, **named)

    def raw(self, path, body, buffer=None):
        """A connection on which this was asked, and nothing is read."""
        found = socket.socket()
        self.connections.append(found)
        if buffer is not None:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        found.connect(self.place)
        data = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        found.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        return found

    def lines(self):
        """The lines of the log about requests to /v1."""
        self.log.close(10)
        every = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [line for line in every if line.get("endpoint", "").startswith("/v1")]

    def figures(self):
        """The samples of the metrics."""
        page = self.operations.metrics.text.decode()
        lines = [line for line in page.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    def counts(self):
        """What must be 0 as long as nobody asks for anything."""
        worker, house = self.model.worker, self.running.app.state.house
        return {
            "load": (worker.load.waiting, worker.load.begun, worker.load.rows, worker.load.tokens),
            "tickets": len(worker._tickets),
            "rows": len(worker._engine.unfinished),
            "inbox": len(worker._inbox),
            "gate": self.operations.gate.open,
            "turn": worker.turns._held,
            "turns": len(worker.turns._waiting),
            "threads": sum(
                each.borrowed_tokens for each in (house._computing, house._telling, house._passing)
            ),
            "open": self.figures()["unmask_open_requests"],
        }

    def rests(self, seconds=30):
        """Wait until all counts are 0."""
        until = time.monotonic() + seconds
        while any(any(v) if isinstance(v, tuple) else v for v in self.counts().values()):
            assert time.monotonic() < until, self.counts()
            time.sleep(0.005)

    def until(self, ready, seconds=30):
        """Wait until something is so."""
        end = time.monotonic() + seconds
        while not ready():
            assert time.monotonic() < end, self.counts()
            time.sleep(0.002)


@contextlib.contextmanager
def lives():
    """A function that makes servers, which end with the block, at rest."""
    made = []

    def make(*given, **named):
        made.append(Live(*given, **named))
        return made[-1]

    try:
        yield make
    finally:
        for each in made:
            each.drain()
    for each in made:
        assert each.counts()["load"] == (0, 0, 0, 0)
        assert not each.running._thread.is_alive()
