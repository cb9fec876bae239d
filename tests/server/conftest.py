"""Servers on a free port, with small models."""

import contextlib
import socket
import threading
import time

import httpx
import pytest
import uvicorn
from tests.server.live import lives
from tests.text.models import bert, byte_level, canvases, decoder

import unmask
from unmask.server.app import create_app
from unmask.server.served import Served
from unmask.server.settings import Settings
from unmask.server.worker import Load, Worker


@contextlib.contextmanager
def serving(models, settings=None, operations=None):
    """The address of a server of these models, on a thread."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = uvicorn.Config(create_app(models, settings, operations), port=port, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)
        for model in models:
            model.worker.close()


def served(name, text, settings=None):
    """A text model that is served by a name."""
    return Served.of(name, text.denoiser, settings or Settings(), text=text)


@pytest.fixture(scope="session")
def texts(tmp_path_factory):
    """Text models by name: of bytes with a template, a BERT, and one that draws whole canvases."""
    folder = tmp_path_factory.mktemp
    return {
        "bytes": unmask.TextModel.load(decoder(folder("bytes"), byte_level())),
        "bert": unmask.TextModel.load(bert(folder("bert"))),
        "canvases": unmask.TextModel.load(canvases(folder("canvases"))),
    }


@pytest.fixture(scope="session")
def address(texts):
    """The address of a server of `texts`."""
    with serving([served(name, text) for name, text in texts.items()]) as found:
        yield found


@pytest.fixture(scope="session")
def http(address):
    with httpx.Client(base_url=address, timeout=60) as client:
        yield client


@pytest.fixture
def live(texts):
    """Make servers as they are run: live(**settings) has a slow network of bytes."""
    with lives() as make:
        yield lambda **named: make(texts["bytes"], **named)


@pytest.fixture
def workers():
    """What makes workers, which have nothing left to do at the end."""
    made = []

    def make(denoiser, **options):
        made.append(Worker(denoiser, **options))
        return made[-1]

    yield make
    for worker in made:
        worker.close()
        assert worker.load == Load(0, 0, 0, 0)
        assert not worker._tickets
        assert not len(worker._engine.unfinished)
