"""A left-to-right model converted into a masked one, beside one that was trained from nothing.

    python benchmarks/conversion.py [--text FILE] [--steps 300] [--further 300] [--seeds 3]

A small Llama is trained left to right on windows of a text, converted by `unmask.convert`, and
trained on with the masked objective; one with random weights is trained alike. Rows have had the
same further compute, unless they say otherwise: as many positions went through the network,
forward and backward. A step of `complementary` runs each window twice, one of block diffusion the
noisy and the clean window at once, and a left-to-right step takes twice the windows. Bits per token
of held-out windows: exact left to right, else the bound of `unmask.score`, which of a network with
blocks is that of its own law. Standard errors are over seeds of training, those of differences
seed by seed. Without --text, the text is Python's standard library.
"""

from __future__ import annotations

import argparse
import math
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from _machine import about
from _report import Report, arguments, count, parsed
from torch import Tensor, nn
from torch.nn import functional as F

import unmask
from unmask import objectives
from unmask.core.random import Purpose, derive, fold, uniform
from unmask.models.annealing import share_at
from unmask.scoring import Bound

END = "<|end|>"  # stands before every window
VOCAB, CHARACTERS, HELD_OUT = 512, 1_000_000, 0.1
RATE, WARMUP, DECAY = 3e-3, 0.05, 0.1
EARLY = 8  # the bound is also told after 1/8 of the steps

Loss = Callable[[Any, Tensor, Tensor], Tensor]
"""A network, rows (B,N) and their seeds (B,) -> nats per token."""


@dataclass(frozen=True)
class Way:
    """How a network is made and trained on.

    beside: the row that it is compared with. start: whether it begins as the left-to-right one.
    longer: whether it has the steps that this has had, too.
    """

    name: str
    beside: str | None = "from nothing"
    start: bool = True
    annealed: bool = False
    longer: bool = False
    options: tuple[tuple[str, Any], ...] = ()  # of `unmask.convert`
    objective: Any = objectives.complementary


def ways(block: int) -> list[Way]:
    """Return the rows of the table; block diffusion if the library has it."""
    plain: Any = {"options": (("logit_shift", False),)}
    found = [
        Way("from nothing", None, start=False, **plain),
        Way("from nothing, all compute", start=False, longer=True, **plain),
        Way("converted"),
        Way("converted, annealed", annealed=True),
        Way("converted, no logit shift", **plain),
    ]
    name = f"blocks of {block}"
    sized: Any = {"options": (("block", block),), "objective": objectives.block_diffusion}
    bare: Any = {**sized, "options": (*sized["options"], *plain["options"])}
    found += [
        Way(f"from nothing, {name}", None, start=False, **bare),
        Way(f"converted, {name}", f"from nothing, {name}", **sized),
        Way(f"converted, {name}, annealed", f"from nothing, {name}", annealed=True, **sized),
        Way(f"converted, {name}, no shift", f"from nothing, {name}", **bare),
    ]
    return found


class Text:
    """A text as windows of tokens, each behind the id that ends a text."""

    def __init__(self, text: str, window: int, held_out: int):
        self.tokenizer = bpe(text)
        ids = torch.tensor(self.tokenizer(text, verbose=False)["input_ids"])
        self.bytes_per_token = len(text.encode()) / len(ids)
        rows = ids[: len(ids) // (window - 1) * (window - 1)].view(-1, window - 1)
        rows = F.pad(rows, (1, 0), value=self.tokenizer.eos_token_id)
        last = int(len(rows) * (1 - HELD_OUT))
        self.train, rest = rows[:last], rows[last:]
        self.held_out = rest[:: max(1, len(rest) // held_out)][:held_out]


def bpe(text: str) -> transformers.PreTrainedTokenizerFast:
    """Return a byte-level BPE of a text."""
    backend = tokenizers.Tokenizer(tokenizers.models.BPE())
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = tokenizers.decoders.ByteLevel()
    letters = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=VOCAB, initial_alphabet=letters, special_tokens=[END], show_progress=False
    )
    backend.train_from_iterator([text], trainer)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=END)


def library_text() -> str:
    """Return the beginning of the modules of Python's standard library, in order of their names."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    text = ""
    for path in sorted(folder.glob("[a-z]*.py")):
        text += path.read_text(encoding="utf-8", errors="ignore")
        if len(text) >= CHARACTERS:
            break
    return text[:CHARACTERS]


def network(options: argparse.Namespace, size: int, seed: int) -> Any:
    """Return a Llama with weights drawn from a seed."""
    config = transformers.LlamaConfig(
        vocab_size=size,
        hidden_size=options.width,
        num_hidden_layers=options.layers,
        num_attention_heads=max(1, options.width // 32),
        intermediate_size=2 * options.width,
        max_position_embeddings=options.window,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
    )
    torch.manual_seed(seed)
    return transformers.LlamaForCausalLM(config)


def fit(
    net: nn.Module, loss: Loss, text: Text, steps: int, batch: int, seed: int, watch: Any
) -> None:
    """AdamW with warm-up and linear decay. watch: called before each step, with its number."""
    optimiser = torch.optim.AdamW(net.parameters(), RATE, betas=(0.9, 0.98), weight_decay=DECAY)
    warm = max(1, int(WARMUP * steps))
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm, (steps - step) / steps)
    )
    place = derive(seed, batch)
    for step in range(steps):
        watch(step)
        net.train()
        rows = (uniform(place, step, 0, Purpose.TASK)[:, 0] * len(text.train)).long()
        value = loss(net, text.train[rows], fold(seed, torch.arange(batch), step))
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        scheduler.step()


def next_token(net: Any, rows: Tensor, seeds: Tensor) -> Tensor:
    """Return nats per token, each predicted from those before it."""
    logits = net(input_ids=rows).logits[:, :-1]
    return F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())


def masked(objective: Any) -> Loss:
    """Return the loss of an objective of `unmask`, whose first token is known."""
    return lambda net, rows, seeds: objective(net, rows, free(rows), seeds).loss


def free(rows: Tensor) -> Tensor:
    """Return (B,N) bool: all positions but the first."""
    return (torch.arange(rows.shape[1]) > 0).expand(rows.shape)


@torch.no_grad()
def exact_bits(net: Any, text: Text) -> float:
    """Return bits per token of a left-to-right network on held-out windows."""
    parts = [next_token(net.eval(), part, part) for part in text.held_out.split(50)]
    weight = torch.tensor([len(part) for part in text.held_out.split(50)])
    return float((torch.stack(parts) * weight).sum() / weight.sum()) / math.log(2)


def bound_bits(net: Any, text: Text, samples: int) -> float:
    """Return the bound of a masked network on held-out windows, in bits per token."""
    rows = text.held_out
    found = unmask.score(net, rows, free(rows), by=Bound(samples=samples), batch_size=64)
    return found.bits_per_token


class Study:
    """Trains the networks of one seed."""

    def __init__(self, options: argparse.Namespace, text: Text, seed: int):
        self.options, self.text, self.seed = options, text, seed
        self.figures: dict[str, tuple[float, float]] = {}  # bits early, and at the end
        self.start = self._new()
        self._left_to_right(self.start, options.steps, seed)
        self.before = exact_bits(self.start, text)

    def _new(self) -> Any:
        return network(self.options, len(self.text.tokenizer), self.seed)

    def _left_to_right(self, net: Any, steps: int, seed: int) -> None:
        fit(net, next_token, self.text, steps, 2 * self.options.batch, seed, lambda _: None)

    def train_on(self) -> float:
        """Train the left-to-right network on, and return its bits."""
        net = self._copy()
        self._left_to_right(net, self.options.further, self.seed + 1000)
        return exact_bits(net, self.text)

    def _copy(self) -> Any:
        net = self._new()
        net.load_state_dict(self.start.state_dict())
        return net

    def run(self, way: Way) -> tuple[float, float]:
        """Return the bits after 1/EARLY of the steps, and after all."""
        at, told = self.options, list[float]()
        net = self._copy() if way.start else self._new()
        model = unmask.convert(net, tokenizer=self.text.tokenizer, **dict(way.options))
        denoiser: Any = model.denoiser
        steps = at.further + (at.steps if way.longer else 0)
        early = max(1, at.further // EARLY)

        def watch(step: int) -> None:
            if step == early:
                told.append(bound_bits(denoiser, self.text, at.samples))
            if way.annealed:
                denoiser.open_share = share_at(step, max(1, at.further // 2))

        loss = masked(way.objective)
        fit(denoiser, loss, self.text, steps, at.batch, self.seed + 1000, watch)
        denoiser.open_share = 1.0
        final = bound_bits(denoiser, self.text, at.samples)
        return (told or [final])[0], final


def mean(values: list[float]) -> str:
    """Return a mean with its standard error over seeds."""
    x = torch.tensor(values, dtype=torch.float64)
    error = float(x.std()) / len(x) ** 0.5 if len(x) > 1 else math.nan
    return f"{float(x.mean()):.3f} ± {error:.3f}"


def main() -> None:
    parser = arguments(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--text", type=Path)
    parser.add_argument("--steps", type=count, default=300, help="left to right; %(default)s")
    parser.add_argument("--further", type=count, default=300, help="after it; %(default)s")
    parser.add_argument("--seeds", type=count, default=3)
    parser.add_argument("--batch", type=count, default=16, help="masked windows a step")
    parser.add_argument("--window", type=count, default=64, help="positions of a window")
    parser.add_argument("--block", type=count, default=8, help="positions of a block")
    parser.add_argument("--width", type=count, default=64)
    parser.add_argument("--layers", type=count, default=2)
    parser.add_argument("--held-out", type=count, default=200, help="windows that are measured")
    parser.add_argument("--samples", type=count, default=8, help="pairs of masks for each of them")
    small = {"steps": 3, "further": 3, "seeds": 2, "batch": 2, "width": 32, "layers": 1}
    options = parsed(parser, **small, held_out=4, samples=1, window=16)
    if options.threads:
        torch.set_num_threads(options.threads)
    columns = ["network", "bits early", "bits", "less than from nothing"]
    title = f"bits per token after {options.further} further steps"
    report = Report("conversion", about("transformers"), columns, title)
    given = options.text.read_text(encoding="utf-8") if options.text else library_text()
    text = Text(given, options.window, options.held_out)
    begun = time.perf_counter()
    before, after, bits = list[float](), list[float](), dict[str, list[tuple[float, float]]]()
    for seed in range(options.seeds):
        study = Study(options, text, seed)
        before.append(study.before)
        after.append(study.train_on())
        print(f"seed {seed}: left to right {before[-1]:.3f}, then {after[-1]:.3f}", flush=True)
        for way in ways(options.block):
            found = study.run(way)
            bits.setdefault(way.name, []).append(found)
            print(f"seed {seed}: {way.name} {found[0]:.3f}, {found[1]:.3f}", flush=True)
    report.add("left to right, as it is converted", None, mean(before), None)
    report.add("left to right, trained on", None, mean(after), None)
    for way in ways(options.block):
        early, final = ([pair[i] for pair in bits[way.name]] for i in (0, 1))
        less = None
        if way.beside is not None:
            pairs = zip(bits[way.beside], final, strict=True)
            less = mean([other[1] - mine for other, mine in pairs])
        report.add(way.name, mean(early), mean(final), less)
    report.note(
        f"{len(text.train):,} windows of {options.window}, {text.bytes_per_token:.2f} bytes a "
        f"token; bits early are those after {max(1, options.further // EARLY)} steps; "
        f"seeds 0 to {options.seeds - 1}, {time.perf_counter() - begun:.0f} s"
    )
    report.finish(options)


if __name__ == "__main__":
    main()
