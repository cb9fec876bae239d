"""Generation on a GPU: by vocabulary, head and draw against the card's own ceilings, a Llama.

    python benchmarks/gpu.py [--only vocabularies head llama] [--repeats 5]
    python benchmarks/gpu.py --device cpu     # that it runs: tiny sizes, figures that mean nothing

vocabularies: an x-transformers Encoder of width 256 and depth 6 in float32, N = 256. A generation
of T steps over T bare full forwards, and over T passes of its trunk alone, beside x-transformers'
wrapper.

head: one step in which the head is asked at every position, by a denoiser whose trunk costs
nothing, in bfloat16: drawn by the fused kernel, and from logits. FLOP are those of the projection;
bytes are the least that have to move: its weights and what it multiplies once, and logits, where
there are any, written once and read once. Both are shares of what this run reaches in a large
matrix product and in a large copy. "Over the head" is the time over that of the projection alone,
"engine" the share of it that the same step takes for 16 ids of width 8. A kernel that fails ends
the run, for the engine would go on without it.

llama: LlamaForCausalLM from a configuration, random weights in bfloat16, V = 128,000, that attends
to both sides; over T bare forwards and over T passes of its trunk, and the most memory that was
held beyond the weights.

Times are medians; the device is waited for at the end of each call.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from _gpu_networks import HALF, BothSides, HeadAlone, causal_network
from _machine import about
from _memory import MIB
from _networks import Size, encoder
from _report import Report, arguments, parsed
from _timing import Times, measured, threads, wait
from torch import Tensor

import unmask
from unmask import presets
from unmask.core.network import Query
from unmask.errors import KernelWarning

Calls = dict[str, Callable[[], Any]]
FUSED, PLAIN = "fused", "from logits"


@dataclass(frozen=True)
class Sizes:
    """B rows, N positions, V ids, D width, T steps."""

    batches: dict[int, int]  # V -> B of `vocabularies`
    length: int = 256
    dim: int = 256
    depth: int = 6
    steps: int = 18
    head_vocabs: tuple[int, ...] = (8192, 32_000, 128_000)
    head_batch: int = 32
    head_dim: int = 2048
    matrix: int = 8192  # side of the product
    copied: int = 2**30  # bytes
    llama_vocab: int = 128_000
    llama_dim: int = 2048
    llama_depth: int = 16
    llama_batches: tuple[int, ...] = (1, 8, 32)
    llama_steps: int = 16


FULL = Sizes({256: 32, 1024: 32, 8192: 32, 32_000: 16, 128_000: 4})
TINY = Sizes(
    {64: 2, 512: 2},
    length=16,
    dim=64,
    depth=1,
    steps=4,
    head_vocabs=(512,),
    head_batch=2,
    head_dim=64,
    matrix=128,
    copied=MIB,
    llama_vocab=512,
    llama_dim=64,
    llama_depth=2,
    llama_batches=(1, 2),
    llama_steps=4,
)


@dataclass(frozen=True)
class Bench:
    """Where, how often, of what sizes, and what is said of it."""

    device: torch.device
    repeats: int
    sizes: Sizes
    report: Report

    def seconds(self, calls: Calls) -> dict[str, Times]:
        return measured(calls, self.repeats, self.device)

    @torch.no_grad()
    def peak(self, call: Callable[[], object]) -> float | None:
        """MiB held at most during a call, beyond what is held before it; None unless on CUDA."""
        if self.device.type != "cuda":
            return None
        wait(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        call()
        wait(self.device)
        return (torch.cuda.max_memory_allocated(self.device) - before) / MIB


def bare(denoiser: Any, batch: int, length: int) -> Calls:
    """A pass of the trunk, and one with the logits of every position."""
    tokens = torch.zeros(batch, length, dtype=torch.int64, device=denoiser.device)
    query = Query.of(tokens)

    def trunk() -> Tensor:
        hidden: Tensor = denoiser.forward(query, None)[0]
        return hidden

    return {"trunk": trunk, "forward": lambda: denoiser.logits(trunk().flatten(0, 1))}


def generations(denoiser: unmask.Denoiser, batch: int, length: int, steps: int) -> Calls:
    """A whole generation from nothing by each of three presets, in as many passes as steps."""
    canvas, made = unmask.Canvas.blank(batch, length), Calls()
    for strategy in presets.annealed(steps), presets.maskgit(steps), presets.random_order(steps):
        made[strategy.name] = partial(unmask.run, denoiser, canvas, strategy, seed=0)
        assert made[strategy.name]().forwards.eq(steps).all(), strategy.name
    return made


def sides(times: dict[str, Times], steps: int) -> dict[str, tuple[Times, Times]]:
    """Of each side, its time over T full forwards and over T passes of the trunk."""
    forward, trunk = (steps * times[name].median for name in ("forward", "trunk"))
    return {
        name: (each.over(forward), each.over(trunk))
        for name, each in times.items()
        if name not in ("forward", "trunk")
    }


def vocabularies(bench: Bench) -> None:
    from x_transformers import NonAutoregressiveWrapper

    at = bench.sizes
    columns = ["V", "B", "side", "over T forwards", "over T trunks"]
    table = bench.report.table(f"Encoder, float32, N={at.length}, T={at.steps}", columns)
    for vocab, batch in at.batches.items():
        size = Size(vocab, batch, at.length, at.dim, at.depth)
        net = encoder(size, bench.device)
        reference = NonAutoregressiveWrapper(net, mask_id=size.mask_id, steps=at.steps)
        denoiser = unmask.wrap(net, mask_id=size.mask_id)
        calls = bare(denoiser, batch, at.length)
        calls["x-transformers"] = partial(reference.generate, batch)
        calls |= generations(denoiser, batch, at.length, at.steps)
        for name, ratios in sides(bench.seconds(calls), at.steps).items():
            table.add(vocab, batch, name, *ratios)
        print(f"measured V = {vocab:,}", flush=True)


def ceilings(bench: Bench) -> tuple[float, float]:
    """FLOP/s of a large matrix product in bfloat16, bytes/s of a large copy, read and written."""
    at = bench.sizes
    left, right = torch.randn(2, at.matrix, at.matrix, device=bench.device).to(HALF)
    source = torch.zeros(at.copied, dtype=torch.uint8, device=bench.device)
    target = torch.empty_like(source)
    calls: Calls = {"product": lambda: left @ right, "copy": lambda: target.copy_(source)}
    times = bench.seconds(calls)
    flops = 2 * at.matrix**3 / times["product"].median
    speed = 2 * at.copied / times["copy"].median
    bench.report.note(f"ceilings: {flops / 1e12:.3g} TFLOP/s, {speed / 1e9:.4g} GB/s")
    return flops, speed


def one_step(
    bench: Bench, vocab: int, dim: int, fused: bool = True
) -> tuple[HeadAlone, Callable[[], object]]:
    """A generation in one step, which asks the head at every position."""
    shape = (bench.sizes.head_batch, bench.sizes.length)
    states = torch.randn(*shape, dim, device=bench.device).to(HALF)
    denoiser = HeadAlone(vocab, states, fused)
    canvas, strategy = unmask.Canvas.blank(*shape), presets.maskgit(1)
    return denoiser, lambda: unmask.generate(denoiser, canvas, strategy, seed=0)


def head(bench: Bench) -> None:
    at = bench.sizes
    positions = at.head_batch * at.length
    title = f"head and draw, {positions:,} positions, width {at.head_dim}, bfloat16"
    shares = ["over the head", "engine", "TFLOP/s", "of the product", "GB/s", "of the copy"]
    table = bench.report.table(title, ["V", "drawn", *shares])
    flops, speed = ceilings(bench)
    engines = {name: one_step(bench, 16, 8, name == FUSED)[1] for name in (FUSED, PLAIN)}
    for vocab in at.head_vocabs:
        denoiser, fused = one_step(bench, vocab, at.head_dim)
        _, plain = one_step(bench, vocab, at.head_dim, fused=False)
        calls: Calls = {"head": denoiser.everywhere, FUSED: fused, PLAIN: plain}
        calls |= {f"engine, {name}": engine for name, engine in engines.items()}
        times = bench.seconds(calls)
        product = 2 * positions * vocab * at.head_dim
        needed = HALF.itemsize * at.head_dim * (vocab + positions)
        logits = HALF.itemsize * 2 * positions * vocab
        for name, bytes_ in {FUSED: needed, PLAIN: needed + logits}.items():
            seconds = times[name].median
            done, moved = product / seconds, bytes_ / seconds
            ratio = times[name].over(times["head"].median)
            engine = times[f"engine, {name}"].median / seconds
            reached = (done / 1e12, done / flops, moved / 1e9, moved / speed)
            table.add(vocab, name, ratio, engine, *reached)
        print(f"measured the head of V = {vocab:,}", flush=True)


def llama(bench: Bench) -> None:
    at, steps = bench.sizes, bench.sizes.llama_steps
    net = causal_network(at.llama_vocab, at.llama_dim, at.llama_depth, bench.device)
    parameters = sum(p.numel() for p in net.parameters())
    shape = f"V={at.llama_vocab:,}, N={at.length}, T={steps}"
    columns = ["B", "side", "over T forwards", "over T trunks", "tokens/s", "peak MiB"]
    table = bench.report.table(f"Llama, {parameters:,} parameters, bfloat16, {shape}", columns)
    denoiser = BothSides(net)
    for batch in at.llama_batches:
        calls = bare(denoiser, batch, at.length) | generations(denoiser, batch, at.length, steps)
        times = bench.seconds(calls)
        forward = calls["forward"]
        table.add(batch, "one bare forward", None, None, None, bench.peak(forward))
        for name, ratios in sides(times, steps).items():
            speed = batch * at.length / times[name].median
            table.add(batch, name, *ratios, speed, bench.peak(calls[name]))
        print(f"measured a Llama, B = {batch}", flush=True)


SECTIONS: dict[str, Callable[[Bench], None]] = {
    "vocabularies": vocabularies,
    "head": head,
    "llama": llama,
}


def options_of() -> argparse.Namespace:
    parser = arguments(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"))
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    options = parsed(parser)
    if options.device.type == "cpu":
        options.quick = True
    return options


def main() -> None:
    options = options_of()
    if options.device.type == "cuda" and not torch.cuda.is_available():
        print("nothing to do: there is no CUDA device (--device cpu tries the script out)")
        return
    threads(options.threads)
    warnings.simplefilter("error", KernelWarning)
    report = Report("gpu", about("x-transformers", "transformers"), ["device", "sizes"])
    cuda = options.device.type == "cuda"
    name = torch.cuda.get_device_name(options.device) if cuda else "CPU"
    report.add(name, "tiny, figures mean nothing" if options.quick else "full")
    sizes = TINY if options.quick else FULL
    bench = Bench(options.device, options.repeats, sizes, report)
    for section in options.only:
        SECTIONS[section](bench)
    report.finish(options)


if __name__ == "__main__":
    main()
