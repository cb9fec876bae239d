"""What HTTP costs, and what shared passes gain: requests answered by a server and without one.

    python benchmarks/serving.py [--model FOLDER] [--clients 32] [--requests 128] [--tokens 32]

Completions of prompts and lengths that are all different, each with its own seed, by `llada` in
--steps steps, in tokens per second:

- served: `unmask serve`, a process of its own, asked by --clients clients, each of which sends its
  next request once the last is answered;
- engine: one engine in this process, as many rows open at once;
- one after another: a call of `TextModel.complete` for each.

All ways must write the same texts, or the script fails. Passes of the network are counted in the
last two. The model is one of random weights, of --dim and --depth, with a tokenizer of bytes;
--model takes another. With --peer URL a server that speaks `/v1/chat/completions` is asked in the
same run, --body being what it is asked beside messages, max_tokens and seed, as JSON; its texts
are compared with nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from _machine import about
from _networks import bert
from _report import Report, arguments, count, parsed
from _timing import Times, measured, threads

import unmask
from unmask import presets
from unmask.server.load.asks import Ask, asks
from unmask.server.load.loops import Closed

SERVED, ENGINE, ALONE = "served", "engine", "one after another"
GOALS = {ENGINE: 0.9, ALONE: 4.0}  # of the served ones' speed over theirs
COLUMNS = ["way", "passes", "tokens a second", f"{SERVED} / it", "goal"]
ADDRESS = re.compile(r"http://\S+")
Texts = list[str]


def made(folder: Path, dim: int, depth: int) -> Path:
    """A folder with a BERT of random weights and a tokenizer of bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    numbers = {piece: i for i, piece in enumerate(["[PAD]", "[MASK]", *alphabet])}
    backend = Tokenizer(models.BPE(numbers, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", mask_token="[MASK]"
    ).save_pretrained(folder)
    bert(len(numbers), dim, depth, 512).save_pretrained(folder)
    return folder


@contextmanager
def server(folder: Path, rows: int, threads_: int) -> Iterator[str]:
    """The address of `unmask serve`, in a process of its own, with the model loaded."""
    command = [sys.executable, "-m", "unmask", "serve", str(folder), "--port", "0"]
    command += ["--max-rows", str(rows), "--log-level", "warning"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(threads_)},
    )
    assert process.stdout is not None
    try:
        said = ADDRESS.search(process.stdout.readline())
        assert said is not None, "the server did not start"
        address = said[0]
        while httpx.get(f"{address}/ready", trust_env=False).status_code != 200:
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


class Requests:
    """Requests, and the ways to answer them."""

    def __init__(self, model: unmask.TextModel, options: argparse.Namespace):
        self.model, self.clients = model, options.clients
        self.asked = asks(options.requests, options.words, options.tokens, seed=1)
        self.fields = {"steps": options.steps, "block_length": options.tokens}
        self.strategy = presets.llada(options.steps, options.tokens)
        self.passes = 0

    @property
    def tokens(self) -> int:
        """Of all answers."""
        return sum(ask.max_tokens for ask in self.asked)

    def alone(self) -> Texts:
        """A call for each."""
        found = [
            self.model.complete(a.prompt, a.max_tokens, seed=a.seed, strategy=self.strategy)
            for a in self.asked
        ]
        self.passes = sum(each.forwards for each in found)
        return [each.text for each in found]

    def by_engine(self) -> Texts:
        """All by one engine, the next one begun as one ends."""
        engine = unmask.Engine(self.model.denoiser, max_rows=self.clients)
        waiting, found = list(enumerate(self.asked))[::-1], dict[int, str]()
        opened = dict[int, Any]()
        self.passes = 0
        while waiting or opened:
            while waiting and len(opened) < self.clients:
                number, ask = waiting.pop()
                rows = self.model.requests.continuations(
                    [ask.prompt], ask.max_tokens, seed=ask.seed, strategy=self.strategy
                )
                [row] = rows.submit(engine, [0]).tolist()
                opened[row] = number, rows
            for event in engine.step():
                self.passes += 1
                for row, record in event.results():
                    number, rows = opened.pop(row)
                    found[number] = rows.completion(0, record).text
        return [found[number] for number in range(len(self.asked))]

    def served(self, address: str) -> Texts:
        """By a server's completions."""

        def body(ask: Ask) -> dict[str, Any]:
            asked = {"prompt": ask.prompt, "max_tokens": ask.max_tokens, "seed": ask.seed}
            return {**asked, "preset": "llada", **self.fields}

        return self._asked(f"{address}/v1/completions", body, lambda choice: choice["text"])

    def peer(self, address: str, more: dict[str, Any]) -> Texts:
        """By another server's answers."""

        def body(ask: Ask) -> dict[str, Any]:
            messages = [{"role": "user", "content": ask.prompt}]
            return {"messages": messages, "max_tokens": ask.max_tokens, "seed": ask.seed, **more}

        path = f"{address}/v1/chat/completions"
        return self._asked(path, body, lambda choice: choice["message"]["content"])

    def _asked(
        self, url: str, body: Callable[[Ask], dict[str, Any]], read: Callable[[Any], str]
    ) -> Texts:
        async def run() -> Texts:
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
            async with httpx.AsyncClient(limits=limits, timeout=3600, trust_env=False) as client:
                found = dict[int, str]()

                async def send(ask: Ask, _: float) -> Any:
                    answer = (await client.post(url, json=body(ask))).raise_for_status().json()
                    found[ask.seed] = read(answer["choices"][0])

                await Closed(self.clients).run(self.asked, send, lambda: None)
                return [found[ask.seed] for ask in self.asked]

        return asyncio.run(run())


def check(texts: dict[str, Texts]) -> None:
    """AssertionError unless every way wrote what the first did."""
    first, *_ = texts
    for way, each in texts.items():
        other = [i for i in range(len(each)) if each[i] != texts[first][i]]
        if other:
            raise AssertionError(f"{way}: other texts than {first} at requests {other}")


def measure(report: Report, options: argparse.Namespace, folder: Path, threads_: int) -> None:
    """A row for each way, and a note on each goal."""
    requests = Requests(unmask.TextModel.load(str(folder)), options)
    with server(folder, options.clients, threads_) as address:
        calls: dict[str, Callable[[], Texts]] = {
            SERVED: lambda: requests.served(address),
            ENGINE: requests.by_engine,
            ALONE: requests.alone,
        }
        texts, passes = dict[str, Texts](), dict[str, int | None]()
        for way, call in calls.items():
            requests.passes = 0
            texts[way], passes[way] = call(), requests.passes or None
        check(texts)
        if options.peer:
            calls["peer"] = lambda: requests.peer(options.peer, json.loads(options.body))
        times = measured(calls, options.repeats)
    for way, each in times.items():
        speed = Times(tuple(requests.tokens / seconds for seconds in each.values))
        ratio, goal = each.median / times[SERVED].median, GOALS.get(way)
        report.add(way, passes.get(way), speed, ratio, goal)
        if goal is not None:
            report.note(f"goal: at least {goal:g} times as fast as {way}; it is {ratio:.3g} times")


def options_of() -> argparse.Namespace:
    parser = arguments(argparse.ArgumentParser(description=__doc__), repeats=3)
    sizes = {"clients": 32, "requests": 128, "tokens": 32, "words": 16, "steps": 8}
    sizes |= {"dim": 128, "depth": 4}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=count, default=default, help="default: %(default)s")
    parser.add_argument("--model", type=Path, help="folder of another model")
    parser.add_argument("--peer", metavar="URL", help="another server")
    parser.add_argument("--body", default="{}", metavar="JSON", help="what it is asked, too")
    return parsed(
        parser, repeats=1, clients=3, requests=5, tokens=6, words=3, steps=2, dim=64, depth=1
    )


def main() -> None:
    options = options_of()
    used = threads(options.threads)
    title = (
        f"{options.requests} completions of up to {options.tokens} tokens, {options.clients} "
        "clients: median (least–most)"
    )
    report = Report("serving", about("transformers"), COLUMNS, title)
    with tempfile.TemporaryDirectory(prefix="unmask-serving-") as temporary:
        folder = options.model or made(Path(temporary), options.dim, options.depth)
        measure(report, options, folder, used)
    report.finish(options)


if __name__ == "__main__":
    main()
