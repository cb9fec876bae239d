"""A running server: uvicorn on one thread, models loaded on another, and its end."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from socket import socket

from unmask.errors import UnmaskError
from unmask.server.operations import Operations
from unmask.server.served import Served
from unmask.server.settings import Settings

LAST = 5
"""Seconds for answers that say that the server has ended, and for slow readers."""
LOOK = 0.02
"""Seconds between looks at the number of requests at hand."""
SWITCH = 0.0005
"""Seconds after which a thread that computes in Python lets another one go on, such as the loop."""

Open = Callable[[str], Served]


class Running:
    """A server of some models. Use `news`, then `drain`, from one thread.

    news: None once all models are loaded, the error if one cannot be or if the server failed, or
    the number of a signal (`put` it there; that is allowed in a handler of signals).
    """

    def __init__(
        self,
        names: Sequence[str],
        settings: Settings,
        operations: Operations,
        sock: socket,
        load: Open | None = None,
    ):
        import uvicorn

        from unmask.server.app import create_app
        from unmask.server.connections import Connection

        self.names, self.settings, self.operations = names, settings, operations
        self.news: SimpleQueue[int | Exception | None] = SimpleQueue()
        self.app = create_app([], settings, operations)
        self._load = load or self._opened
        config = uvicorn.Config(
            self.app,
            log_config=None,
            access_log=False,
            server_header=False,
            http=partial(Connection, stall=settings.stall),  # type: ignore[arg-type]  # called alone
            ws="none",
            timeout_graceful_shutdown=LAST,
        )
        self._uvicorn = uvicorn.Server(config)
        self._sock = sock
        self._switch = sys.getswitchinterval()
        self._thread = threading.Thread(target=self._serve, name="unmask-http", daemon=True)
        self._loader = threading.Thread(target=self._fill, name="unmask-load", daemon=True)

    @property
    def models(self) -> dict[str, Served]:
        """The models that are loaded, by name."""
        found: dict[str, Served] = self.app.state.house.models
        return found

    def start(self) -> None:
        """Answer requests from now, and load the models."""
        sys.setswitchinterval(SWITCH)
        self._thread.start()
        self._loader.start()

    def drain(self) -> bool:
        """End: take no more requests, finish those at hand within the grace time, or a signal.

        Returns whether all of them were finished.
        """
        gate, until = self.operations.gate, time.monotonic() + self.settings.grace
        gate.drain()
        while gate.open and time.monotonic() < until and self._thread.is_alive():
            try:
                news = self.news.get(timeout=LOOK)
            except Empty:
                continue
            if isinstance(news, int):
                break
        whole = gate.open == 0
        for each in list(self.models.values()):
            each.worker.close()
        self._uvicorn.should_exit = True
        self._thread.join(2 * LAST)
        sys.setswitchinterval(self._switch)
        return whole

    def _serve(self) -> None:
        ended: Exception = UnmaskError("the server has ended, although nobody asked it to")
        try:
            self._uvicorn.run(sockets=[self._sock])
        except Exception as error:
            ended = error
        finally:  # it may exit, too
            self.news.put(ended)

    def _opened(self, name: str) -> Served:
        return Served.open(name, self.settings, self.operations.metrics.meter(name))

    def _fill(self) -> None:
        try:
            for name in self.names:
                served = self._load(name)
                self.models[name] = served
                self.operations.metrics.watch(name, served.worker)
        except Exception as error:
            self.news.put(error)
            return
        self.operations.gate.ready()
        self.news.put(None)
