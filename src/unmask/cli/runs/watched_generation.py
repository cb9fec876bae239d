"""A generation that is drawn as it runs, and its frames for drawing it again.

B rows, N positions, S steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from unmask.cli.ui.live import Watch
    from unmask.core.generation import Generation
    from unmask.core.network import Denoiser
    from unmask.core.state import State
    from unmask.decoding import Canvas, Strategy
    from unmask.viz import Layout, Record


@dataclass(frozen=True)
class Emerged:
    """A finished generation and its frames."""

    generation: Generation
    frames: Tensor
    """(S+1,B,N) int32, -1 where unknown: each row after as many steps of its own; the last one
    alone when the steps were not kept."""

    @property
    def tokens(self) -> Tensor:
        """The generated ids (B,N) int64, on the CPU."""
        return self.generation.tokens.cpu()

    @property
    def given(self) -> Tensor:
        """(B,N) bool, on the CPU: positions that were given, such as clues and prompts."""
        return ~self.generation.editable.cpu()

    def record(self, layout: Layout, info: dict[str, str]) -> Record:
        """Return the record that `unmask show` reads."""
        import torch

        from unmask.viz import Record

        generation = self.generation
        return Record(
            frames=self.frames,
            editable=generation.editable.cpu(),
            logprob=generation.logprob.cpu(),
            commit_step=generation.commit_step.cpu().to(torch.int32),
            seeds=generation.seeds.cpu(),
            layout=layout,
            info=info,
        )


def emerge(
    denoiser: Denoiser,
    canvas: Canvas,
    strategy: Strategy,
    seed: int,
    watch: Watch,
    keep: bool,
    max_rows: int | None = None,
    max_tokens: int | None = None,
) -> Emerged:
    """Generate step by step; call `watch` with the frame after each step.

    max_rows, max_tokens: how much is generated at a time; what waits is shown as it is, and kept as
    if all had been generated at once.
    """
    import torch

    from unmask.cli.ui.live import Counts
    from unmask.decoding import init, row_seeds
    from unmask.engine import Engine, Event, complete

    state = init(denoiser, canvas, strategy, row_seeds(canvas, seed, None))
    planned, rows = state.rows.plan.total, len(state)
    taken, done = state.rows.step.copy(), state.rows.finished.copy()
    shown = frame(state)
    frames = [shown]

    def counts(step: int) -> Counts:
        behind = (planned - taken).clip(0)[~done].sum()
        share = 1 - float(behind / max(planned.sum(), 1))
        return Counts(step, int(planned.max()), int(done.sum()), rows, share)

    def see(event: Event) -> None:
        nonlocal shown
        done[event.finished] = True
        if not len(event.ids):
            return  # rows with nothing to do
        part = event.info.state
        taken[event.ids] = part.rows.step
        shown = shown.index_copy(0, torch.from_numpy(event.ids), frame(part))
        if keep:
            _keep(frames, event.ids, part)
        watch(shown, counts(int(part.rows.step.max())))

    watch(shown, counts(0))
    engine = Engine(denoiser, max_rows=max_rows, max_tokens=max_tokens)
    generation = complete(engine, state, strategy, see)
    return Emerged(generation, torch.stack(frames if keep else [shown]))


def _keep(frames: list[Tensor], ids: np.ndarray, part: State) -> None:
    """Put rows into the frame of the step that each has taken, and into all later ones."""
    now, steps = frame(part), part.rows.step
    while len(frames) <= steps.max():
        frames.append(frames[-1].clone())
    for step in range(int(steps.min()), len(frames)):
        here = steps <= step
        frames[step][ids[here]] = now[here]


def frame(state: State) -> Tensor:
    """Return the ids of a state, (B,N) int32 on the CPU, -1 where unknown."""
    import torch

    return state.tokens.masked_fill(state.masked, -1).to("cpu", torch.int32)
