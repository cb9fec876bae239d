"""Opening the attention of a converted network during a run."""

from __future__ import annotations

from typing import Any

from unmask.core.checks import check_count
from unmask.errors import StrategyError
from unmask.models import Decoder
from unmask.models.annealing import share_at
from unmask.training.base import TrainerCallback


class AttentionAnnealing(TrainerCallback):
    """A callback: attention opens over the first `steps` of a run (DiffuLLaMA 2410.17891).

    At step s, counted from 0, each position attends to a share min(1, (s + 1)/steps) of the later
    ones (`Decoder.open_share`), drawn by the seeds of the examples; so a resumed run is the same
    bit for bit, and processes and pieces change nothing. Held-out bounds and saved models are of
    open attention throughout. Raises StrategyError for a network that is no `Decoder`.
    """

    def __init__(self, denoiser: Any, steps: int):
        if not isinstance(denoiser, Decoder):
            raise StrategyError(
                f"{type(denoiser).__name__} has no attention to open gradually: pass a "
                "models.Decoder, such as unmask.convert(...).denoiser"
            )
        check_count("steps", steps)
        self.denoiser, self.steps = denoiser, steps

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Set the share of the step."""
        self.denoiser.open_share = share_at(state.global_step, self.steps)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Open the attention."""
        self.denoiser.open_share = 1.0
