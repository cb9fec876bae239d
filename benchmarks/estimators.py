"""Spread of the bound's estimators on a Markov chain whose conditionals are known.

    python benchmarks/estimators.py [--length 64] [--rows 20000] [--batches 4000] [--json] [--quick]

The network is the truth: a chain over 11 ids that goes from x to 3x, 3x + 1, 3x + 2 or 3x + 3
modulo 11, all alike; a masked position is predicted from its nearest visible neighbours. The bound
of a sequence is then its −log p(x), the same for every sequence, so that the mean shows an
estimator's bias and its standard deviation what is left to average out. Each row is a sequence of
its own. Nothing is learnt or timed, and every figure depends on the seed alone.

The last table is of the same chain generated in blocks, each predicted from its own visible ids and
the id before it.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from _machine import about
from _report import parsed
from torch import Tensor

import unmask
from unmask import objectives
from unmask.core.random import Purpose, derive, fold, uniform
from unmask.objectives import corruption

IDS, FACTOR, CHOICES, BATCH, CHUNK = 11, 3, 4, 8, 1000
BLOCKS = (4, 8, 32)
Estimator = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


class Chain:
    """tokens (B,N) -> log p(x_i | nearest visible neighbours), (B,N,IDS+1); the mask id is IDS."""

    def __init__(self, length: int):
        step = torch.zeros(IDS, IDS, dtype=torch.float64)
        ids = torch.arange(IDS)
        for choice in range(CHOICES):
            step[ids, (FACTOR * ids + choice) % IDS] += 1 / CHOICES
        powers = [torch.eye(IDS, dtype=torch.float64)]
        for _ in range(length):
            powers.append(powers[-1] @ step)
        # After the last id one more, for no visible neighbour: every id is as likely then.
        every = torch.nn.functional.pad(torch.stack(powers), (0, 0, 0, 1), value=1.0)
        self.left = every.clamp(min=1e-300).log().float()
        self.right = torch.stack(powers).transpose(1, 2)
        self.right = torch.nn.functional.pad(self.right, (0, 0, 0, 1), value=1.0)
        self.right = self.right.clamp(min=1e-300).log().float()

    def __call__(self, tokens: Tensor) -> Tensor:
        length = tokens.shape[1]
        place = torch.arange(length).expand_as(tokens)
        seen = tokens != IDS
        before = place.where(seen, -1).cummax(1).values
        after = place.where(seen, length).flip(1).cummin(1).values.flip(1)
        known = torch.nn.functional.pad(tokens, (1, 1), value=IDS)
        left = self.left[(place - before).clamp(max=length), known.gather(1, before + 1)]
        right = self.right[(after - place).clamp(max=length), known.gather(1, after + 1)]
        return torch.nn.functional.pad((left + right).log_softmax(-1), (0, 1))


class Blocks:
    """The chain as a network with blocks of `size`, which sees `clean` ids of the block before."""

    device = None

    def __init__(self, size: int):
        self.size, self.chain = size, Chain(size + 1)
        one = unmask.wrap(self.chain, mask_id=IDS, vocab_size=IDS + 1, try_network=False)
        self.spec = replace(one.spec, block_size=size, two_streams=True)

    def forward(self, query: Any, cache: Any) -> tuple[Tensor, None]:
        rows, length = query.tokens.shape
        own = query.tokens.view(rows, -1, self.size)
        last = (query.tokens if query.clean is None else query.clean).view_as(own)[:, :-1, -1:]
        before = torch.cat([torch.full_like(own[:, :1, :1], IDS), last], 1)
        found = self.chain(torch.cat([before, own], 2).flatten(0, 1))[:, 1:]
        return found.reshape(rows, length, -1), None

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden

    def projection(self, hidden: Tensor) -> None:
        return None


def draw(seeds: Tensor, length: int) -> Tensor:
    """(B,N) a sequence of the chain for each seed."""
    u = uniform(seeds[:, None], 0, torch.arange(length), Purpose.TASK)[..., 0]
    ids = [(u[:, 0] * IDS).long()]
    for choice in (u[:, 1:] * CHOICES).long().unbind(1):
        ids.append((FACTOR * ids[-1] + choice) % IDS)
    return torch.stack(ids, 1)


def nats(length: int) -> float:
    """−log p(x) per token of any sequence."""
    return (math.log(IDS) + (length - 1) * math.log(CHOICES)) / length


def of_network(net: unmask.Denoiser, objective: Callable[..., unmask.Loss]) -> Estimator:
    return lambda x, free, seeds, u: objective(net, x, free, seeds, time=u).per_example


def by_block(size: int) -> dict[str, tuple[int, Estimator]]:
    """The same as `estimators`, of the chain in blocks."""
    of = partial(of_network, Blocks(size))
    return {
        "count of the row": (1, of(objectives.count)),
        "block_diffusion": (1, of(objectives.block_diffusion)),
        "complementary of the row": (2, of(objectives.complementary)),
        "block_diffusion, pairs": (2, of(partial(objectives.block_diffusion, pairs=True))),
    }


def estimators(net: unmask.Denoiser) -> dict[str, tuple[int, Estimator]]:
    """Name -> forwards a row, and (tokens, maskable, seeds, times) -> nats per row."""
    of = partial(of_network, net)

    def twice(x: Tensor, free: Tensor, seeds: Tensor, u: Tensor) -> Tensor:
        other = seeds ^ (1 << 40)
        again = corruption.independent_times(other)
        pair = [of(objectives.count)(x, free, s, t) for s, t in ((seeds, u), (other, again))]
        return (pair[0] + pair[1]) / 2

    return {
        "bernoulli, 1/t": (1, of(objectives.bernoulli)),
        "bernoulli, (N+1)/K": (1, of(objectives.bernoulli_by_count)),
        "count, N/k": (1, of(objectives.count)),
        "count, two independent": (2, twice),
        "complementary pair": (2, of(objectives.complementary)),
    }


def sample(estimator: Estimator, length: int, seeds: Tensor, times: Tensor) -> Tensor:
    """(rows,) nats per token, each row a sequence of its own."""
    out = []
    for seed, u in zip(seeds.split(CHUNK), times.split(CHUNK), strict=True):
        x = draw(seed, length)
        out.append(estimator(x, torch.ones_like(x, dtype=torch.bool), seed, u))
    return torch.cat(out) / length


def times(way: str, batches: int, seed: int) -> tuple[Tensor, Tensor]:
    """Row seeds and times (batches · BATCH,) of one way to spread a batch over the schedule."""
    slot = torch.arange(BATCH).repeat(batches)
    step = torch.arange(batches).repeat_interleave(BATCH)
    seeds = fold(seed, step * BATCH + slot)
    if way == "independent":
        return seeds, corruption.independent_times(seeds)
    if way == "stratified":
        return seeds, corruption.slot_times(seeds, slot, BATCH)
    steps = derive(seed + 1, batches).tolist()
    each = torch.arange(BATCH)
    return seeds, torch.cat([corruption.offset_times(s, each, BATCH) for s in steps])


def measure(length: int, rows: int, batches: int, seed: int) -> dict[str, Any]:
    every = estimators(unmask.wrap(Chain(length), mask_id=IDS, vocab_size=IDS + 1))
    seeds = derive(seed, rows)
    table = []
    for name, (forwards, estimator) in every.items():
        each = sample(estimator, length, seeds, corruption.independent_times(seeds))
        spread = float(each.std())
        table.append(
            {
                "estimator": name,
                "forwards": forwards,
                "mean": float(each.mean()),
                "std": spread,
                "variance x forwards": spread**2 * forwards,
            }
        )
    batch = {}
    for way in ("independent", "shared offset", "stratified"):
        for name in ("count, N/k", "complementary pair"):
            each = sample(every[name][1], length, *times(way, batches, seed))
            batch[f"{name}, {way}"] = float(each.view(batches, BATCH).mean(1).std())
    return {
        "length": length,
        "truth": nats(length),
        "estimators": table,
        "batch of 8": batch,
        "blocks": [row for size in BLOCKS for row in blocks_of(size, length, batches, seed)],
    }


def blocks_of(size: int, length: int, batches: int, seed: int) -> list[dict[str, Any]]:
    """Rows of the table of blocks of one size: single rows, and batches of 8 in strata."""
    if length % size:
        return []
    alone, strata = times("independent", batches, seed), times("stratified", batches, seed)
    table = []
    for name, (forwards, estimator) in by_block(size).items():
        each, mean = sample(estimator, length, *alone), sample(estimator, length, *strata)
        batch = float(mean.view(batches, BATCH).mean(1).std())
        row = {"block": size, "estimator": name, "forwards": forwards, "mean": float(each.mean())}
        row |= {"std": float(each.std()), "variance x forwards": float(each.var()) * forwards}
        table.append(row | {"batch std": batch, "batch variance x forwards": batch**2 * forwards})
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--batches", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--quick", action="store_true", help="few rows: does it run?")
    options = parsed(parser, rows=200, batches=40)
    result = measure(options.length, options.rows, options.batches, options.seed)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print(about())
    print(f"N = {result['length']}, truth {result['truth']:.4f} nats per token\n")
    print(f"{'estimator':<24}{'forwards':>9}{'mean':>9}{'std':>8}{'var x fwd':>11}")
    for row in result["estimators"]:
        print(
            f"{row['estimator']:<24}{row['forwards']:>9}{row['mean']:>9.4f}{row['std']:>8.3f}"
            f"{row['variance x forwards']:>11.4f}"
        )
    print(f"\nmean of a batch of {BATCH}, std:")
    for way, spread in result["batch of 8"].items():
        print(f"  {way:<34}{spread:>7.3f}")
    print("\nin blocks of                         mean     std  var x fwd   std of 8  var x fwd")
    for row in result["blocks"]:
        print(
            f"{row['block']:>4} {row['estimator']:<28}{row['mean']:>9.4f}{row['std']:>8.4f}"
            f"{row['variance x forwards']:>11.5f}{row['batch std']:>11.4f}"
            f"{row['batch variance x forwards']:>11.6f}"
        )


if __name__ == "__main__":
    main()
