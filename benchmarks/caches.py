"""What caches of keys and values cost in quality and save in time, on decoders trained on the spot.

    python benchmarks/caches.py [--training 300] [--steps 4] [--rows 256] [--repeats 3] [--json]

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
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from _machine import about
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


def measured(ways: dict[str, Any], options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each way to decode one network, the first without a cache."""
    strategy = presets.random_order(options.steps).but(groups=Groups.blocks(options.block))
    canvas = unmask.Canvas.blank(options.rows, options.length)
    times: dict[str, list[float]] = {name: [] for name in ways}
    base = next(iter(ways))
    made: dict[str, Any] = {}
    for _ in range(1 + options.repeats):  # the first is not counted
        for name, denoiser in ways.items():
            if name != base:
                denoiser.tally = Tally()
            begun = time.perf_counter()
            made[name] = unmask.run(denoiser, canvas, strategy, seed=0)
            times[name].append(time.perf_counter() - begun)
    everything = int(made[base].forwards.sum()) * options.length
    return [
        {
            "way": name,
            "kl": bigram_kl(made[name].tokens),
            "nats": nats(made[name].tokens),
            "tokens changed": float((made[name].tokens != made[base].tokens).double().mean()),
            "positions": 1.0 if name == base else denoiser.tally.queries / everything,
            "seconds": statistics.median(times[name][1:]) / statistics.median(times[base][1:]),
        }
        for name, denoiser in ways.items()
    ]


def both(options: argparse.Namespace) -> list[dict[str, Any]]:
    block = options.block
    seeing_all = trained(Decoder(network(options), MARKOV.mask_id), options)
    causal = trained(Decoder(network(options), MARKOV.mask_id, block=block), options)
    return [
        *measured(
            {
                "all see all": seeing_all,
                "  prefix, approximate": ReusedCache(seeing_all, block, "prefix"),
                "  dual, approximate": ReusedCache(seeing_all, block, "dual"),
            },
            options,
        ),
        *measured({"block-causal": causal, "  exact cache": BlockCache(causal)}, options),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--training", type=int, default=300, help="batches of each network")
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--block", type=int, default=8)
    parser.add_argument("--steps", type=int, default=4, help="of each block")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = both(options)
    if options.json:
        print(json.dumps({"machine": about("transformers"), "rows": rows}, indent=2))
        return
    noise = 63 / (2 * (options.length - 1) * options.rows)
    print(about("transformers"))
    print(f"entropy rate {true_nats():.3f} nats; the law's own samples: KL {noise:.4f}\n")
    names = list(rows[0])
    print(f"{names[0]:<24}" + "".join(f"{name:>16}" for name in names[1:]))
    for row in rows:
        print(f"{row['way']:<24}" + "".join(f"{row[name]:>16.3f}" for name in names[1:]))


if __name__ == "__main__":
    main()
