"""`unmask.compat.NonAutoregressiveWrapper` against x-transformers' own, both with their defaults.

    python benchmarks/compat.py [--text FILE] [--steps 1500] [--quick] [--threads 2] [--json FILE]

The same network, optimiser, seed, batches and steps for both, on scikit-learn's 8×8 digits and,
with --text, on the characters of a text file. Losses are what each wrapper returns, averaged since
the line before. Bits are the held-out bound per token of both networks, by the same function
(`unmask.scoring`): lower is better. Masks is the share of mask ids in what `generate()` of the
wrapper gives, each a position left undone. One id is the share of the commonest id in rows drawn
from the network one position a step, by the same sampler for both: close to that of the data, or
100 % where nothing else comes out.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from _machine import about
from torch import Tensor
from x_transformers import Encoder, TransformerWrapper
from x_transformers import NonAutoregressiveWrapper as Reference

import unmask
from unmask import presets
from unmask.compat import NonAutoregressiveWrapper as Ours
from unmask.core.files import replacing_file
from unmask.core.random import Purpose, derive, uniform
from unmask.evaluation import two_sample
from unmask.scoring import Bound, score
from unmask.tasks import task

WIDTH, DEPTH, HEADS, BATCH, RATE = 96, 4, 3, 16, 2e-3
CHARACTERS = 64  # N of the text
LOOKS = 5  # lines of a table, after the first
ROWS = 32  # generated at each of them
PAIRS = 2  # of masks an example, for the bound


@dataclass(frozen=True)
class Corpus:
    """Ids 0..V−2, the mask id V−1; rows of N tokens."""

    name: str
    train: Callable[[Tensor], Tensor]  # uniforms (B,) -> (B,N) examples
    held_out: Tensor  # (b,N)
    vocab: int
    characters: str = ""

    @property
    def mask_id(self) -> int:
        return self.vocab - 1


@dataclass
class Course:
    """What happened to one wrapper, look by look."""

    model: Any
    step: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    bits: list[float] = field(default_factory=list)
    masks: list[float] = field(default_factory=list)
    one_id: list[float] = field(default_factory=list)
    seconds: float = 0.0


def digits() -> Corpus:
    data = task("digits")
    pick = lambda u: data.train[(u * len(data.train)).long()]  # noqa: E731
    return Corpus("digits", pick, data.held_out, data.vocab_size)


def text(path: Path) -> Corpus:
    """Windows of a text; its last tenth is held out."""
    written = path.read_text(encoding="utf-8")
    characters = "".join(sorted(set(written)))
    number = {character: i for i, character in enumerate(characters)}
    ids = torch.tensor([number[character] for character in written])
    windows = ids.unfold(0, CHARACTERS, 1)
    cut = len(windows) * 9 // 10
    held_out = windows[cut + CHARACTERS :][:: max(1, len(windows) // 10 // 200)]
    pick = lambda u: windows[(u * cut).long()]  # noqa: E731
    return Corpus(path.stem, pick, held_out, len(characters) + 1, characters)


def network(corpus: Corpus) -> TransformerWrapper:
    layers = Encoder(
        dim=WIDTH,
        depth=DEPTH,
        heads=HEADS,
        attn_dim_head=WIDTH // HEADS,
        ff_mult=2,
        rel_pos_bias=True,
    )
    length = corpus.held_out.shape[1]
    return TransformerWrapper(num_tokens=corpus.vocab, max_seq_len=length, attn_layers=layers)


def train(kind: type, corpus: Corpus, steps: int) -> Course:
    """Default training: whatever the wrapper's constructor and forward do when not told."""
    random.seed(0)  # the reference flips coins with it
    torch.manual_seed(0)
    course = Course(kind(network(corpus), mask_id=corpus.mask_id))
    optimiser = torch.optim.Adam(course.model.parameters(), lr=RATE)
    seeds, losses, start = derive(0, BATCH), [], time.perf_counter()
    for step in range(steps + 1):
        loss = course.model(corpus.train(uniform(seeds, step, 0, Purpose.TASK)[:, 0])).loss
        losses.append(loss.item())
        if step % max(1, steps // LOOKS) == 0:
            _look(course, corpus, step, statistics.mean(losses))
            losses.clear()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    course.seconds = time.perf_counter() - start
    return course


def _look(course: Course, corpus: Corpus, step: int, loss: float) -> None:
    """Loss since the last look, bound of the network, and what the wrapper generates."""
    course.step.append(step)
    course.loss.append(loss)
    course.bits.append(
        score(_denoiser(course, corpus), corpus.held_out, by=Bound(PAIRS)).bits_per_token
    )
    course.masks.append(float(_shares(course.model.generate(ROWS), corpus)[corpus.mask_id]))
    course.one_id.append(float(_shares(_drawn(course, corpus, ROWS), corpus).max()))


def _shares(ids: Tensor, corpus: Corpus) -> Tensor:
    """(V,) how often each id occurs."""
    return torch.bincount(ids.flatten(), minlength=corpus.vocab) / ids.numel()


def _drawn(course: Course, corpus: Corpus, rows: int) -> Tensor:
    """(rows,N) ids from the network itself, one position a step: exact for what it has learnt."""
    one_by_one = presets.random_order(corpus.held_out.shape[1])
    return unmask.generate(_denoiser(course, corpus), batch_size=rows, strategy=one_by_one, seed=0)


def _denoiser(course: Course, corpus: Corpus) -> unmask.Denoiser:
    return unmask.wrap(course.model.net, mask_id=corpus.mask_id)


def show(corpus: Corpus, reference: Course, ours: Course) -> None:
    def line(*cells: object) -> None:
        print("  ".join(f"{cell!s:>9}" for cell in cells))

    ids = corpus.vocab - 1
    print(f"\n{corpus.name}: N = {corpus.held_out.shape[1]}, {ids} ids and the mask.")
    common = float(_shares(corpus.held_out, corpus).max())
    print(f"Knowing nothing costs {math.log2(ids):.2f} bits; {common:.1%} of the data are one id.")
    print("R is the reference, U is unmask.")
    names = ("loss", "bits", "one id", "masks")
    line("step", *(f"{name} {side}" for name in names for side in "RU"))
    for i, step in enumerate(ours.step):
        figures = [f"{y[i]:.3f}" for x in ("loss", "bits") for y in _pair(x, reference, ours)]
        shares = [f"{y[i]:.1%}" for x in ("one_id", "masks") for y in _pair(x, reference, ours)]
        line(step, *figures, *shares)
    print(f"seconds, looks included: R {reference.seconds:.0f}, U {ours.seconds:.0f}")


def _pair(name: str, reference: Course, ours: Course) -> tuple[list[float], list[float]]:
    return getattr(reference, name), getattr(ours, name)


def samples(corpus: Corpus, ours: Course, rows: int) -> dict[str, Any]:
    """What ours generates: how well a forest tells digits apart, or a passage of text."""
    if corpus.characters:
        ids = _drawn(ours, corpus, 3)
        passages = ["".join(corpus.characters[i] for i in row) for row in ids.tolist()]
        print("passages of U, one position a step:")
        for passage in passages:
            print("  " + repr(passage))
        return {"passages": passages}
    data = task("digits")
    real = torch.cat([data.train, data.held_out])[:rows]
    figures = {
        "generate()": two_sample(ours.model.generate(rows, seed=0), real).accuracy,
        "generate(filter_thres=None)": two_sample(
            ours.model.generate(rows, filter_thres=None, seed=0), real
        ).accuracy,
        "one position a step": two_sample(_drawn(ours, corpus, rows), real).accuracy,
    }
    print("two-sample accuracy of images of U (0.5 is perfect, 1.0 the worst):")
    for name, figure in figures.items():
        print(f"  {name:28} {figure:.3f}")
    return {"two_sample": figures}


def compare(corpus: Corpus, steps: int, rows: int) -> dict[str, Any]:
    reference, ours = train(Reference, corpus, steps), train(Ours, corpus, steps)
    show(corpus, reference, ours)
    found = samples(corpus, ours, rows)
    sides = {"reference": reference, "unmask": ours}
    courses = {
        name: {key: value for key, value in vars(side).items() if key != "model"}
        for name, side in sides.items()
    }
    return {"corpus": corpus.name, **courses, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, help="a text file, UTF-8")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--quick", action="store_true", help="60 steps, 50 images")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write all figures there")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    head = about("x-transformers", "scikit-learn")
    print(head, flush=True)
    corpora = [digits()] + ([text(options.text)] if options.text else [])
    steps, rows = (60, 50) if options.quick else (options.steps, 500)
    results = [compare(corpus, steps, rows) for corpus in corpora]
    if options.json:
        with replacing_file(options.json) as temporary:
            temporary.write_text(json.dumps({"about": head, "results": results}, indent=1))


if __name__ == "__main__":
    main()
