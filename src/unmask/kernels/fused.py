"""Tokens and their statistics, computed from features and the vocabulary's weights.

The M·V logits are computed once, in registers, and summed by block, so that only (M,K) numbers are
written to memory. The W logits of each row's chosen block, or that of a known token, are computed a
second time. Block and id are drawn from the same masses by the same two uniforms as in `sampling`,
so tokens are the same except for rounding: logits are float32 here for any dtype of the features,
and a head in bfloat16 rounds them.
Shapes: M positions queried, D width, V vocabulary, W = ⌊√V⌋ ids in a block, K = ⌈V/W⌉ blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any

import torch
from torch import Tensor

from unmask.core.inversion import COLD, width_of
from unmask.core.launch import Launcher, interpreted, runs_on
from unmask.core.projection import Projection
from unmask.errors import ModelError, StrategyError
from unmask.kernels.blocks import Blocks

STATISTICS = frozenset({"kept_logprob", "top_logprob", "top_token", "margin", "entropy"})
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
PART_ELEMENTS = 2**22  # of each (M,K) tensor that exists at once
LAUNCHER = Launcher(
    "the fused draw", "tokens are drawn from logits from here on, which are the same tokens"
)
FEW = 16  # rows of the smallest tile


def can_fuse(how: Any, needs: Set[str], per_position: bool, device: torch.device) -> bool:
    """Return whether `fused_draw` may replace `draw_with_statistics`, if `can_run` is True too.

    how: a `sampling.Sampling`. It may not: on any device but CUDA, or without Triton; with top-k,
    top-p, min-p, Gumbel races or a bias; for statistics of whole rows of logits (noised_logprob,
    divergence); if per_position, that is, if legal ids differ from position to position; and after
    `give_up`.
    """
    if per_position or how.filtered or how.gumbel or how.bias or needs - STATISTICS:
        return False
    return LAUNCHER.may_run(device)


def give_up(error: Exception) -> None:
    """Turn the fused draw off in this process because of this error, with a KernelWarning."""
    LAUNCHER.give_up(error, stacklevel=3)


def can_run(projection: Projection | None) -> bool:
    """Return whether Triton can compute this: one dtype of `DTYPES`, fitting shapes, on CUDA."""
    return projection is not None and _why_not(projection) is None


def fused_draw(
    projection: Projection,
    illegal: Tensor,
    temperature: Tensor | float,
    u: Tensor,
    held: Tensor,
    needs: Set[str] = frozenset(),
) -> dict[str, Tensor]:
    """Return a token for each row and its statistics, as `draw_with_statistics` does, each (M,).

    illegal: int64 vector of ids that are never drawn. temperature: (M,) float32, or one number ≥ 0
    for all rows, which saves a sum if it is 0 or 1; below COLD the draw is greedy. u: (M,2)
    float64 in (0, 1). held: (M,) int64, the token of the row, −1 to draw one.
    needs: names among `STATISTICS`.

    token is int64. float32 are logprob, that of the token at temperature 1; sampling_logprob, at
    the row's temperature (if greedy, minus that of the likeliest); and max_logit, the largest legal
    logit, -inf if no id is legal, NaN if a logit is NaN or +inf; then the other values are
    undefined. Statistics are those of the legal ids at temperature 1; there is no filter, so
    kept_logprob equals logprob. Raises ModelError for a projection of wrong shapes or that Triton
    cannot run, StrategyError for other needs. Does not wait for the device; has no gradient.
    """
    _check(projection, needs)
    features, weight, _ = projection
    offset = _offset(projection, illegal)
    size = max(1, PART_ELEMENTS // -(-len(weight) // width_of(len(weight))))
    parts = []
    with torch.cuda.device_of(u):
        for i in range(0, max(1, len(u)), size):
            at = slice(i, i + size)
            shown = Projection(features[at], weight, offset)
            warmth = temperature[at] if isinstance(temperature, Tensor) else temperature
            parts.append(_part(shown, warmth, u[at], held[at], needs))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _part(
    shown: Projection, temperature: Tensor | float, u: Tensor, held: Tensor, needs: Set[str]
) -> dict[str, Tensor]:
    """Return `fused_draw` of some rows. shown: with the bias of `_offset`."""
    if isinstance(temperature, Tensor):
        tempered = may_be_greedy = True
    else:
        may_be_greedy = temperature < COLD
        tempered = not may_be_greedy and temperature != 1
        temperature = torch.full(held.shape, temperature, device=u.device)
    greedy = temperature < COLD
    rate = 1 / temperature.float().where(~greedy, 1.0)
    wanted = {
        "tempered": tempered,
        "mean": "entropy" in needs,
        "best": may_be_greedy or "top_token" in needs,
        "second": "margin" in needs,
    }
    blocks = _blocks(shown, rate, wanted)
    block, known = blocks.drawn(u[:, 0]), held
    if may_be_greedy:
        known = blocks.likeliest().where(greedy & (held < 0), held)
    block = (known // blocks.width).where(known >= 0, block)
    token, logit = _pick(shown, rate, u[:, 1], block, known)
    # Computed a second time, a logit may exceed the largest by rounding.
    value = (logit - blocks.max_logit).clamp(max=0.0)
    logprob = value - blocks.normaliser
    compute: dict[str, Callable[[], Tensor]] = {
        "kept_logprob": lambda: logprob,
        "top_logprob": lambda: -blocks.normaliser,
        "top_token": blocks.likeliest,
        "margin": blocks.margin,
        "entropy": blocks.entropy,
    }
    return {
        "token": token,
        "max_logit": blocks.max_logit,
        "logprob": logprob,
        "sampling_logprob": value * rate - blocks.tempered_normaliser.masked_fill(greedy, 0.0),
    } | {name: compute[name]() for name in compute if name in needs}


def _blocks(shown: Projection, rate: Tensor, wanted: dict[str, bool]) -> Blocks:
    from unmask.kernels.programs import block_statistics

    features, weight, offset = shown
    assert offset is not None
    (rows, dim), vocab, width = features.shape, len(weight), width_of(len(weight))
    count = -(-vocab // width)
    out = {name: offset.new_empty(rows, count) for name in ("maxima", "sums")}
    for name in (name for name in wanted if wanted[name]):
        dtype = torch.int32 if name == "best" else torch.float32
        out[name] = torch.empty(rows, count, dtype=dtype, device=offset.device)
    tile = FEW if rows <= FEW else 64
    unused = out["sums"]  # what is not wanted is not written, but a pointer must be passed
    block_statistics[(-(-rows // tile), count)](
        features, weight, offset, rate,
        out["maxima"], out["sums"], *(out.get(name, unused) for name in wanted),
        rows, vocab, width, count, dim, *features.stride(), *weight.stride(),
        **{name.upper(): flag for name, flag in wanted.items()},
        WIDEN=interpreted(),  # whose dot takes bfloat16 for integers
        ROWS=tile, TILE=_tile(width), DIM=32 if features.dtype == torch.float32 else 64,
        num_warps=4 if tile == FEW else 8, num_stages=3, enable_fp_fusion=True,
    )  # fmt: skip
    return Blocks(width, rate, **out)


def _tile(width: int) -> int:
    """Return the number of ids in a tile: the one whose tiles exceed a block least."""
    if width < 64:
        return max(FEW, _power_of_two(width))
    return min((128, 64), key=lambda tile: -(-width // tile) * tile)


def _pick(
    shown: Projection, rate: Tensor, u: Tensor, block: Tensor, known: Tensor
) -> tuple[Tensor, Tensor]:
    """Return ids (M,) int64 and logits (M,) float32, given block and known (M,) int64."""
    from unmask.kernels.programs import pick_inside

    features, weight, offset = shown
    width = width_of(len(weight))
    padded = max(FEW, _power_of_two(width))
    token, logit = torch.empty_like(known), torch.empty_like(rate)
    pick_inside[(len(known),)](
        features, weight, offset, rate, u.contiguous(), block.argsort(), block, known,
        token, logit, len(weight), width, features.shape[1], *features.stride(), *weight.stride(),
        WIDTH=padded, DIM=max(16, min(128, 8192 // padded)),
        num_warps=max(4, min(16, padded // 64)), enable_fp_fusion=True,
    )  # fmt: skip
    return token, logit


def _power_of_two(number: int) -> int:
    """Return the smallest power of two that is at least `number`."""
    return 1 << (number - 1).bit_length()


def _offset(projection: Projection, illegal: Tensor) -> Tensor:
    """Return (V,) float32: the bias, and -inf at illegal ids."""
    weight, bias = projection.weight, projection.bias
    start = weight.new_zeros(len(weight), dtype=torch.float32) if bias is None else bias.float()
    return start.index_fill(0, illegal, float("-inf"))


def _check(projection: Projection, needs: Set[str]) -> None:
    if needs - STATISTICS:
        raise StrategyError(
            f"needs={sorted(needs)}: {sorted(needs - STATISTICS)} need whole rows of logits; use "
            f"sampling.draw_with_statistics, or leave all but {sorted(STATISTICS)} out"
        )
    if why := _why_not(projection):
        raise ModelError(f"{why}: use sampling.draw_with_statistics on the head's logits")


def _why_not(projection: Projection) -> str | None:
    """Return why the kernels cannot run this projection; None if they can."""
    features, weight, bias = projection
    given = [features, weight] if bias is None else [features, weight, bias]
    shapes, dtypes = [tuple(x.shape) for x in given], {features.dtype, weight.dtype}
    fits = features.dim() == weight.dim() == 2 and features.shape[1] == weight.shape[1]
    if not fits or (bias is not None and bias.shape != weight.shape[:1]):
        return f"a projection of shapes {shapes} is not (M,D), (V,D) and (V,)"
    if len(dtypes) > 1 or features.dtype not in DTYPES:
        return f"features in {features.dtype} and weights in {weight.dtype} cannot be multiplied"
    devices = {x.device for x in given}
    if len(devices) > 1 or not runs_on(features.device):
        return f"Triton runs on one CUDA device; the projection is on {sorted(map(str, devices))}"
    return None
