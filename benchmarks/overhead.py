"""What a step costs beside the network: operations, waits, functions. Counts, so no noise.

    python benchmarks/overhead.py [--batch 8] [--length 64] [--vocab 1024] [--after 3]

Of one `step` in a steady state (--after so many others, all rows open), by preset, with the
published defaults. What the network does, its head included, does not count: nothing of it is ours.

Operations are those that torch dispatches on the CPU, views included; beside them what is left
without views and other changes of what a tensor only says of itself. What numpy does is not seen.
GPU launches are what is left on a device whose numbers are far away, where some parts go other ways
than on the CPU: a kernel for each, though some operations have several; uniforms, which torch makes
here, count as the one kernel of Triton that makes them on a GPU. The second table is of the same
step: how often the host waits for numbers from the device and how often numbers go there; the
third, which functions ask for it. V counts the ids of data; the mask id is one more. The tokens are
the same on both devices, or the script fails.

Functions and files are those of the package that one step of a toy enters: named functions, which
every version of Python enters alike. The last table is the way from `generate` down to where a
token is drawn: the first function that returns the ids drawn, and within it the deepest one that
returns an integer for each position.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import torch
from _far import FAR, HERE, Count, counted
from _machine import about
from _report import Report, arguments, count, parsed
from _timing import threads
from torch import Tensor

# --- what is asked of the library, all of it ----------------------------------------------------
import unmask
from unmask import presets
from unmask.core.philox import by_torch

PACKAGE = Path(unmask.__file__).parent


def strategies() -> dict[str, unmask.Strategy]:
    """Every preset that needs nothing but its defaults, and an end, the id 0, where rows grow."""
    made = {name: getattr(presets, name) for name in presets.__all__}
    return {name: _made(make) for name, make in made.items() if not needed(make)}


def _made(make: Callable[..., unmask.Strategy]) -> unmask.Strategy:
    return make(end_id=0) if "end_id" in inspect.signature(make).parameters else make()


def wrapped(net: Callable[[Tensor], Tensor], ids: int) -> unmask.Denoiser:
    """A function (B,N) -> (B,N,ids + 1) as a denoiser, the last id being the mask id."""
    return unmask.wrap(net, mask_id=ids, vocab_size=ids + 1)


def begun(
    denoiser: unmask.Denoiser, strategy: unmask.Strategy, size: Size, device: torch.device = HERE
) -> unmask.State:
    """The state before the first step, every position unknown."""
    canvas = unmask.Canvas.blank(size.batch, size.length).to(device)
    return unmask.init(denoiser, canvas, strategy, list(range(size.batch)))


def one_step(
    state: unmask.State, denoiser: unmask.Denoiser, strategy: unmask.Strategy
) -> unmask.State:
    """The state after one more step, with asking whether there is one."""
    return unmask.step(state, denoiser, strategy).state


def generated(denoiser: unmask.Denoiser, size: Size) -> Tensor:
    """(B,N) ids, all of them drawn in one step."""
    canvas = unmask.Canvas.blank(size.batch, size.length)
    return unmask.generate(denoiser, canvas, presets.random_order(1), seed=3)


@contextmanager
def one_launch_of_uniforms(tally: Count) -> Iterator[None]:
    """Count what torch does to make uniforms far away as one launch."""
    make = by_torch.made

    def made(*given: Any) -> Tensor:
        tally.launches += not tally.paused
        with tally.pause():
            return make(*given)

    by_torch.made = made
    try:
        yield
    finally:
        by_torch.made = make


# ------------------------------------------------------------------------------------------------

GOALS = {"fixed": (100, 0), "adaptive": (130, 1)}  # of operations, of reads
FUNCTIONS, FILES, FRAMES = 50, 15, 9


@dataclass(frozen=True)
class Size:
    """Size of what is generated; the ids are those of data."""

    batch: int
    length: int
    ids: int

    def __str__(self) -> str:
        return f"B={self.batch}, N={self.length}, V={self.ids:,}"


class Net:
    """Logits by position and id shown, from tables; nothing of it counts."""

    def __init__(self, size: Size, tally: Count | None = None, device: torch.device = HERE):
        draw = torch.Generator().manual_seed(0)
        self.place = torch.randn(size.length, size.ids + 1, generator=draw).to(device)
        self.shown = torch.randn(size.ids + 1, size.ids + 1, generator=draw).to(device)
        self.tally = tally or Count()

    def __call__(self, tokens: Tensor) -> Tensor:
        """(B,N) -> (B,N,V)."""
        with self.tally.pause():
            return self.place + self.shown[tokens]


def needed(make: Callable[..., Any]) -> list[str]:
    """Parameters without a default."""
    given = inspect.signature(make).parameters.values()
    return [parameter.name for parameter in given if parameter.default is parameter.empty]


def counts_of(strategy: unmask.Strategy) -> str:
    """Whether a plan says before the first step how many positions every step commits."""
    return "fixed" if strategy.exact_counts else "adaptive"


def step_of(
    strategy: unmask.Strategy, size: Size, device: torch.device, after: int
) -> tuple[Count, Tensor]:
    """What one step dispatches after so many, and the tokens it leaves, on the host."""
    with counted(PACKAGE) as tally, one_launch_of_uniforms(tally):
        denoiser = wrapped(Net(size, tally, device), size.ids)
        state = begun(denoiser, strategy, size, device)
        for _ in range(after):
            state = one_step(state, denoiser, strategy)
        tally.clear()
        state = one_step(state, denoiser, strategy)
        with tally.pause():
            return tally, state.tokens.to(HERE)


def measure(report: Report, size: Size, after: int) -> None:
    """Fill the table and add those of transfers. AssertionError where devices disagree."""
    columns = ["preset", "counts", "device to host", "goal", "host to device"]
    transfers = report.table(f"transfers of a step on a device far away: {size}", columns)
    asking: dict[tuple[str, str], list[str]] = {}
    for name, strategy in strategies().items():
        here, tokens = step_of(strategy, size, HERE, after)
        far, same = step_of(strategy, size, FAR, after)
        if not tokens.equal(same):
            raise AssertionError(f"{name}: other tokens on the device far away")
        most, reads = GOALS[counts_of(strategy)]
        plain = here.operations - here.views
        report.add(name, counts_of(strategy), here.operations, most, plain, far.launches)
        transfers.add(name, counts_of(strategy), len(far.read), reads, len(far.sent))
        for way, places in (("device to host", far.read), ("host to device", far.sent)):
            for place in dict.fromkeys(places):
                asking.setdefault((way, place), []).append(name)
    table = report.table("who transfers", ["way", "functions", "presets", "such as"])
    for (way, place), names in asking.items():
        table.add(way, place, len(names), names[0])


# --- functions ----------------------------------------------------------------------------------


@contextmanager
def profiled(see: Callable[[FrameType, str, Any], None]) -> Iterator[None]:
    """Show `see` every call and return of a named function of the package."""

    def own(frame: FrameType, event: str, given: Any) -> None:
        if event in ("call", "return") and is_own(frame.f_code):
            see(frame, event, given)

    before = sys.getprofile()
    sys.setprofile(own)
    try:
        yield
    finally:
        sys.setprofile(before)


def is_own(code: CodeType) -> bool:
    """Whether code is that of a named function of the package, no lambda and no comprehension."""
    return code.co_filename.startswith(str(PACKAGE)) and not code.co_name.startswith("<")


def entered(strategy: unmask.Strategy, size: Size) -> set[CodeType]:
    """The functions of the package that the third step of a toy enters."""
    denoiser, codes = wrapped(Net(size), size.ids), set[CodeType]()
    state = begun(denoiser, strategy, size)
    for _ in range(2):
        state = one_step(state, denoiser, strategy)
    with profiled(lambda frame, event, _: codes.add(frame.f_code)):
        one_step(state, denoiser, strategy)
    return codes


def way_down(size: Size) -> list[str]:
    """The functions from `generate` to where a token is drawn, found by the ids that come back."""
    denoiser = wrapped(Net(size), size.ids)
    drawn = generated(denoiser, size).flatten()
    deepest: dict[FrameType, list[str]] = {}
    found: list[list[str]] = []

    def see(frame: FrameType, event: str, given: Any) -> None:
        said = [tensor.flatten() for tensor in tensors(given) if tensor.dtype == drawn.dtype]
        if found or event == "call" or not any(len(each) == len(drawn) for each in said):
            return
        above = stack(frame)
        names = [named(each.f_code) for each in above]
        for each in above:
            deepest[each] = max(deepest.get(each, []), names, key=len)
        if any(each.equal(drawn) for each in said):
            found.append(deepest[frame])

    with profiled(see):
        generated(denoiser, size)
    return found[0]


def stack(frame: FrameType | None) -> list[FrameType]:
    """The package's own frames, the outermost first."""
    frames = []
    while frame is not None:
        if is_own(frame.f_code):
            frames.append(frame)
        frame = frame.f_back
    return frames[::-1]


def named(code: CodeType) -> str:
    return f"{Path(code.co_filename).relative_to(PACKAGE).as_posix()}: {code.co_name}"


def tensors(given: Any) -> Iterator[Tensor]:
    """The tensors of what a function returned."""
    if isinstance(given, Tensor):
        yield given
    elif isinstance(given, dict | list | tuple):
        for each in given.values() if isinstance(given, dict) else given:
            yield from tensors(each)


def count_functions(report: Report, toy: Size) -> None:
    """Add the tables of functions, files and frames."""
    columns = ["preset", "functions", "goal", "files", "goal of files"]
    table = report.table("functions and files that a step of a toy enters", columns)
    for name, strategy in strategies().items():
        codes = entered(strategy, toy)
        files = {code.co_filename for code in codes}
        table.add(name, len(codes), FUNCTIONS, len(files), FILES)
    way = way_down(toy)
    frames = report.table("from `generate` to where a token is drawn", ["frame", "function"])
    for nth, name in enumerate(way, 1):
        frames.add(str(nth), name)
    report.note(f"goal: at most {FRAMES} frames to where a token is drawn; there are {len(way)}")


def main() -> None:
    parser = arguments(argparse.ArgumentParser(description=__doc__), repeats=1)
    for name, default in (("batch", 8), ("length", 64), ("vocab", 1024)):
        parser.add_argument(f"--{name}", type=count, default=default)
    parser.add_argument("--after", type=count, default=3, help="steps before the one counted")
    options = parsed(parser, batch=2, length=8, vocab=24, after=2)
    threads(options.threads)
    size = Size(options.batch, options.length, options.vocab)
    columns = ["preset", "counts", "operations", "goal", "without views", "GPU launches"]
    report = Report(
        "overhead", about(), columns, f"operations of a step beside the network: {size}"
    )
    with torch.no_grad():
        measure(report, size, options.after)
        count_functions(report, Size(2, 8, 24))
    for kind, (most, reads) in GOALS.items():
        rows = [row for row in report.rows if row["counts"] == kind]
        over = sum(row["operations"] > most for row in rows)
        report.note(
            f"goal where counts are {kind}: at most {most} operations, of which {over} of "
            f"{len(rows)} presets have more, and {reads} reads from the device"
        )
    report.finish(options)


if __name__ == "__main__":
    main()
