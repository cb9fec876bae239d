"""The diffusion transformer of MDLM (2406.07524) and BD3-LM (2503.09573), as a denoiser.

Neither has a class in transformers, and their authors' code needs a GPU. The network is their DiT
(2212.09748) with the names of their weights.

Shapes: R rows, N positions, D width, H heads, C width of the time, V vocabulary, M queried.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unmask.core.checks import check_count
from unmask.core.network import Cache, Query
from unmask.core.projection import Projection, untied
from unmask.errors import CanvasError, ModelError
from unmask.models.adapter import Adapter, Way
from unmask.models.attention import block_causal, two_streams

FREQUENCIES = 256  # of the time, sines and cosines
LEAST = 1e-3  # share that is known at the time 1


class _Norm(nn.Module):
    """A layer norm without a bias."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.float(), x.shape[-1:]).to(x.dtype) * self.weight


class _Times(nn.Module):
    """Times (R,) as vectors (R,C)."""

    def __init__(self, width: int):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, times: Tensor) -> Tensor:
        half = FREQUENCIES // 2
        place = torch.arange(half, device=times.device, dtype=torch.float32)
        angle = times.float()[:, None] * torch.exp(-math.log(10_000) * place / half)
        found: Tensor = self.mlp(
            torch.cat([angle.cos(), angle.sin()], 1).to(next(self.parameters()))
        )
        return found


class _Modulated(nn.Module):
    """A module whose `count` shifts, scales and gates (R,1,D) depend on the time."""

    def __init__(self, config: Any, count: int):
        super().__init__()
        self.count = count
        if config.adaln:
            self.adaLN_modulation = nn.Linear(config.cond_dim, count * config.hidden_dim)

    def parts(self, time: Tensor | None) -> list[Tensor | float]:
        """Return shift, scale and gate, once or twice; those of no change without times."""
        if time is None:
            return [0.0, 0.0, 1.0] * (self.count // 3) if self.count > 2 else [0.0, 0.0]
        return list(self.adaLN_modulation(time)[:, None].chunk(self.count, 2))


class _Block(_Modulated):
    """Attention with rotary positions, then two layers; each scaled and shifted by the time."""

    def __init__(self, config: Any):
        super().__init__(config, 6)
        width, self.heads = config.hidden_dim, config.n_heads
        self.norm1, self.norm2 = _Norm(width), _Norm(width)
        self.attn_qkv = nn.Linear(width, 3 * width, bias=False)
        self.attn_out = nn.Linear(width, width, bias=False)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )

    def forward(
        self, x: Tensor, time: Tensor | None, turn: tuple[Tensor, Tensor], seen: Tensor
    ) -> Tensor:
        """x (R,N,D). turn: cosines and sines (N,Dh). seen (R,1,N,N) bool."""
        shift, scale, gate, shift2, scale2, gate2 = self.parts(time)
        x = x + gate * self._attended(self.norm1(x) * (1 + scale) + shift, turn, seen)
        change: Tensor = gate2 * self.mlp(self.norm2(x) * (1 + scale2) + shift2)
        return x + change

    def _attended(self, x: Tensor, turn: tuple[Tensor, Tensor], seen: Tensor) -> Tensor:
        rows, length, _ = x.shape
        parts = self.attn_qkv(x).view(rows, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key = (_turned(part, *turn) for part in parts[:2])
        found = F.scaled_dot_product_attention(query, key, parts[2], attn_mask=seen)
        out: Tensor = self.attn_out(found.transpose(1, 2).reshape(rows, length, -1))
        return out


def _turned(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Return x (R,H,N,Dh) turned by the angles of its positions."""
    first, second = x.chunk(2, -1)
    return x * cosine.to(x) + torch.cat([-second, first], -1) * sine.to(x)


class _Output(_Modulated):
    """The last norm, and the weights of the logits."""

    def __init__(self, config: Any):
        super().__init__(config, 2)
        self.norm_final = _Norm(config.hidden_dim)
        self.linear = nn.Linear(config.hidden_dim, config.vocab_size)

    def forward(self, x: Tensor, time: Tensor | None) -> Tensor:
        """Return the hidden states (R,N,D) that `linear` makes logits of."""
        shift, scale = self.parts(time)
        hidden: Tensor = self.norm_final(x) * (1 + scale) + shift
        return hidden


class _Embedding(nn.Module):
    """Vectors (V,D) of ids."""

    def __init__(self, config: Any):
        super().__init__()
        self.embedding = nn.Parameter(torch.empty(config.vocab_size, config.hidden_dim))


class _Rotary(nn.Module):
    """Angles of positions, a multiple of each frequency (Dh/2,)."""

    inv_freq: Tensor

    def __init__(self, width: int):
        super().__init__()
        place = torch.arange(0, width, 2).float()
        self.register_buffer("inv_freq", 1 / 10_000 ** (place / width))

    def forward(self, position: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosines and sines (N,Dh). position: (N,) int64."""
        angle = torch.outer(position.float(), self.inv_freq.float()).repeat(1, 2)
        return angle.cos(), angle.sin()


class _Trunk(nn.Module):
    """The network without its logits; modules are called as the weights are."""

    def __init__(self, config: Any):
        super().__init__()
        self.vocab_embed = _Embedding(config)
        self.sigma_map = _Times(config.cond_dim) if config.adaln else None
        self.rotary_emb = _Rotary(config.hidden_dim // config.n_heads)
        self.blocks = nn.ModuleList([_Block(config) for _ in range(config.n_blocks)])
        self.output_layer = _Output(config)

    def forward(self, tokens: Tensor, position: Tensor, times: Tensor, seen: Tensor) -> Tensor:
        """Return (R,N,D). tokens (R,N); position (N,); times (R,); seen (R,1,N,N) bool."""
        x, turn = self.vocab_embed.embedding[tokens], self.rotary_emb(position)
        time = None if self.sigma_map is None else F.silu(self.sigma_map(times))
        for block in self.blocks:
            x = block(x, time, turn, seen)
        hidden: Tensor = self.output_layer(x, time)
        return hidden


@cache
def dit_class(model_type: str = "mdlm") -> Any:
    """Return the network as a class that transformers reads. model_type: of its config."""
    from transformers import PretrainedConfig, PreTrainedModel

    name = model_type

    class DiTConfig(PretrainedConfig):  # type: ignore[misc, unused-ignore]
        """The entries of the authors' configs."""

        model_type = name

        def __init__(
            self, vocab_size: int = 50258, hidden_dim: int = 768, cond_dim: int = 128,
            n_blocks: int = 12, n_heads: int = 12, model_length: int = 1024, adaln: bool = True,
            time_conditioning: bool = False, **others: Any,
        ):  # fmt: skip
            self.vocab_size, self.model_length, self.adaln = vocab_size, model_length, adaln
            self.hidden_dim, self.cond_dim = hidden_dim, cond_dim
            self.n_blocks, self.n_heads = n_blocks, n_heads
            self.time_conditioning = time_conditioning
            super().__init__(**others)

    class DiTForMaskedLM(PreTrainedModel):  # type: ignore[misc, unused-ignore]
        """The network."""

        config_class = DiTConfig
        _keys_to_ignore_on_load_unexpected = ["sampling_eps_m(ax|in)"]  # noqa: RUF012 - a list there

        def __init__(self, config: Any):
            super().__init__(config)
            self.backbone = _Trunk(config)
            self.post_init()  # type: ignore[no-untyped-call, unused-ignore]

    return DiTForMaskedLM


class DiT(Adapter):
    """The network of MDLM, and with `block` that of BD3-LM, of `dit_class`.

    block: W, where position i attends to j if j // W ≤ i // W; None where all attend to all. No
    position attends to padding. The time is that of the authors' samplers, −log(1 − t) with t the
    share of unknown positions; networks whose config says `time_conditioning` false are shown 0.
    """

    way = Way(split=True)

    def __init__(self, net: Any, mask_id: int, *, block: int | None = None):
        if block is not None:
            check_count("block", block, ModelError)
        config = net.config
        self.timed = bool(config.time_conditioning and config.adaln)
        inputs = frozenset({"progress"} if self.timed else ())
        options: dict[str, Any] = {"block_size": block, "max_length": int(config.model_length)}
        options |= {"supports_trimming": True, "inputs": inputs}
        options |= {"two_streams": block is not None and not self.timed}  # a row has one time
        super().__init__(net, int(config.vocab_size), mask_id, **options)
        self.block = block

    def settle(self) -> None:
        """Nothing to find, in a network of our own."""

    @property
    def backbone(self) -> Any:
        """The network of `dit_class`."""
        return self.net

    def extra_repr(self) -> str:
        return "bidirectional" if self.block is None else f"block={self.block}"

    def run(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """Return (R,N,D), and None. Raises CanvasError for a condition."""
        if query.condition is not None:
            raise CanvasError(
                "MDLM and BD3-LM take no condition: pass it as a prompt, tokens before the unknown "
                "positions, with Canvas.infill"
            )
        tokens, length = query.tokens, query.tokens.shape[1]
        position = torch.arange(length, device=tokens.device)
        order, keys = position.unsqueeze(0) // (self.block or length), query.valid.unsqueeze(1)
        if query.clean is None:
            seen = block_causal(order, keys)
        else:
            tokens, position = torch.cat([tokens, query.clean], 1), position.repeat(2)
            seen = two_streams(order, keys)
        hidden = self.net.backbone(tokens, position, self.times(query), seen.unsqueeze(1))
        return hidden[:, :length], None

    def times(self, query: Query) -> Tensor:
        """Return the times (R,) float32 of log-linear noise that the authors' samplers pass."""
        if not self.timed:
            return torch.zeros(len(query.tokens), device=query.tokens.device)
        assert query.unknown_share is not None
        share = query.unknown_share
        if self.block is None:
            return -torch.log1p(-(1 - LEAST) * share).float()
        return -torch.log1p(-share.clamp(max=1 - LEAST)).float()

    def head(self, hidden: Tensor) -> Any:
        return self.net.backbone.output_layer.linear(hidden)

    def head_projection(self, hidden: Tensor) -> Projection | None:
        return untied(hidden, self.net.backbone.output_layer.linear)
