"""A generation that is drawn as it runs, and its frames for drawing it again.

B rows, N positions, S steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    """(S+1,B,N) int32, -1 where unknown; (1,B,N), the last frame, if steps were not kept."""

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

        made = self.generation
        return Record(
            frames=self.frames,
            editable=made.editable.cpu(),
            logprob=made.logprob.cpu(),
            commit_step=made.commit_step.cpu().to(torch.int32),
            seeds=made.seeds.cpu(),
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

    keep: whether all frames are returned, or the last one only. max_rows, max_tokens: rows and
    positions generated at once; frames show waiting rows unchanged.
    """
    import torch

    from unmask.decoding import init, row_seeds
    from unmask.engine import Engine, Event, complete

    state = init(denoiser, canvas, strategy, row_seeds(canvas, seed, None))
    planned = int(state.rows.plan.total.max())
    frames = [frame(state)]
    watch(frames[0], 0, planned)

    def see(event: Event) -> None:
        if not len(event.ids):
            return  # rows with nothing to do
        part = event.info.state
        shown = frames[-1].index_copy(0, torch.from_numpy(event.ids), frame(part))
        frames[:] = [*frames, shown] if keep else [shown]
        watch(shown, int(part.rows.step.max()), planned)

    engine = Engine(denoiser, max_rows=max_rows, max_tokens=max_tokens)
    made = complete(engine, state, strategy, see)
    return Emerged(made, torch.stack(frames))


def frame(state: State) -> Tensor:
    """Return the ids of a state, (B,N) int32 on the CPU, -1 where unknown."""
    import torch

    return state.tokens.masked_fill(state.masked, -1).to("cpu", torch.int32)
