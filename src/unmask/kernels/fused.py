"""Tokens and their statistics, straight from features and the vocabulary's weights.

Computed once: the M·V logits, in registers, each summed up with its block where it was made, so
that (M,K) numbers reach memory. Computed twice: the W logits of each row's chosen block, or the one
of a token that is known. Which block and which id inside it follow from the same masses and the
same two uniforms as in `sampling`, so that tokens are the same but where rounding decides: logits
are float32 here whatever the features are, and a head in bfloat16 rounds them.
Shapes: M positions queried, D width, V vocabulary, W = ⌊√V⌋ ids in a block, K = ⌈V/W⌉ blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Protocol

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
FEW = 16  # rows, the smallest tile: fewer would waste more


class Shaping(Protocol):
    """The fields read of a `sampling.Sampling`."""

    @property
    def filtered(self) -> bool:
        """Whether some ids are not drawn."""
        ...

    @property
    def gumbel(self) -> bool:
        """Whether each id has a noise of its own."""
        ...


def can_fuse(how: Shaping, needs: Set[str], per_position: bool, device: torch.device) -> bool:
    """Whether `fused_draw` may stand for `draw_with_statistics`; ask `can_run` of the projection.

    What must go the plain way: any device but CUDA, and any host without Triton; top-k, top-p,
    min-p and races; statistics that need whole rows of logits (noised_logprob, divergence); and
    per_position: legal ids that differ from position to position (legal and required ids,
    feasibility hooks). Nothing is fused any more after `give_up`.
    """
    if per_position or how.filtered or how.gumbel or needs - STATISTICS:
        return False
    return LAUNCHER.may_run(device)


def give_up(error: Exception) -> None:
    """Fuse no more in this process, for what was raised, and say so."""
    LAUNCHER.give_up(error, stacklevel=3)


def can_run(projection: Projection | None) -> bool:
    """Whether Triton can multiply this: one dtype of `DTYPES`, shapes that fit, on CUDA."""
    return projection is not None and _why_not(projection) is None


def fused_draw(
    projection: Projection,
    illegal: Tensor,
    temperature: Tensor | float,
    u: Tensor,
    held: Tensor,
    needs: Set[str] = frozenset(),
) -> dict[str, Tensor]:
    """A token for each row and its statistics, as `draw_with_statistics` names them, each (M,).

    illegal: int64 vector of ids that are never drawn. temperature: (M,) float32, or one number ≥ 0
    for all rows, which saves a sum where it is 0 or 1; below COLD the draw is greedy. u: (M,2)
    float64 in (0, 1). held: (M,) int64, the token that stands there, −1 where one is to be drawn.
    needs: names among `STATISTICS`.

    token int64; float32: logprob of it at temperature 1, sampling_logprob at the row's temperature
    (where greedy, measured from the likeliest), and max_logit, the largest legal logit: -inf where
    no id is legal, NaN where a logit is NaN or +inf, and nothing else means anything then. The
    row's statistics are those of the legal ids at temperature 1; nothing is filtered, so that
    kept_logprob is logprob. Raises ModelError for a projection that does not fit together or that
    Triton cannot run, StrategyError for other needs. Nothing here waits for the device, and no
    gradient comes back.
    """
    _check(projection, needs)
    rows, vocab = len(u), len(projection.weight)
    offset = _offset(projection, illegal)
    size = max(1, PART_ELEMENTS // -(-vocab // width_of(vocab)))
    parts = []
    with torch.cuda.device_of(u):
        for i in range(0, max(1, rows), size):
            at = slice(i, i + size)
            part_temperature = temperature[at] if isinstance(temperature, Tensor) else temperature
            features = projection.features[at]
            parts.append(
                _part(features, projection.weight, offset, part_temperature, u[at], held[at], needs)
            )
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _part(
    features: Tensor,
    weight: Tensor,
    offset: Tensor,
    temperature: Tensor | float,
    u: Tensor,
    held: Tensor,
    needs: Set[str],
) -> dict[str, Tensor]:
    """`fused_draw` for as many rows as there is room for. offset (V,) float32: see `_offset`."""
    number = None if isinstance(temperature, Tensor) else temperature
    if not isinstance(temperature, Tensor):
        temperature = torch.full(held.shape, temperature, device=u.device)
    greedy = temperature < COLD
    rate = 1 / temperature.float().where(~greedy, 1.0)
    may_be_greedy = number is None or number < COLD
    tempered = number is None or not (number < COLD or number == 1)
    blocks = _blocks(features, weight, offset, rate, tempered, may_be_greedy, needs)
    block, known = blocks.drawn(u[:, 0]), held
    if may_be_greedy:
        known = blocks.likeliest().where(greedy & (held < 0), held)
    block = (known // blocks.width).where(known >= 0, block)
    token, logit = _pick(features, weight, offset, rate, u[:, 1], block, known)
    # Made a second time, a logit may come out a rounding above the largest.
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


def _blocks(
    features: Tensor,
    weight: Tensor,
    offset: Tensor,
    rate: Tensor,
    tempered: bool,
    may_be_greedy: bool,
    needs: Set[str],
) -> Blocks:
    from unmask.kernels.programs import block_statistics

    (rows, dim), vocab, width = features.shape, len(weight), width_of(len(weight))
    count = -(-vocab // width)
    wanted = {
        "tempered": tempered,
        "mean": "entropy" in needs,
        "best": may_be_greedy or "top_token" in needs,
        "second": "margin" in needs,
    }
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
        TEMPERED=wanted["tempered"], MEAN=wanted["mean"], BEST=wanted["best"],
        SECOND=wanted["second"],
        WIDEN=interpreted(),  # whose dot takes bfloat16 for integers
        ROWS=tile, TILE=_tile(width), DIM=32 if features.dtype == torch.float32 else 64,
        num_warps=4 if tile == FEW else 8, num_stages=3, enable_fp_fusion=True,
    )  # fmt: skip
    return Blocks(width, rate, **out)


def _tile(width: int) -> int:
    """How many ids of a block are looked at at once: what exceeds the block least, or more."""
    if width < 64:
        return max(FEW, _power_of_two(width))
    return min((128, 64), key=lambda tile: -(-width // tile) * tile)


def _pick(
    features: Tensor,
    weight: Tensor,
    offset: Tensor,
    rate: Tensor,
    u: Tensor,
    block: Tensor,
    known: Tensor,
) -> tuple[Tensor, Tensor]:
    """block (M,), known (M,) int64 -> ids (M,) int64 and their logits (M,) float32."""
    from unmask.kernels.programs import pick_inside

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
    """The smallest one that is no less."""
    return 1 << (number - 1).bit_length()


def _offset(projection: Projection, illegal: Tensor) -> Tensor:
    """(V,) float32: the bias, and -inf at illegal ids."""
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
    """What about the projection keeps the kernels from running; None where nothing does."""
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
