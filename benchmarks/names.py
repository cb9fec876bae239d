"""Names, one a line: whether a model of documents learns where they end.

    python benchmarks/names.py [--quick] [--umlauts] [--steps N] [--threads 2] [--work FOLDER]

Trains as `unmask train --data names.txt --set data.documents=true` does, on 6,000 names combined of
syllables, then draws names by the strategy that the model's card recommends. Malformed are names
without a letter, with letters after their end, or of bytes that are no text; they are also counted
without the rule that fills a row after its end. With --work, no model is trained twice.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from _machine import about
from _report import Report, arguments, parsed

import unmask
from unmask.data import Corpus, Vocabulary, read
from unmask.models.checkpoint import read_card
from unmask.training import Progress, default_recipe, train

ONSETS = (
    "", "b", "br", "c", "d", "f", "g", "h", "j", "k", "kl", "l", "m", "n", "p", "r", "s", "st", "t",
    "th", "v", "w", "z",
)  # fmt: skip
VOWELS = ("a", "e", "i", "o", "u", "ia", "ei")
CODAS = ("", "", "", "n", "r", "l", "s", "nd", "m", "t")
LEAST, MOST = 2, 15  # letters


def names(count: int, vowels: Sequence[str] = VOWELS, seed: int = 0) -> list[str]:
    """Return different names of one to four syllables, in order of the alphabet."""
    draw, made = random.Random(seed), set[str]()
    while len(made) < count:
        syllables = draw.choices([1, 2, 3, 4], [1, 5, 4, 1])[0]
        name = "".join(
            draw.choice(ONSETS) + draw.choice(vowels) + draw.choice(CODAS) for _ in range(syllables)
        )
        if LEAST <= len(name) <= MOST:
            made.add(name.capitalize())
    return sorted(made)


def judged(rows: list[list[int]], vocabulary: Vocabulary) -> dict[str, float]:
    """Return the mean length of generated rows, in bytes, and how many are malformed, and how."""
    end = vocabulary.eos_id
    lengths = [row.index(end) if end in row else len(row) for row in rows]
    pairs = list(zip(rows, lengths, strict=True))
    return {
        "bytes": sum(lengths) / len(lengths),
        "empty": lengths.count(0),
        "letters after the end": sum(any(token != end for token in r[n:]) for r, n in pairs),
        "no text": sum("\ufffd" in vocabulary.decode(row) for row in rows),
    }


def _train(corpus: Corpus, steps: int | None, folder: Path) -> None:
    recipe = default_recipe(corpus)
    train(corpus, folder, recipe=replace(recipe, steps=steps or recipe.steps), seed=0, report=_tell)


def _tell(at: Progress) -> None:
    if at.bound is not None:
        print(f"  step {at.step}/{at.total}: held-out {at.bound:.3f} nats", flush=True)


def main() -> None:
    """Train, draw, and tell."""
    parser = arguments(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--names", type=int, default=6000, help="default: %(default)s")
    parser.add_argument("--umlauts", action="store_true", help="an ä, two bytes, among the vowels")
    parser.add_argument("--steps", type=int, help="default: those of the recipe")
    parser.add_argument("--samples", type=int, default=2000, help="default: %(default)s")
    parser.add_argument("--work", type=Path, help="folder that is kept")
    options = parsed(parser, names=200, steps=2, samples=20)
    if options.threads:
        torch.set_num_threads(options.threads)
    samples = options.samples
    known = names(options.names, (*VOWELS, "ä") if options.umlauts else VOWELS)
    report = Report(
        "names",
        about("transformers"),
        ["rows", "bytes", "of the data's", "empty", "letters after the end", "no text"],
        f"{samples:,} names",
    )
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        (work / "names.txt").write_text("\n".join(known) + "\n", encoding="utf-8")
        corpus = read(work / "names.txt", documents=True)
        folder = work / "model"
        if not folder.exists():
            _train(corpus, options.steps, folder)
        model, card = unmask.load(folder), read_card(folder)
    own = sum(len(name.encode()) for name in known) / len(known)
    report.add("data", own, 1.0, 0, 0, 0)
    bare = unmask.engine.default_strategy(model)
    for row, strategy in (("drawn", bare), ("drawn to the last position", bare.but(stopping=()))):
        drawn = unmask.generate(model, batch_size=samples, strategy=strategy, seed=1)
        told = judged(drawn.tolist(), corpus.vocabulary)
        mean = told.pop("bytes")
        report.add(row, mean, mean / own, *told.values())
    figures, recipe = card.about["figures"], card.about["recipe"]
    report.note(
        f"{recipe['steps']:,} steps of {recipe['batch_size']} names in {figures['seconds']:.0f} s, "
        f"{figures['bits_per_token']:.3f} bits a position held out"
    )
    report.finish(options)


if __name__ == "__main__":
    main()
