"""What caches of keys and values cost in quality and save in time, on decoders trained on the spot.

    python benchmarks/caches.py [--training 300] [--steps 4] [--rows 256] [--repeats 3]

Two small decoders (transformers' LlamaForCausalLM) learn the Markov chain of 8 states of
`tests/laws`: a block that is partly unknown, after known blocks and before unknown ones. In one all
positions see all, in the other their block and what is before it. Each is decoded block by block
without a cache and with its caches. Quality: KL of the generated neighbours to the law, in nats,
and minus the mean log-probability of a token after the one before, whose truth is the entropy rate.
Cost: positions that pass through the network, and seconds (the median of runs in turn), as ratios
to the same decoder without a cache. Only ratios of one run mean anything, and of seconds only at
the sizes given: what is saved grows with --length and with the network.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from _machine import about
from _report import Report, arguments, count, parsed
from _timing import measured, threads
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the law is that of the tests
from tests.laws.chain import MARKOV, bigram_kl, nats, true_nats

import unmask
from unmask import Groups, objectives, presets
from unmask.models import BlockCache, Decoder, ReusedCache, Tally

BATCH, RATE = 64, 3e-3


def network(options: argparse.Namespace) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=MARKOV.vocab_size,
            hidden_size=options.width,
            num_hidden_layers=options.layers,
            num_attention_heads=4,
            intermediate_size=2 * options.width,
            max_position_embeddings=options.length,
            **dict.fromkeys(["pad_token_id", "bos_token_id", "eos_token_id"]),
        )
    )


def chains(rows: int, length: int, draw: torch.Generator) -> Tensor:
    """(rows,length) of the law itself."""
    tokens = [torch.multinomial(MARKOV.stationary, rows, True, generator=draw)]
    for _ in range(length - 1):
        now = MARKOV.transition[tokens[-1]]
        tokens.append(torch.multinomial(now, 1, generator=draw).squeeze(1))
    return torch.stack(tokens, 1)


def trained(denoiser: Decoder, options: argparse.Namespace) -> Decoder:
    """The decoder, after --training batches in which one block of each row is learnt."""
    draw, place = torch.Generator().manual_seed(1), torch.arange(options.length)
    optimizer = torch.optim.AdamW(denoiser.parameters(), RATE)
    decay = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, options.training)
    for step in range(options.training):
        tokens = chains(BATCH, options.length, draw)
        which = torch.randint(-(-options.length // options.block), (BATCH, 1), generator=draw)
        tokens = tokens.masked_fill(place // options.block > which, MARKOV.mask_id)
        learnt = place // options.block == which
        optimizer.zero_grad()
        objectives.complementary(denoiser, tokens, learnt, step).loss.backward()
        optimizer.step()
        decay.step()
    return denoiser.eval()


def added(report: Report, ways: dict[str, Any], options: argparse.Namespace) -> None:
    """A row for each way to decode one network, the first without a cache."""
    strategy = presets.random_order(options.steps).but(groups=Groups.blocks(options.block))
    canvas = unmask.Canvas.blank(options.rows, options.length)
    base = next(iter(ways))
    made: dict[str, Any] = {}

    def call(name: str) -> None:
        if name != base:
            ways[name].tally = Tally()
        made[name] = unmask.run(ways[name], canvas, strategy, seed=0)

    times = measured({name: lambda name=name: call(name) for name in ways}, options.repeats)
    everything = int(made[base].forwards.sum()) * options.length
    for name, denoiser in ways.items():
        tokens = made[name].tokens
        changed = float((tokens != made[base].tokens).double().mean())
        share = 1.0 if name == base else denoiser.tally.queries / everything
        over = times[name].over(times[base].median)
        report.add(name, bigram_kl(tokens), nats(tokens), changed, share, over)


def measure(report: Report, options: argparse.Namespace) -> None:
    block = options.block
    seeing_all = trained(Decoder(network(options), MARKOV.mask_id), options)
    causal = trained(Decoder(network(options), MARKOV.mask_id, block=block), options)
    reused = {
        "prefix, approximate": ReusedCache(seeing_all, block, "prefix"),
        "dual, approximate": ReusedCache(seeing_all, block, "dual"),
    }
    added(report, {"all see all, no cache": seeing_all, **reused}, options)
    exact = {"block-causal, no cache": causal, "exact cache": BlockCache(causal)}
    added(report, exact, options)
    noise = 63 / (2 * (options.length - 1) * options.rows)
    report.note(f"entropy rate {true_nats():.3f} nats; samples of the law itself: KL {noise:.4f}")


def main() -> None:
    parser = arguments(argparse.ArgumentParser(description=__doc__), repeats=3)
    parser.add_argument("--training", type=count, default=300, help="batches of each network")
    for name, default in (("length", 64), ("block", 8), ("width", 64), ("layers", 2)):
        parser.add_argument(f"--{name}", type=count, default=default)
    parser.add_argument("--steps", type=count, default=4, help="of each block")
    parser.add_argument("--rows", type=count, default=256)
    options = parsed(parser, training=2, length=16, block=4, width=16, layers=2, rows=8, steps=2)
    threads(options.threads)
    columns = ["way", "bigram KL", "nats", "tokens changed", "positions passed", "time"]
    size = f"N={options.length}, W={options.block}, {options.steps} steps a block"
    title = f"Decoder {options.width} × {options.layers}, {size}, over the same without a cache"
    report = Report("caches", about("transformers"), columns, title)
    measure(report, options)
    report.finish(options)


if __name__ == "__main__":
    main()
