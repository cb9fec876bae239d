"""The pseudo-likelihood: each token given all the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unmask.core.batches import in_batches
from unmask.core.network import Denoiser
from unmask.decoding import Canvas
from unmask.scoring.look import Estimate, Report, initial_state, nats


@dataclass(frozen=True)
class PseudoLikelihood:
    """Σ −log p(x_i | all other tokens), one row of a forward for each scored token (1910.14659).

    For comparing rows only: the terms do not come from one joint distribution, so the sum is
    neither −log p(x) nor a bound on it.
    """

    kind: ClassVar[str] = "pseudo"

    def __call__(
        self, denoiser: Denoiser, canvas: Canvas, seed: int, batch_size: int, report: Report
    ) -> Estimate:
        """Return exact nats; the seed has no effect."""
        state = initial_state(denoiser, canvas, seed)
        row, position = canvas.editable.nonzero(as_tuple=True)
        place = torch.arange(canvas.tokens.shape[1], device=row.device)

        def alone(part: slice) -> Tensor:
            return nats(denoiser, state, row[part], place == position[part, None])

        found = in_batches(alone, len(row), batch_size, report)
        total = torch.zeros(len(canvas.tokens), dtype=torch.float64, device=row.device)
        total.index_add_(0, row, found)
        return Estimate(total, torch.zeros_like(total))
