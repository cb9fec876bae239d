"""`generate`, `run` and `stream`: an engine with one cohort, and what was left out filled in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unmask.constraints import Constraint
from unmask.core.generation import Generation
from unmask.core.network import Denoiser, check_denoiser
from unmask.core.state import State, StepInfo
from unmask.decoding import Canvas, Strategy, finish, init, row_seeds
from unmask.decoding.inputs import check_canvas, check_strategy
from unmask.engine.engine import Engine, Event
from unmask.errors import CanvasError
from unmask.presets.by_name import build_recommended, ending

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
    max_rows: int | None = None,
    max_tokens: int | None = None,
) -> Tensor:
    """Generate; return ids, LongTensor (B,N).

    denoiser: a network from `unmask.wrap` or `unmask.load`.
    canvas: the given tokens; or pass batch_size and length (and condition) to start from none.
    strategy: a preset, such as `unmask.presets.maskgit(steps=12)`; default `default_strategy`.
    seed, seeds: one integer for the batch, or one per row; with neither, torch's generator decides.
    max_rows, max_tokens: rows, and positions, that are generated at once; the result is the same.

    Where memory runs out, the rows go on in halves from that step, with one SplitWarning; with a
    single row left, what was raised is raised.
    Raises a subclass of InputError that says what to pass instead.
    """
    check_denoiser(denoiser)
    canvas = _canvas(denoiser, canvas, batch_size, length, condition)
    begun = begin(denoiser, canvas, strategy, seed, seeds)
    return complete(Engine(denoiser, max_rows=max_rows, max_tokens=max_tokens), *begun).tokens


def run(
    denoiser: Denoiser,
    canvas: Canvas,
    strategy: Strategy | None = None,
    *,
    seed: int | None = None,
    seeds: Seeds = None,
    max_rows: int | None = None,
    max_tokens: int | None = None,
) -> Generation:
    """Generate; return the whole record. Arguments as in `generate`."""
    begun = begin(denoiser, canvas, strategy, seed, seeds)
    return complete(Engine(denoiser, max_rows=max_rows, max_tokens=max_tokens), *begun)


def complete(
    engine: Engine,
    state: State,
    strategy: Strategy,
    see: Callable[[Event], None] | None = None,
) -> Generation:
    """Step the rows of a state in an engine until all are finished; return their record, in order.

    see: called with the event of each step.
    """
    ids = engine.adopt(state, strategy)
    parts, order = [], []
    while len(engine.unfinished):
        for event in engine.step():
            if see is not None:
                see(event)
            if event.generation is not None:
                parts.append(event.generation)
                order.append(event.finished)
    if len(parts) == 1 and np.array_equal(order[0], ids):
        return parts[0]
    if not parts:
        return finish(state)
    rank = torch.from_numpy(np.argsort(np.concatenate(order), kind="stable"))
    whole = Generation.concat(parts)
    return whole.take(rank.to(whole.tokens.device))


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
    begun = begin(denoiser, canvas, strategy, seed, seeds)
    return _steps(Engine(denoiser, halves=False), *begun)


def _steps(engine: Engine, whole: State, strategy: Strategy) -> Iterator[StepInfo]:
    engine.adopt(whole, strategy)
    while len(engine.unfinished):
        for event in engine.step():
            if len(event.ids):
                whole = whole.put(event.ids, event.info.state)
                yield replace(event.info, state=whole, rows=event.ids)


def begin(
    denoiser: Denoiser, canvas: Canvas, strategy: Strategy | None, seed: int | None, seeds: Seeds
) -> tuple[State, Strategy]:
    """Return the state before the first step, and the strategy of its steps, the default if None.

    Raises as `generate` does.
    """
    denoiser, canvas, strategy, row_seed = check_inputs(denoiser, canvas, strategy, seed, seeds)
    return init(denoiser, canvas, strategy, row_seed), strategy


def check_inputs(
    denoiser: Denoiser, canvas: Canvas, strategy: Strategy | None, seed: int | None, seeds: Seeds
) -> tuple[Denoiser, Canvas, Strategy, Tensor]:
    """Return what was passed, checked, with the default strategy and one seed per row."""
    check_denoiser(denoiser)
    check_canvas(canvas)
    if strategy is None:
        strategy = default_strategy(denoiser, canvas)
    check_strategy(strategy)
    return denoiser, canvas, strategy, row_seeds(canvas, seed, seeds)


def default_strategy(denoiser: Denoiser, canvas: Canvas | None = None) -> Strategy:
    """Return the preset that the model's card recommends, else `presets.by_name.DEFAULT`.

    If the canvas has no ids required or allowed, rows end at the id that ended them in training,
    and reserved ids are not drawn.
    """
    spec = denoiser.spec
    strategy = build_recommended(spec.recommended, grid=spec.grid, instead="strategy=")
    if canvas is not None and (canvas.legal is not None or canvas.required is not None):
        return strategy
    if spec.reserved:
        strategy = strategy.but(constraint=Constraint(forbidden=spec.reserved))
    return ending(strategy, spec.end_id, spec.other_ends)


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
    if length is None:
        length = denoiser.spec.default_length
    if batch_size is None or length is None:
        raise CanvasError(
            "nothing to generate: pass a canvas, or batch_size and length, as in "
            "generate(denoiser, batch_size=16, length=64)"
        )
    return Canvas.blank(batch_size, length, condition=condition)
