"""diffusers' masked schedulers against the presets that take the same steps, on one network.

    python benchmarks/peer_loops.py [--vocab 8192 32000] [--batch 4] [--length 256]
        [--block 32] [--block-steps 4] [--steps 18] [--repeats 5] [--threads 2]

The network is an x-transformers Encoder with random weights, as a plain callable whose logit of the
mask id is −inf, so that no peer draws it and both sides take the same forwards, which is checked.
BlockRefinementScheduler (threshold 1: its counts alone decide) runs block after block as its
pipeline does, against `llada`; AmusedScheduler against `amused`. "unmask, head apart" is the same
preset on the network itself, whose head is then asked only where somebody looks.

Times are in units of T bare full forwards. The largest new tensor, as a share of the B·N·V float32
logits of one forward, is given of the loop alone and with what the network makes; weights, views
and what a kernel holds for itself (such as the noise of torch.multinomial) do not count.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from _machine import about
from _memory import Largest
from _networks import Size, Watched, encoder
from _report import Report, Rows, arguments, count, parsed
from _timing import measured, threads
from torch import Tensor, nn

import unmask
from unmask import presets

NEVER = 1.0  # a threshold that no probability exceeds
CPU = torch.device("cpu")
PEER, PLAIN, APART = "diffusers", "unmask", "unmask, head apart"
Logits = Callable[[Tensor], Tensor]  # (B,N) -> (B,N,V)


@dataclass(frozen=True)
class Contest:
    """A peer's loop and the preset that takes the same steps; T forwards each."""

    rule: str
    peer: Callable[[Logits], Tensor]
    strategy: unmask.Strategy
    forwards: int
    greedy: bool  # then the ids can be compared


class Network:
    """(B,N) -> (B,N,V), never the mask id; counts its calls, and runs within what `within` says."""

    def __init__(self, net: nn.Module, mask_id: int):
        self.net, self.mask_id, self.calls = net, mask_id, 0
        self.within: Callable[[], AbstractContextManager[None]] = nullcontext

    def __call__(self, tokens: Tensor) -> Tensor:
        self.calls += 1
        with self.within():
            logits = self.net(tokens)
            logits[..., self.mask_id] = -torch.inf
        return logits


@dataclass(frozen=True)
class Sides:
    """The two sides of a contest, and ours where trunk and head come apart."""

    contest: Contest
    size: Size
    net: nn.Module
    logits: Network

    def ours(self, denoiser: unmask.Denoiser) -> Tensor:
        return unmask.generate(denoiser, self.size.blank(), self.contest.strategy, seed=0)

    def peer(self) -> Tensor:
        return self.contest.peer(self.logits)

    def plain(self) -> Tensor:
        size = self.size
        return self.ours(unmask.wrap(self.logits, mask_id=size.mask_id, vocab_size=size.vocab))

    def apart(self, within: Callable[[], AbstractContextManager[None]] = nullcontext) -> Tensor:
        denoiser = unmask.wrap(self.net, mask_id=self.size.mask_id)
        return self.ours(Watched(denoiser, lambda _: within()))

    def calls(self) -> dict[str, Callable[[], Tensor]]:
        return {PEER: self.peer, PLAIN: self.plain, APART: self.apart}

    def largest(self, name: str, alone: bool) -> int:
        """Bytes of the largest new tensor; alone: outside the network."""
        seen = Largest()
        within = seen.pause if alone else nullcontext
        self.logits.within = within
        call = partial(self.apart, within) if name == APART else self.calls()[name]
        try:
            with torch.no_grad(), seen:
                call()
        finally:
            self.logits.within = nullcontext
        return seen.bytes


def block_refinement(
    size: Size, block: int, steps: int, temperature: float, logits: Logits
) -> Tensor:
    """Block after block, each until it is full, as the peer's pipeline has it: (B,N)."""
    from diffusers.schedulers.scheduling_block_refinement import BlockRefinementScheduler

    scheduler = BlockRefinementScheduler(block_length=block, threshold=NEVER)
    scheduler.set_timesteps(steps)
    tokens = torch.full((size.batch, size.length), size.mask_id)
    for first in range(0, size.length, block):
        inside = slice(first, first + block)
        for timestep in range(steps):
            tokens[:, inside] = scheduler.step(
                logits(tokens)[:, inside],
                timestep,
                tokens[:, inside],
                mask_token_id=size.mask_id,
                temperature=temperature,
            ).prev_sample
    return tokens


def amused(size: Size, steps: int, logits: Logits) -> Tensor:
    """(B,N), with the schedule and the noise that are its defaults."""
    from diffusers.schedulers.scheduling_amused import AmusedScheduler

    scheduler = AmusedScheduler(mask_token_id=size.mask_id)
    scheduler.set_timesteps(steps, temperature=(2, 0))
    tokens = torch.full((size.batch, size.length), size.mask_id)
    for timestep in scheduler.timesteps.tolist():
        tokens = scheduler.step(logits(tokens), timestep, tokens).prev_sample
    return tokens


def contests(size: Size, options: argparse.Namespace) -> list[Contest]:
    block, steps = options.block, options.block_steps
    in_blocks = [
        Contest(
            f"block refinement, {name}",
            partial(block_refinement, size, block, steps, temperature),
            presets.llada(steps, block, temperature),
            steps * size.length // block,
            greedy=not temperature,
        )
        for name, temperature in (("greedy", 0.0), ("drawn", 1.0))
    ]
    whole = partial(amused, size, options.steps)
    preset = presets.amused(options.steps)
    return [*in_blocks, Contest("amused", whole, preset, options.steps, greedy=False)]


@torch.no_grad()
def check(sides: Sides) -> str | None:
    """What to say of ids that can be compared. SystemExit where one side does other work."""
    contest, made = sides.contest, []
    for name in (PEER, PLAIN):
        before = sides.logits.calls
        made.append(sides.calls()[name]())
        taken = sides.logits.calls - before
        if taken != contest.forwards:
            raise SystemExit(
                f"{contest.rule}: {name} took {taken} forwards, not {contest.forwards}: pass fewer "
                "--steps or --block-steps, well below the positions there are"
            )
    same = torch.stack(made).diff(dim=0).eq(0).double().mean().item()
    return f"{contest.rule}: {same:.2%} of the ids are the same" if contest.greedy else None


def measure(report: Report, memory: Rows, sides: Sides, repeats: int) -> None:
    """A row of each table."""
    contest, size = sides.contest, sides.size
    if said := check(sides):
        report.note(f"V = {size.vocab:,}, {said}")
    blank = torch.full((size.batch, size.length), size.mask_id)
    times = measured({"forward": lambda: sides.logits(blank), **sides.calls()}, repeats)
    floor = contest.forwards * times.pop("forward").median
    gains = [times[PEER].median / times[name].median for name in (PLAIN, APART)]
    ratios = [each.over(floor) for each in times.values()]
    report.add(contest.rule, size.vocab, contest.forwards, *ratios, *gains)
    whole = 4 * size.batch * size.length * size.vocab
    shares = [
        sides.largest(name, alone) / whole for alone in (True, False) for name in sides.calls()
    ]
    memory.add(contest.rule, size.vocab, *shares)


def options_of() -> argparse.Namespace:
    parser = arguments(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--vocab", type=count, nargs="+", default=[8192, 32_000])
    parser.add_argument("--batch", type=count, default=4)
    parser.add_argument("--length", type=count, default=256)
    parser.add_argument("--block", type=count, default=32)
    parser.add_argument("--block-steps", type=count, default=4)
    parser.add_argument("--steps", type=count, default=18)
    parser.add_argument("--dim", type=count, default=256)
    parser.add_argument("--depth", type=count, default=6)
    tiny: dict[str, Any] = {"vocab": [500], "batch": 2, "length": 16, "dim": 16, "depth": 1}
    options = parsed(parser, block=8, block_steps=2, steps=4, **tiny)
    if options.length % options.block:
        parser.error(f"--block {options.block} does not divide --length {options.length}")
    if options.block_steps > options.block:
        parser.error(f"--block-steps {options.block_steps}: a block has {options.block} positions")
    return options


def main() -> None:
    options = options_of()
    if find_spec("diffusers") is None:
        print("nothing to do: diffusers is not installed, whose version here needs Python 3.11")
        return
    threads(options.threads)
    columns = ["rule", "V", "T", PEER, PLAIN, APART, f"{PEER} / {PLAIN}", f"{PEER} / {APART}"]
    machine = about("diffusers", "x-transformers")
    title = "time / T full forwards: median (least–most)"
    report = Report("peer_loops", machine, columns, title)
    columns = [f"{name}: {part}" for part in ("loop", "all") for name in (PEER, PLAIN, APART)]
    title = "largest new tensor / logits of one forward"
    memory = report.table(title, ["rule", "V", *columns])
    for vocab in options.vocab:
        size = Size(vocab, options.batch, options.length, options.dim, options.depth)
        net = encoder(size, CPU)
        for contest in contests(size, options):
            sides = Sides(contest, size, net, Network(net, size.mask_id))
            measure(report, memory, sides, options.repeats)
            print(f"measured V = {vocab:,}, {contest.rule}", flush=True)
    report.finish(options)


if __name__ == "__main__":
    main()
