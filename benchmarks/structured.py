"""What keeping a form costs a step, beside the forward of a network of BERT-base's size.

    python benchmarks/structured.py [--lengths 64 256] [--batches 1 8] [--steps 16] [--vocab 32000]
        [--repeats 5] [--threads 2]

The vocabulary is made up: every byte and random words, half of them with a space before, some with
the signs of JSON. The form is the automaton of a JSON schema over these. The third step of the
preset `confidence` is decided again and again, from one forward: with tokens drawn by the form, and
with the likeliest ones together (DINGO). "Drawn" and "likeliest" are what enforcing the form adds,
as a share of that forward, trunk and head, of random weights. The second table is what making the
automaton takes.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from statistics import median
from typing import Any

import torch
from _machine import about
from _networks import BERT_BASE, bert
from _report import Report, arguments, count, parsed
from _timing import measured, threads

import unmask
from unmask import Canvas, Constraint, presets
from unmask.constraints import Automaton
from unmask.core.network import Denoiser
from unmask.decoding.decide import decide
from unmask.decoding.packing import forward
from unmask.decoding.prepare import prepare
from unmask.text.patterns import byte_automaton
from unmask.text.schema import schema_regex
from unmask.text.spelling import Spelling
from unmask.text.tokens import token_automaton

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "email": {"type": "string", "pattern": r"[a-z0-9.]+@[a-z0-9]+\.[a-z]{2,4}"},
        "tags": {"type": "array", "items": {"enum": ["red", "green", "blue", "yellow"]}},
        "born": {"type": "string", "format": "date"},
    },
    "required": ["name", "age", "email", "tags"],
}
SIGNS = ['"', ":", ",", "}", '": "', '", "', "]", '":']


def words(size: int) -> Spelling:
    """So many ids, of which the last two are the end of a text and the mask id."""
    rng, found = random.Random(0), {bytes([byte]) for byte in range(256)}
    while len(found) < size - 2:
        word = "".join(rng.choices("etaoinshrdlucmfwypvbgk", k=rng.randint(2, 9)))
        word = str(rng.randint(0, 9999)) if rng.random() < 0.03 else word
        word = word + rng.choice(SIGNS) if rng.random() < 0.05 else word
        found.add((" " + word if rng.random() < 0.5 else word).encode())
    spelled = (*sorted(found), None, None)
    return Spelling(spelled, spelled)


def automaton_of(vocab: int, report: Report) -> Automaton:
    """The automaton of the schema, timed."""
    spelling = words(vocab)
    begun = time.perf_counter()
    of_bytes = byte_automaton(schema_regex(SCHEMA))
    between = time.perf_counter()
    found = token_automaton(of_bytes, spelling, vocab, [vocab - 2], vocab - 2, follows=True)
    ended = time.perf_counter()
    assert found is not None
    columns = ["states", "classes", "transitions", "over bytes (s)", "over ids (s)"]
    led = int((found.transitions >= 0).sum())
    shape = found.transitions.shape
    report.table("automaton", columns).add(*shape, led, between - begun, ended - between)
    return found


def measure(
    report: Report,
    denoiser: Denoiser,
    hook: Automaton,
    batch: int,
    length: int,
    options: argparse.Namespace,
) -> None:
    """A row: one size."""
    plain = presets.confidence(options.steps)
    strategies = {
        "drawn": plain.but(constraint=Constraint(feasible=hook)),
        "likeliest": plain.but(constraint=Constraint(feasible=hook, likeliest=True)),
    }
    canvas = Canvas.blank(batch, length)
    state = unmask.init(denoiser, canvas, strategies["drawn"], list(range(batch)))
    for _ in range(2):
        state = unmask.step(state, denoiser, strategies["drawn"]).state
    query = prepare(state, plain)

    def whole() -> torch.Tensor:
        hidden, _ = forward(denoiser, query, None)
        return denoiser.logits(hidden.flatten(0, 1))

    with torch.no_grad():
        hidden, cache = forward(denoiser, query, None)

    def decided(name: str) -> Callable[[], object]:
        strategy = strategies[name]
        of_it = replace(state, basis=strategy.basis)
        return lambda: decide(of_it, strategy, denoiser, query, hidden, cache)

    with timed() as spent:
        calls: dict[str, Callable[[], object]] = {"forward": whole}
        times = measured(calls | {name: decided(name) for name in strategies}, options.repeats)
    price = times["forward"].median
    # The calls take turns, after a first round that does not count.
    more = [median(spent[nth :: len(strategies)][1:]) / price for nth in range(len(strategies))]
    commits = int(state.rows.unknown[0] - state.rows.now.unknown_after[0])
    report.add(batch, length, commits, 1000 * price, *more)


@contextmanager
def timed() -> Iterator[list[float]]:
    """Yield the seconds of each time that a form is enforced."""
    deciding: Any = import_module("unmask.decoding.decide")
    spent, real = list[float](), deciding.enforce_automaton

    def watched(*given: Any) -> Any:
        begun = time.perf_counter()
        found = real(*given)
        spent.append(time.perf_counter() - begun)
        return found

    deciding.enforce_automaton = watched
    try:
        yield spent
    finally:
        deciding.enforce_automaton = real


def main() -> None:
    parser = arguments(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--lengths", type=count, nargs="+", default=[64, 256])
    parser.add_argument("--batches", type=count, nargs="+", default=[1, 8])
    parser.add_argument("--steps", type=count, default=16)
    parser.add_argument("--vocab", type=count, default=32_000)
    parser.add_argument("--dim", type=count, default=BERT_BASE["dim"])
    parser.add_argument("--depth", type=count, default=BERT_BASE["depth"])
    options = parsed(parser, lengths=[48], batches=[2], steps=4, vocab=600, dim=64, depth=1)
    threads(options.threads)
    columns = ["rows", "positions", "commits a row", "forward (ms)", "drawn", "likeliest"]
    title = f"V={options.vocab:,}: what enforcing adds, as a share of the forward"
    report = Report("structured", about(), columns, title)
    hook = automaton_of(options.vocab, report)
    net = bert(options.vocab, options.dim, options.depth, max(options.lengths))
    denoiser = unmask.wrap(net, mask_id=options.vocab - 1)
    for length in options.lengths:
        for batch in options.batches:
            measure(report, denoiser, hook, batch, length, options)
    report.finish(options)


if __name__ == "__main__":
    main()
