"""`unmask serve`: models behind an HTTP address."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from unmask.cli.options import Loading
from unmask.cli.ui.screen import note, say
from unmask.core.lines import json_line
from unmask.core.optional import library
from unmask.errors import InputError, UnmaskError

if TYPE_CHECKING:
    from unmask.server.running import Running
    from unmask.server.served import Served
    from unmask.server.settings import Settings

EXAMPLES = [
    ("The bundled models, and a page to watch them, for this machine alone", "unmask serve"),
    (
        "One model for all who reach this machine and have the key",
        "UNMASK_API_KEY=$KEY unmask serve my-model --host 0.0.0.0 --port 8080",
    ),
    ("Everything from a file", "unmask serve --config server.toml"),
]

OPTIONS = """
MODELS: Bundled names (digits, shakespeare, shidoku, sudoku), folders, or repositories of
    transformers' hub; the first answers requests that name none. Default: the bundled models,
    shakespeare first.
--host ADDRESS: The address to listen at. Default: 127.0.0.1, which this machine alone reaches.
--port N: The port; 0 takes a free one. Default: 8000.
--api-key KEY: Refuse requests without the header Authorization: Bearer KEY. The variable
    UNMASK_API_KEY sets it where others cannot read it.
--max-rows N: Rows generated at once, of each model. Default: 64.
--max-tokens N: Positions generated at once, of each model; fewer use less memory.
--max-queue N: Requests that may wait for a model; more are refused with 429. Default: 256.
--timeout SECONDS: Time for a request, its wait included. Default: 600.
--grace SECONDS: Time for requests at hand once the server is told to end. Default: 30.
--cors ORIGIN: A page's origin, such as https://app.example, that may call the server; repeatable.
--log-level LEVEL: debug, info, warning or error. At info, each request is a line of JSON on
    stderr; no text of a prompt is in it, but at debug.
--config FILE: A TOML file with these options (max_rows = 8), models = [...] and further limits
    (docs/serving.md). What is typed here comes first.
"""


def command(
    models: list[str] | None = None,
    *,
    host: str | None = None,
    port: int | None = None,
    api_key: str | None = None,
    max_rows: int | None = None,
    max_tokens: int | None = None,
    max_queue: int | None = None,
    timeout: float | None = None,
    grace: float | None = None,
    cors: list[str] | None = None,
    log_level: str | None = None,
    loading: Loading,
    config: Path | None = None,
) -> None:
    """Answer HTTP requests, in the form of OpenAI's API and others (docs/serving.md).

    Each model generates the rows of all its requests together. On Ctrl-C or SIGTERM, requests at
    hand are finished, and new ones refused.
    """
    for name, extra in REQUIRED.items():
        library(name, "serve", f"unmask serve needs {extra}")
    from unmask.server.configuring import gathered

    given = {
        "host": host,
        "port": port,
        "api_key": api_key,
        "max_rows": max_rows,
        "max_tokens": max_tokens,
        "max_queue": max_queue,
        "timeout": timeout,
        "grace": grace,
        "cors": tuple(cors) if cors else None,
        "log_level": log_level,
        **loading.given(),
    }
    listed, settings = gathered(given, os.environ, config)
    names = _checked(models or listed, settings)
    _serve(names, settings)


SHORT = 16
"""Characters of a key below which it may be guessed by those who reach the server."""
REQUIRED = {
    "fastapi": "FastAPI",
    "uvicorn": "uvicorn",
    "prometheus_client": "prometheus-client",
    "sse_starlette": "sse-starlette",
}


def _checked(names: Sequence[str], settings: Settings) -> list[str]:
    """Return the models to serve. Raises InputError before any weight is read."""
    from unmask.models.loading import recognised

    found = list(names) or _bundled()
    for name in found:
        if found.count(name) > 1:
            raise InputError(f"{name} is named twice: name each model once")
        recognised(name, settings.loading)
    return found


def _bundled() -> list[str]:
    """Return the bundled models, those of text first: OpenAI's clients ask for texts."""
    from unmask.models.checkpoint import bundled, read_card

    ids = {name: (read_card(name).vocabulary or {}).get("kind") == "ids" for name in bundled()}
    return sorted(ids, key=ids.__getitem__)


def _serve(names: list[str], settings: Settings) -> None:
    from unmask.server.gate import Gate, Phase
    from unmask.server.listening import is_local, listener, url
    from unmask.server.logs import Listening, Log
    from unmask.server.operations import Operations
    from unmask.server.running import Running
    from unmask.server.signals import caught

    sock = listener(settings.host, settings.port)
    address = url(settings.host, sock.getsockname()[1])
    log = Log(sys.stderr, settings.log_level)
    running = Running(names, settings, Operations(Gate(Phase.LOADING), log=log), sock)
    with Listening(log), caught(running.news.put):
        running.start()
        _tell(say, (address, "bold"), f"  loading {', '.join(names)}")
        if not is_local(settings.host):
            _warn(settings.api_key)
        _watch(running, address)
    log.close()


def _tell(write: Callable[..., None], *parts: str | tuple[str, str]) -> None:
    """Print a line. A server goes on where the disk is full, or nobody reads."""
    with suppress(OSError, SystemExit):  # with which rich ends programs whose pipe is broken
        write(*parts)


def _warn(key: str | None) -> None:
    """Say on stderr where others than this machine's programs may use the server."""
    if key is None:
        _tell(
            note,
            ("Anyone who reaches this machine may send requests: ", "yellow"),
            "set UNMASK_API_KEY, or leave --host out",
        )
    elif len(key) < SHORT:
        _tell(
            note,
            (f"A key of {len(key)} characters may be guessed: ", "yellow"),
            "make one by openssl rand -hex 24",
        )


def _watch(running: Running, address: str) -> None:
    """Tell when the models are loaded; return once a signal came and all requests are finished."""
    news = running.news.get()
    if news is None:
        first = next(iter(running.models.values()))
        keyed = ", with the key in UNMASK_API_KEY" if running.settings.api_key is not None else ""
        _tell(say, ("Ready.", "bold green"), f" Open {address} in a browser, or try{keyed}:")
        _tell(say, (_curl(first, address, running.settings), "cyan"))
        news = running.news.get()
    at_hand = running.operations.gate.open
    if isinstance(news, int) and at_hand:
        grace = running.settings.grace
        _tell(
            note, f"Ending. Open requests are finished first: {at_hand}, for at most {grace:g} s."
        )
    whole = running.drain()
    if isinstance(news, Exception):
        raise news
    if not whole:
        longer = running.settings.grace * 4 or 30
        raise UnmaskError(
            f"the server ended with requests at hand: --grace {longer:g} would give them more time"
        )


def _curl(served: Served, address: str, settings: Settings) -> str:
    """Return a command line that asks for a first answer."""
    if served.text is not None:
        path, asked = "completions", {"prompt": "The ", "max_tokens": 40}
    else:
        length = served.card.length if served.card is not None else None
        path, asked = "infill", {"segments": [{"mask": length or 16}]}
    key = "" if settings.api_key is None else ' -H "Authorization: Bearer $UNMASK_API_KEY"'
    body = shlex.quote(json_line({"model": served.name, **asked}))
    return f"curl {address}/v1/{path}{key} -H 'Content-Type: application/json' -d {body}"
