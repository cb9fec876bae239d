"""diffusers' masked schedulers against the presets that take the same steps, on one network.

    python benchmarks/peer_loops.py [--vocab 8192 32000] [--batch 4] [--length 256]
        [--block 32] [--block-steps 4] [--steps 18] [--repeats 3] [--threads 2] [--json FILE]

The network is an x-transformers Encoder of width 256 and depth 6 with random weights, as a plain
callable whose logit of the mask id is −inf, so that no peer draws it and both sides take the same
number of forwards. BlockRefinementScheduler (threshold 1: its counts alone decide) runs block after
block as its pipeline does, against `llada`; AmusedScheduler against `amused`. "unmask, head apart"
is the same preset on the network itself, whose head is then asked only where somebody looks.

Every time is a median over the same number of bare full forwards. "Loop" is the largest new tensor
that the loop allocates outside the network, "all" the largest anywhere, over the B·N·V float32
logits of one forward; weights are not counted, nor what a tensor shares with another.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from _machine import about
from _report import report
from _timing import measured
from diffusers.schedulers.scheduling_amused import AmusedScheduler
from diffusers.schedulers.scheduling_block_refinement import BlockRefinementScheduler
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from x_transformers import Encoder, TransformerWrapper

import unmask
from unmask import presets

NEVER = 1.0  # a threshold that no probability exceeds
Logits = Callable[[Tensor], Tensor]  # (B,N) -> (B,N,V)


@dataclass(frozen=True)
class Sizes:
    """One table: V ids, B rows, N positions; steps of each block, and of the whole canvas."""

    vocab: int
    batch: int
    length: int
    block: int
    block_steps: int
    steps: int
    width: int
    depth: int

    @property
    def mask_id(self) -> int:
        return self.vocab - 1

    def blank(self) -> Tensor:
        return torch.full((self.batch, self.length), self.mask_id)


@dataclass(frozen=True)
class Contest:
    """A peer's loop and the preset that takes the same steps; forwards are those of both."""

    rule: str
    peer: Callable[[Logits], Tensor]
    strategy: unmask.Strategy
    forwards: int
    alike: bool  # nothing is left to chance, so that the ids can be compared


class Largest(TorchDispatchMode):
    """Notes the largest storage that operations allocate, anywhere and outside the network."""

    def __init__(self) -> None:
        super().__init__()
        self.anywhere = self.outside = self.depth = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = {_storage(x) for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        for made in tree_leaves(out):
            if isinstance(made, Tensor) and _storage(made) not in given:
                size = made.untyped_storage().nbytes()
                self.anywhere = max(self.anywhere, size)
                if not self.depth:
                    self.outside = max(self.outside, size)
        return out

    @contextmanager
    def watching(self, *networks: nn.Module) -> Iterator[None]:
        """What these modules allocate is theirs, and counts for `anywhere` alone."""

        def enter(*_: Any) -> None:
            self.depth += 1

        def leave(*_: Any) -> None:
            self.depth -= 1

        handles = [n.register_forward_pre_hook(enter) for n in networks]
        handles += [n.register_forward_hook(leave) for n in networks]
        try:
            with self:
                yield
        finally:
            for handle in handles:
                handle.remove()


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


@dataclass
class Counted:
    """The network as a callable, with the mask id ruled out, and how often it was called."""

    net: nn.Module
    mask_id: int
    calls: int = field(default=0)

    def __call__(self, tokens: Tensor) -> Tensor:
        self.calls += 1
        logits = self.net(tokens)
        logits[..., self.mask_id] = -torch.inf
        return logits


def network(sizes: Sizes) -> nn.Module:
    torch.manual_seed(0)
    layers = Encoder(dim=sizes.width, depth=sizes.depth, heads=8)
    return TransformerWrapper(
        num_tokens=sizes.vocab, max_seq_len=sizes.length, attn_layers=layers
    ).eval()


def block_refinement(sizes: Sizes, temperature: float, logits: Logits) -> Tensor:
    """Block after block, each until it is full, as the peer's pipeline has it: (B,N)."""
    scheduler = BlockRefinementScheduler(block_length=sizes.block, threshold=NEVER)
    scheduler.set_timesteps(sizes.block_steps)
    tokens = sizes.blank()
    for first in range(0, sizes.length, sizes.block):
        inside = slice(first, first + sizes.block)
        for timestep in range(sizes.block_steps):
            tokens[:, inside] = scheduler.step(
                logits(tokens)[:, inside],
                timestep,
                tokens[:, inside],
                mask_token_id=sizes.mask_id,
                temperature=temperature,
            ).prev_sample
    return tokens


def amused(sizes: Sizes, logits: Logits) -> Tensor:
    """(B,N), with the schedule and the noise that are its defaults."""
    scheduler = AmusedScheduler(mask_token_id=sizes.mask_id)
    scheduler.set_timesteps(sizes.steps, temperature=(2, 0))
    tokens = sizes.blank()
    for timestep in scheduler.timesteps.tolist():
        tokens = scheduler.step(logits(tokens), timestep, tokens).prev_sample
    return tokens


def contests(sizes: Sizes) -> list[Contest]:
    in_blocks = sizes.block_steps * sizes.length // sizes.block
    made = [
        Contest(
            f"block refinement, {name}",
            lambda logits, t=temperature: block_refinement(sizes, t, logits),
            presets.llada(sizes.block_steps, sizes.block, temperature),
            in_blocks,
            alike=temperature == 0,
        )
        for name, temperature in (("greedy", 0.0), ("drawn", 1.0))
    ]
    made.append(
        Contest(
            "amused",
            lambda logits: amused(sizes, logits),
            presets.amused(sizes.steps),
            sizes.steps,
            alike=False,
        )
    )
    return made


def measure(contest: Contest, sizes: Sizes, repeats: int) -> list[dict[str, Any]]:
    """One row a side; ratios to the same number of bare forwards and to B·N·V float32."""
    net = network(sizes)
    logits = Counted(net, sizes.mask_id)
    canvas = unmask.Canvas.blank(sizes.batch, sizes.length)

    def ours(denoiser: unmask.Denoiser) -> Tensor:
        return unmask.generate(denoiser, canvas, contest.strategy, seed=0)

    plain = unmask.wrap(logits, mask_id=sizes.mask_id, vocab_size=sizes.vocab)
    apart = unmask.wrap(net, mask_id=sizes.mask_id)
    sides: dict[str, Callable[[], Tensor]] = {
        "diffusers": lambda: contest.peer(logits),
        "unmask": lambda: ours(plain),
        "unmask, head apart": lambda: ours(apart),
    }
    with torch.no_grad():
        marks = {name: _allocated(side, net, logits) for name, side in sides.items()}
        _check(contest, marks)
        times = measured({"forward": lambda: logits(sizes.blank()), **sides}, repeats)
    floor = contest.forwards * times["forward"]
    whole = 4 * sizes.batch * sizes.length * sizes.vocab
    return [
        {
            "rule": contest.rule,
            "vocab": sizes.vocab,
            "side": name,
            "forwards": contest.forwards,
            "time / T forwards": times[name] / floor,
            "diffusers / it": times["diffusers"] / times[name],
            "loop": marks[name][1] / whole,
            "all": marks[name][2] / whole,
        }
        for name in sides
    ]


def _allocated(
    side: Callable[[], Tensor], net: Any, logits: Counted
) -> tuple[int, int, int, Tensor]:
    """Calls of the whole network, bytes of the largest tensor outside it and anywhere, tokens."""
    noted, before = Largest(), logits.calls
    torch.manual_seed(0)
    with noted.watching(net, net.to_logits):
        tokens = side()
    return logits.calls - before, noted.outside, noted.anywhere, tokens


def _check(contest: Contest, marks: dict[str, Any]) -> None:
    """Both sides did the same work, and left no position unknown."""
    for name in ("diffusers", "unmask"):
        if marks[name][0] != contest.forwards:
            raise SystemExit(
                f"{contest.rule}: {name} took {marks[name][0]} forwards, not {contest.forwards}: "
                "pass --steps and --block-steps well below the positions there are"
            )
    if contest.alike:
        same = marks["diffusers"][3].eq(marks["unmask"][3]).double().mean().item()
        print(f"{contest.rule}: {same:.2%} of the ids are the same")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vocab", type=int, nargs="+", default=[8192, 32_000])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--block", type=int, default=32)
    parser.add_argument("--block-steps", type=int, default=4)
    parser.add_argument("--steps", type=int, default=18)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--depth", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.length % options.block:
        parser.error(f"--block {options.block} does not divide --length {options.length}")
    if options.block_steps > options.block:
        parser.error(f"--block-steps {options.block_steps}: a block has {options.block} positions")
    torch.set_num_threads(options.threads)
    print(about("diffusers", "x-transformers"))
    names = ("batch", "length", "block", "block_steps", "steps", "width", "depth")
    rest = {name: getattr(options, name) for name in names}
    rows = []
    for vocab in options.vocab:
        sizes = Sizes(vocab, **rest)
        for contest in contests(sizes):
            rows += measure(contest, sizes, options.repeats)
    report(rows, options.json)


if __name__ == "__main__":
    main()
