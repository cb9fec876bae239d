"""`generate`, `run` and `stream`: the engine with canvas, seeds and strategy filled in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from unmask import presets
from unmask.decoding import Canvas, Strategy, row_seeds, run_strategy, stream_strategy
from unmask.errors import CanvasError, StrategyError
from unmask.types import Denoiser, Generation, StepInfo

Seeds = Sequence[int] | Tensor | None


def generate(
    denoiser: Denoiser,
    canvas: Canvas | None = None,
    strategy: Strategy | None = None,
    *,
    batch_size: int | None = None,
    length: int | None = None,
    condition: Any = None,
    seed: int | None = None,
    seeds: Seeds = None,
    max_memory: int | str | None = None,
) -> Tensor:
    """Generated ids, LongTensor (B,N).

    denoiser: a network from `unmask.wrap` or `unmask.load`.
    canvas: what is given; or pass batch_size and length (and condition) to start from nothing.
    strategy: a preset, such as `unmask.presets.maskgit(steps=12)`; default `presets.annealed()`.
    seed, seeds: one integer for the batch, or one per row; with neither, torch's generator decides.
    max_memory: what a step may need beyond what is held, in bytes or as "2GB" or "512MiB". Rows are
    then generated in parts that fit, with the same result, at the cost of three short steps more.

    Where memory runs out, with or without it, the rows go on in halves from that step, with one
    SplitWarning; with a single row left, what was raised is raised.
    Raises a subclass of InputError that says what to pass instead.
    """
    canvas = _canvas(denoiser, canvas, batch_size, length, condition)
    return run(denoiser, canvas, strategy, seed=seed, seeds=seeds, max_memory=max_memory).tokens


def run(
    denoiser: Denoiser,
    canvas: Canvas,
    strategy: Strategy | None = None,
    *,
    seed: int | None = None,
    seeds: Seeds = None,
    max_memory: int | str | None = None,
) -> Generation:
    """The whole record of a generation; arguments as in `generate`."""
    return run_strategy(*ready(denoiser, canvas, strategy, seed, seeds), max_memory=max_memory)


def stream(
    denoiser: Denoiser,
    canvas: Canvas,
    strategy: Strategy | None = None,
    *,
    seed: int | None = None,
    seeds: Seeds = None,
) -> Iterator[StepInfo]:
    """Yield a `StepInfo` after every step; the last one holds the finished rows.

    Each has all rows of the batch, so this is never split: where memory runs out, that is raised.
    """
    return stream_strategy(*ready(denoiser, canvas, strategy, seed, seeds))


def ready(
    denoiser: Denoiser, canvas: Canvas, strategy: Strategy | None, seed: int | None, seeds: Seeds
) -> tuple[Denoiser, Canvas, Strategy, Tensor]:
    """What was passed, checked, with the default strategy and one seed per row."""
    if not isinstance(denoiser, Denoiser):
        raise StrategyError(
            f"{type(denoiser).__name__} is no denoiser: wrap it first, as in "
            "unmask.wrap(net, mask_id=17)"
        )
    if not isinstance(canvas, Canvas):
        raise CanvasError(
            f"canvas is a {type(canvas).__name__}: pass Canvas.blank(batch_size, length) or "
            "Canvas.infill(tokens, editable)"
        )
    if strategy is None:
        strategy = presets.annealed()
    if not isinstance(strategy, Strategy):
        raise StrategyError(
            f"strategy={strategy!r}: pass a preset that has been called, such as "
            "presets.maskgit(steps=12)"
        )
    return denoiser, canvas, strategy, row_seeds(canvas, seed, seeds)


def _canvas(
    denoiser: Denoiser,
    canvas: Canvas | None,
    batch_size: int | None,
    length: int | None,
    condition: Any,
) -> Canvas:
    if canvas is not None:
        given = {"batch_size": batch_size, "length": length, "condition": condition}
        extra = [name for name, value in given.items() if value is not None]
        if extra:
            raise CanvasError(f"{', '.join(extra)} given beside a canvas, which already has them")
        return canvas
    length = getattr(denoiser, "length", None) if length is None else length
    if batch_size is None or length is None:
        raise CanvasError(
            "nothing to generate: pass a canvas, or batch_size and length, as in "
            "generate(denoiser, batch_size=16, length=64)"
        )
    return Canvas.blank(batch_size, length, condition=condition)
