"""The bound of networks that generate block by block (BD3-LM 2503.09573), with counted masks.

−log p(x) = Σ_b −log p(x_b | x_<b) over blocks b, and each term has the bound of `nelbo` over the
block's own positions, with the data in the blocks before it. All terms of a row are estimated at
once, each block in noise behind the data of those before it, in one forward over two streams.
Shapes: B rows, N positions, G blocks of a row; n maskable positions of a block, k of them hidden.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unmask import schedules
from unmask.core.checks import check_flag
from unmask.core.head import mask_id_of
from unmask.core.loss import Loss
from unmask.core.network import Denoiser, check_denoiser
from unmask.errors import StrategyError
from unmask.objectives.blocks import blocks_of
from unmask.objectives.corruption import block_times, hide, stratified_times
from unmask.objectives.counts import inverse, rounded_up
from unmask.objectives.evaluate import Corrupted, loss_of
from unmask.objectives.inputs import checked_batch
from unmask.objectives.nelbo import loss_of_pair, pair_weights
from unmask.schedules import AnySchedule


def block_diffusion(
    denoiser: Denoiser,
    tokens: Tensor,
    maskable: Tensor,
    seed: int | Tensor,
    *,
    schedule: AnySchedule = schedules.linear,
    pairs: bool = False,
    time: Tensor | None = None,
    valid: Tensor | None = None,
    condition: Any = None,
    self_condition: float = 0.0,
) -> Loss:
    """Return an unbiased estimate of the bound of a network with blocks (BD3-LM 2503.09573).

    Each block hides a count of its own, weighted as in `count`; times of the blocks of a row are
    stratified. Blocks are counted as the network counts them. With blocks of one token the value is
    −log p(x) of a left-to-right network, exactly; in a row of one block it is that of `count`.
    pairs: whether a second row hides the other positions of each block, weighted as in
    `complementary` (Fast-dLLM v2 2509.26328); every token is then in the loss once.
    The network computes 2N positions of a row, 4N with pairs. time: (B,) in (0, 1), the place of a
    row's blocks in their strata. Other arguments as in `count`. Raises StrategyError for a network
    without blocks, and as `count` does.
    """
    check_flag("pairs", pairs)
    check_has_blocks(denoiser)
    tokens, seeds = checked_batch(denoiser, tokens, maskable, seed, time)
    ratio = schedules.resolve(schedule)
    block, size = blocks_of(denoiser, maskable)
    rows = stratified_times(seeds) if time is None else time.to(tokens.device)
    u = block_times(rows, size > 0, seeds)
    count = torch.minimum((size * ratio(u)).ceil().long().clamp(min=1), size)
    masked = hide(maskable, count, seeds, block)
    shown = tokens.masked_fill(masked, mask_id_of(denoiser.spec))
    weight = inverse(count * rounded_up(ratio, count, size)).gather(1, block)
    batch = Corrupted(tokens, shown, masked, weight, maskable, seeds)
    if not pairs:
        return loss_of(denoiser, batch, valid, condition, self_condition)
    both = pair_weights(schedule, count, size).gather(2, block.expand(2, *block.shape))
    return loss_of_pair(denoiser, batch, both, valid, condition, self_condition)


def check_has_blocks(denoiser: Denoiser) -> None:
    """Raise StrategyError unless the network generates block by block."""
    check_denoiser(denoiser)
    if denoiser.spec.block_size is None:
        raise StrategyError(
            "block_diffusion trains networks that generate block by block, and "
            f"{type(denoiser).__name__} has no blocks: pass models.Decoder(net, mask_id, "
            "block=32), or use the objective complementary"
        )
