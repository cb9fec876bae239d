"""`unmask bench-serve`: how fast a server answers."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unmask.cli.io import outputs
from unmask.cli.ui.screen import counting, out, print_json, say
from unmask.cli.ui.table import figures as tables
from unmask.core.checks import check_count
from unmask.core.lines import json_line
from unmask.core.optional import library
from unmask.errors import InputError, nearest

if TYPE_CHECKING:
    from unmask.server.load.client import Answer
    from unmask.server.load.loops import Loop

EXAMPLES = [
    ("Eight clients, each with one request at a time", "unmask bench-serve http://127.0.0.1:8000"),
    (
        "More and more clients, as a file of figures and a picture",
        "unmask bench-serve http://127.0.0.1:8000 --clients 1 --clients 8 --clients 32 "
        "--out load.json --out load.png",
    ),
    (
        "Two requests a second, whether the last are answered or not",
        "unmask bench-serve http://127.0.0.1:8000 --rate 2 --requests 200",
    ),
]

OPTIONS = """
URL: The address that unmask serve printed.
--model NAME: The model that is asked. Default: the first that generates text.
--clients N: A closed loop: so many clients, each of which sends its next request once the last is
    answered; repeatable. Default: 8, if there is no --rate.
--rate R: An open loop: so many requests a second on average, at random times; repeatable.
--requests N: Requests of each loop.
--prompt-words N: Words of the longest prompt.
--max-tokens N: Tokens of the longest answer.
--seed N: Seed of lengths, prompts and times; the same seed sends the same requests.
--timeout SECONDS: Time for the server to go on with an answer.
--api-key KEY: The key of the server. Default: the variable UNMASK_API_KEY.
--out FILE: Write figures and all answers (.json), or a picture (.png); repeatable.
"""

KEY = "UNMASK_API_KEY"
FILES = {".json": "figures", ".png": "a picture"}


def command(
    url: str,
    model: str | None = None,
    clients: list[int] | None = None,
    rate: list[float] | None = None,
    requests: int = 64,
    prompt_words: int = 32,
    max_tokens: int = 64,
    seed: int = 0,
    timeout: float = 600.0,
    api_key: str | None = None,
    out: list[Path] | None = None,
    *,
    json: bool = False,
) -> None:
    """Measure how fast a server answers requests of many lengths.

    Prints percentiles of the seconds to the first token and to the end of whole answers, and what
    failed. Answers are streamed; in an open loop, a request's seconds count from when it was due.
    """
    library("httpx", "serve", "unmask bench-serve needs httpx")
    counts = {"--requests": requests, "--prompt-words": prompt_words, "--max-tokens": max_tokens}
    for name, value in counts.items():
        check_count(name, value, InputError)
    if not (math.isfinite(timeout) and timeout > 0):
        raise InputError(f"--timeout {timeout}: type a number of seconds, such as 600")
    loops = _loops(clients or [], rate or [], seed)
    paths = outputs.checked(out, FILES)
    if any(path.suffix.lower() == ".png" for path in paths):
        library("matplotlib", "viz", "a picture needs matplotlib")
    key = api_key or os.environ.get(KEY)
    model = _text_model(url, key, model)
    settings = {
        "url": url,
        "model": model,
        "requests": requests,
        "prompt_words": prompt_words,
        "max_tokens": max_tokens,
        "seed": seed,
    }
    measured = _measured(loops, settings, key, timeout)
    report = {**settings, "loops": [_figures(*each) for each in measured]}
    _write(paths, report, measured)
    if json:
        print_json(report)
        return
    _print(report, paths)


Measured = tuple[str, "list[Answer]", float]


def _loops(clients: list[int], rates: list[float], seed: int) -> list[Loop]:
    from unmask.server.load.loops import Closed, Open

    for each in clients:
        check_count("--clients", each, InputError)
    for rate in rates:
        if not (math.isfinite(rate) and rate > 0):
            raise InputError(f"--rate {rate}: type a number of requests a second, such as 2.5")
    typed = [*(f"--clients {each}" for each in clients), *(f"--rate {each:g}" for each in rates)]
    for twice in (each for each in typed if typed.count(each) > 1):
        raise InputError(f"{twice} is typed twice: type each load once")
    closed = clients or ([] if rates else [8])
    return [*(Closed(each) for each in closed), *(Open(rate, seed) for rate in rates)]


def _text_model(url: str, key: str | None, name: str | None) -> str:
    """Return the model of a server that is asked: the one of this name, or the first of text.

    Raises InputError without one.
    """
    kinds = {
        str(each["id"]): each.get("unmask", {}).get("kind", "text") for each in _listed(url, key)
    }
    if name is not None and name not in kinds:
        raise InputError(f"{url} serves no model {name!r}: {nearest(name, kinds)}")
    texts = [each for each, kind in kinds.items() if kind == "text"]
    if not texts or (name is not None and name not in texts):
        what = "no model of text" if name is None else f"{name!r}, which is no model of text"
        raise InputError(f"{url} serves {what}: start unmask serve shakespeare")
    return name or texts[0]


def _listed(url: str, key: str | None) -> list[dict[str, Any]]:
    """Return the models of a server. Raises InputError where it cannot say them."""
    import httpx

    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    place = f"{url.rstrip('/')}/v1/models"
    advice = "type the address that unmask serve printed, such as http://127.0.0.1:8000"
    try:
        answer = httpx.get(place, headers=headers, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise InputError(f"{url} does not answer ({error}): {advice}") from error
    if answer.status_code == 401:
        raise InputError(f"{url} needs a key, or another one: type --api-key KEY, or set {KEY}")
    try:
        found: list[dict[str, Any]] = answer.json()["data"]
    except (ValueError, KeyError, TypeError):
        said = f"{answer.status_code}: {answer.text[:200]}"
        raise InputError(f"{place} answers {said}\n{advice}") from None
    return found


def _measured(
    loops: Sequence[Loop], settings: dict[str, Any], key: str | None, timeout: float
) -> list[Measured]:
    from unmask.server.load.asks import asks
    from unmask.server.load.loops import measured

    each = asks(
        settings["requests"], settings["prompt_words"], settings["max_tokens"], settings["seed"]
    )
    found = []
    with counting() as bar:
        for loop in loops:
            task = bar.add_task(loop.label, total=len(each))
            answers, seconds = asyncio.run(
                measured(
                    loop,
                    each,
                    url=settings["url"],
                    model=settings["model"],
                    key=key,
                    timeout=timeout,
                    told=lambda task=task: bar.advance(task),  # type: ignore[misc]
                )
            )
            found.append((loop.label, answers, seconds))
    return found


def _figures(label: str, answers: list[Answer], seconds: float) -> dict[str, Any]:
    from unmask.server.load.report import figures

    return figures(label, answers, seconds)


def _write(paths: Sequence[Path], report: dict[str, Any], measured: Sequence[Measured]) -> None:
    from dataclasses import asdict

    from unmask.core.files import write_file

    for path in paths:
        if path.suffix.lower() == ".json":
            answers = {label: [asdict(each) for each in found] for label, found, _ in measured}
            write_file(path, (json_line({**report, "answers": answers}) + "\n").encode())
        else:
            from unmask.server.load.picture import save_picture

            loops = {label: found for label, found, _ in measured}
            save_picture(loops, f"{report['model']}: seconds of requests", path)


def _print(report: dict[str, Any], paths: Sequence[Path]) -> None:
    from unmask.server.load.report import table_row

    say(
        (f"{report['model']} at {report['url']}", "bold"), f"  {report['requests']} requests a loop"
    )
    say("Seconds to the first token, and to the end of whole answers:")
    for table in tables([table_row(each) for each in report["loops"]]):
        out().print(table)
    for each in report["loops"]:
        for what, count in each["errors"].items():
            say((f"{each['load']}: {count} × {what}", "red"))
    for path in paths:
        say("wrote ", (str(path), "cyan"))
