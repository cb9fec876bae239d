"""How many tokens rounding decides: the same rows and seeds, computed two ways.

    python benchmarks/near_ties.py [--rows 10000] [--alone 1500] [--cached 1500]

Two ways to compute a network agree but for rounding. Where positions are nearly alike so are their
scores, and rounding decides which is the best; the row is then another one. Each table holds one
way against rows generated 64 at a time: each row alone, matrices in another layout, other kernels,
the terms of a sum in another order, and a decoder's finished blocks from a cache.

Networks are small transformers with random weights: what they know of a place is scaled down to
1e-7, so that unknown positions of a row differ by rounding alone, to 1e-5 and to 1e-3; the columns
"at" tell rows that differ by that. A decoder knows of places in its attention only, so where all of
its first block is unknown the positions are alike at any scale. A fifth of the tokens is given, at
random. --rows are those of each preset, spread over the networks; with --alone and --cached, which
cost more, there are fewer. A row differs where some of its tokens does.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from _machine import about
from _report import Report, arguments, count, parsed
from _timing import threads
from torch import Tensor, nn
from torch.nn import functional

# --- what is asked of the library, all of it ----------------------------------------------------
import unmask
from unmask import presets
from unmask.models import BlockCache, Decoder


def strategies(block: int) -> dict[str, unmask.Strategy]:
    """The presets that rank, each in blocks of so many positions."""
    made = {
        "confidence": presets.confidence(3),
        "maskgit": presets.maskgit(3),
        "llada": presets.llada(3, block=block),
        "threshold": presets.threshold(0.9, block=block),
        "entropy_bound": presets.entropy_bound(0.5),
        "top_margin": presets.top_margin(3),
        "annealed": presets.annealed(3),
    }
    groups = unmask.Groups.blocks(block)
    return {name: strategy.but(groups=groups) for name, strategy in made.items()}


def wrapped(net: nn.Module) -> unmask.Denoiser:
    """A network (B,N) -> (B,N,IDS + 1) as a denoiser, the last id being the mask id."""
    return unmask.wrap(net, mask_id=IDS, vocab_size=IDS + 1)


def decoder(net: Any) -> Any:
    """A transformers decoder whose positions see their block and all before it."""
    return Decoder(net, IDS, block=BLOCK)


def cached(inner: Any) -> Any:
    """The same with what finished blocks said in a cache."""
    return BlockCache(inner)


def generated(
    denoiser: unmask.Denoiser, strategy: unmask.Strategy, given: Given, rows: slice
) -> Tensor:
    """Generate these rows together, each from its own seed -> (b,N) ids."""
    canvas = unmask.Canvas.infill(given.tokens[rows], given.editable[rows])
    return unmask.run(denoiser, canvas, strategy, seeds=given.seeds[rows]).tokens


# ------------------------------------------------------------------------------------------------

IDS, BLOCK, WIDTH, INNER, HEADS, DEPTH = 64, 8, 64, 512, 4, 2
BATCH = 64
GAIN = 1.5  # of weights: with less, all positions say the same whatever stands beside them
SCALES = (1e-7, 1e-5, 1e-3)  # of what a network knows of a place
Generate = Callable[[unmask.Strategy, "Given"], Tensor]
COLUMNS = ["preset", "rows", "rows differing", "tokens differing", *(f"at {s:g}" for s in SCALES)]


@dataclass(frozen=True)
class Given:
    """Rows to generate: tokens (B,N), where they are unknown, and a seed for each."""

    tokens: Tensor
    editable: Tensor
    seeds: Tensor

    @classmethod
    def random(cls, rows: int, length: int, seed: int) -> Given:
        """Make rows in which a fifth of the tokens is given, never all."""
        draw = torch.Generator().manual_seed(seed)
        editable = torch.rand(rows, length, generator=draw) < 0.8
        editable[:, 0] |= ~editable.any(1)
        tokens = torch.randint(IDS, (rows, length), generator=draw)
        return cls(tokens, editable, torch.arange(rows) + seed * rows)

    def first(self, rows: int) -> Given:
        """The first so many of them."""
        return Given(self.tokens[:rows], self.editable[:rows], self.seeds[:rows])


class Layer(nn.Module):
    """Attention and two matrices, each on normalised input."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.seen, self.told = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """(B,N,D) -> (B,N,D)."""
        parts = self.seen(self.before(x)).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        heads = functional.scaled_dot_product_attention(*parts)
        x = x + self.told(heads.transpose(1, 2).flatten(2))
        return x + self.down(functional.gelu(self.up(self.between(x))))


class Encoder(nn.Module):
    """A transformer in which all see all; places are embedded, as faintly as `scale` says."""

    def __init__(self, scale: float):
        super().__init__()
        torch.manual_seed(0)
        self.ids, self.place = nn.Embedding(IDS + 1, WIDTH), nn.Embedding(BLOCK, WIDTH)
        self.layers = nn.Sequential(*(Layer() for _ in range(DEPTH)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, IDS + 1)
        strengthened(self)
        self.place.weight.data *= scale
        self.eval()

    def forward(self, tokens: Tensor) -> Tensor:
        """(B,N) -> (B,N,V)."""
        return self.head(self.norm(self.layers(self.ids(tokens) + self.place.weight)))


def llama(scale: float) -> Any:
    """A Llama of transformers, whose attention depends on places (and ids) as faintly as that."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    net = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=IDS + 1,
            hidden_size=WIDTH,
            num_hidden_layers=DEPTH,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS // 2,
            intermediate_size=INNER,
            max_position_embeddings=2 * BLOCK,
            **dict.fromkeys(["pad_token_id", "bos_token_id", "eos_token_id"]),
        )
    )
    net.get_input_embeddings().weight.data.normal_()
    strengthened(net)
    for layer in net.model.layers:
        layer.self_attn.q_proj.weight.data *= scale
    return net.eval()


def strengthened(net: nn.Module) -> None:
    """Make weights so large that what stands at one position matters at the others."""
    for part in net.modules():
        if isinstance(part, nn.Linear):
            part.weight.data.normal_(std=GAIN / part.in_features**0.5)


def transposed(net: Encoder) -> Encoder:
    """The same network, whose matrices lie column by column."""
    net = deepcopy(net)
    for part in net.modules():
        if isinstance(part, nn.Linear):
            part.weight.data = part.weight.data.t().contiguous().t()
    return net


def reordered(net: Encoder) -> Encoder:
    """The same network, which adds up the units between two matrices the other way round."""
    net = deepcopy(net)
    for layer in net.layers:
        layer.up.weight.data, layer.up.bias.data = layer.up.weight.flip(0), layer.up.bias.flip(0)
        layer.down.weight.data = layer.down.weight.flip(1)
    return net


def together(denoiser: Any, strategy: unmask.Strategy, given: Given, batch: int = BATCH) -> Tensor:
    """Generate all rows, so many at a time -> (B,N) ids."""
    starts = range(0, len(given.tokens), batch)
    return torch.cat([generated(denoiser, strategy, given, slice(i, i + batch)) for i in starts])


def by_other_kernels(denoiser: Any, strategy: unmask.Strategy, given: Given) -> Tensor:
    """Generate all rows without oneDNN, where torch has it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "TF32")  # which is another flag's, of another device
        with torch.backends.mkldnn.flags(enabled=False):
            return together(denoiser, strategy, given)


class Differing:
    """A table to be filled network by network: what differs, by preset."""

    def __init__(self, title: str):
        self.title = title
        self.rows: dict[str, list[int]] = {}  # by preset: compared, and differing by network
        self.tokens: dict[str, int] = {}

    def add(self, preset: str, one: Tensor, other: Tensor) -> None:
        """Compare the first rows of both, as many as both have."""
        rows = min(len(one), len(other))
        differs = one[:rows] != other[:rows]
        counts = self.rows.setdefault(preset, [0])
        counts[0] += rows
        counts.append(int(differs.any(1).sum()))
        self.tokens[preset] = self.tokens.get(preset, 0) + int(differs.sum())

    def told(self, report: Report) -> None:
        """Add the table, or fill the first."""
        table = report.table(self.title, COLUMNS) if report.rows else report
        table.title = self.title
        for preset, (rows, *differing) in self.rows.items():
            table.add(preset, rows, sum(differing), self.tokens[preset], *differing)


def share(rows: int) -> int:
    """Rows of one network."""
    return -(-rows // len(SCALES))


def ways(net: Encoder) -> dict[str, Generate]:
    """The ways that cost as much as the usual one, from a strategy and rows to tokens."""
    return {
        "matrices transposed": partial(together, wrapped(transposed(net))),
        "without oneDNN": partial(by_other_kernels, wrapped(net)),
        "terms in another order": partial(together, wrapped(reordered(net))),
    }


def measure(report: Report, options: argparse.Namespace) -> None:
    """Add a table for each way but the cache."""
    found = {"each row alone": Differing("each row alone")}
    for seed, scale in enumerate(SCALES):
        net = Encoder(scale)
        denoiser, others = wrapped(net), ways(net)
        given = Given.random(share(options.rows), BLOCK, seed)
        few = given.first(share(options.alone))
        for name, strategy in strategies(BLOCK).items():
            usual = together(denoiser, strategy, given)
            found["each row alone"].add(name, usual, together(denoiser, strategy, few, batch=1))
            for way, call in others.items():
                found.setdefault(way, Differing(way)).add(name, usual, call(strategy, given))
        print(f"compared encoders, places at {scale:g}", flush=True)
    for each in found.values():
        each.told(report)


def measure_cache(report: Report, options: argparse.Namespace) -> None:
    """Add the table of a decoder with and without a cache of its finished blocks."""
    found = Differing("finished blocks from a cache")
    for seed, scale in enumerate(SCALES):
        inner = decoder(llama(scale))
        given = Given.random(share(options.cached), 2 * BLOCK, seed)
        for name, strategy in strategies(BLOCK).items():
            usual = together(inner, strategy, given)
            found.add(name, usual, together(cached(inner), strategy, given))
        print(f"compared decoders, places at {scale:g}", flush=True)
    found.told(report)


def main() -> None:
    parser = arguments(argparse.ArgumentParser(description=__doc__), repeats=1)
    parser.add_argument("--rows", type=count, default=10_000, help="of each preset")
    parser.add_argument("--alone", type=count, default=1500, help="of these, also alone")
    parser.add_argument("--cached", type=count, default=1500, help="of each preset, by decoders")
    options = parsed(parser, rows=200, alone=15, cached=60)
    threads(options.threads)
    report = Report("near_ties", about("transformers"), COLUMNS)
    measure(report, options)
    measure_cache(report, options)
    report.note(f"N={BLOCK} of encoders, {2 * BLOCK} of decoders, V={IDS}, {BATCH} rows at a time")
    rows = [row for table in report.tables for row in table.rows]
    differing, compared = (sum(row[name] for row in rows) for name in ("rows differing", "rows"))
    report.note(f"{differing:,} of {compared:,} rows differ")
    report.finish(options)


if __name__ == "__main__":
    main()
