"""transformers' decoders (`*ForCausalLM`) as denoisers, by the attention mask they are given.

Shapes: B rows, N positions, D width, M positions the head is asked for, V vocabulary; R rows of Q
queries that see K keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from unmask.core.checks import check_count
from unmask.core.inference import evaluating
from unmask.core.network import Cache, Query
from unmask.core.projection import Projection, untied
from unmask.errors import CanvasError, ModelError
from unmask.models.adapter import Adapter, make_spec
from unmask.models.hf import backbone_of
from unmask.models.packed_networks import shaped

GROWING = {"dynamic", "longrope"}  # rotary positions whose frequencies depend on the longest row


class Decoder(Adapter):
    """A transformers `*ForCausalLM` whose positions see their block and all before it, or all.

    block: with W positions a block, position i sees j where j // W ≤ i // W: block diffusion
    (BD3-LM 2503.09573, Fast-dLLM v2 2509.26328, SDAR 2510.06303). None: all see all (LLaDA
    2502.09992, Dream 2508.15487). Either way, padding is seen from nowhere.
    mask_id, forbidden, length, logit_shift: as in `unmask.wrap`.

    The network is given a 4-D attention mask and position ids, and is tried once. Raises ModelError
    for one that does not keep to them, or whose logits are not its `lm_head` of the last hidden
    states. A sliding window is replaced by the mask, so that rows longer than it are refused.
    """

    def __init__(
        self,
        net: Any,
        mask_id: int,
        *,
        block: int | None = None,
        forbidden: Sequence[int] = (),
        length: int | None = None,
        logit_shift: bool = False,
    ):
        if block is not None:
            check_count("block", block)
        _check_kind(backbone_of(net))
        config = backbone_of(net).config
        window = _window(config)
        known: dict[str, Any] = {"block_size": block, "max_length": window}
        spec = make_spec(int(config.vocab_size), mask_id, forbidden, length, **known)
        super().__init__(spec, logit_shift)
        self.net, self.block, self.window = net, block, window
        _try(self)

    @property
    def backbone(self) -> Any:
        """The `*ForCausalLM`."""
        return backbone_of(self.net)

    def extra_repr(self) -> str:
        """Who sees whom."""
        return "all see all" if self.block is None else f"block={self.block}"

    def forward(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """(R,N) -> (R,N,D), and no cache. Raises CanvasError where a condition is given."""
        tokens = query.tokens
        self.check(tokens, query.condition)
        order = self.order(tokens.shape[1], tokens.device)
        seen = (order <= order.unsqueeze(1)) & query.valid.unsqueeze(1)
        position = torch.arange(len(order), device=tokens.device).expand_as(tokens)
        return self.shift_logits(self.trunk(tokens, position, seen)), None

    def logits(self, hidden: Tensor) -> Tensor:
        """(M,D) -> (M,V)."""
        logits: Tensor = self.backbone.get_output_embeddings()(hidden)
        return logits

    def projection(self, hidden: Tensor) -> Projection | None:
        """(M,D) -> what `logits` multiplies; None where its `lm_head` is no plain matrix."""
        return untied(hidden, self.backbone.get_output_embeddings())

    def trunk(self, tokens: Tensor, position: Tensor, seen: Tensor, **cache: Any) -> Tensor:
        """tokens, position (R,Q) int64, seen (R,Q,K) bool -> (R,Q,D): one pass of the network.

        cache: transformers' own object for keys and values, by the name the network has for it.
        """
        hidden: Tensor = self.backbone.base_model(
            input_ids=tokens,
            position_ids=position,
            attention_mask=shaped(self.backbone, seen.unsqueeze(1)),
            use_cache=False,
            **cache,
        ).last_hidden_state
        return hidden

    def order(self, length: int, device: torch.device | None) -> Tensor:
        """(N,) int64: position i sees j where order j ≤ order i."""
        return torch.arange(length, device=device) // (self.block or length)

    def check(self, tokens: Tensor, condition: Any) -> None:
        """Raise CanvasError for what a decoder cannot be told."""
        if condition is not None:
            raise CanvasError(
                "a decoder takes no condition: put what it is to know before the unknown positions "
                "as tokens, with Canvas.infill"
            )
        if self.window is not None and tokens.shape[1] > self.window:
            raise CanvasError(
                f"rows of {tokens.shape[1]} positions, and the network's layers look back only "
                f"{self.window}, which the mask would undo: pass at most {self.window} positions"
            )


def _check_kind(net: Any) -> None:
    """Raise ModelError for what is no causal language model, or is known not to keep to a mask."""
    wanted = ("config", "base_model", "get_output_embeddings")
    if not all(hasattr(net, name) for name in wanted) or net.get_output_embeddings() is None:
        raise ModelError(
            f"{type(net).__name__} is no transformers *ForCausalLM: pass one, such as "
            "AutoModelForCausalLM.from_pretrained(...), or wrap another network by unmask.wrap"
        )
    attention = getattr(net.config, "_attn_implementation", None)
    if attention not in ("sdpa", "eager"):
        raise ModelError(
            f"attn_implementation={attention!r} takes no mask of its own for each pair: load the "
            "network with attn_implementation='sdpa'"
        )
    rotary = getattr(net.config, "rope_parameters", None) or getattr(
        net.config, "rope_scaling", None
    )
    kind = rotary.get("rope_type", rotary.get("type")) if isinstance(rotary, dict) else None
    if kind in GROWING:
        raise ModelError(
            f"rope_type={kind!r} turns positions by the longest row of a batch, so that a row "
            "would depend on its batch: use 'default', 'linear' or 'yarn'"
        )


def _window(config: Any) -> int | None:
    """How far back the network's layers look by themselves; None where they see everything."""
    kinds = getattr(config, "layer_types", None)
    windowed = (
        getattr(config, "use_sliding_window", True)
        if kinds is None
        else (any(kind != "full_attention" for kind in kinds))
    )
    sizes = (getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size"))
    return min((size for size in sizes if windowed and size), default=None)


def _try(decoder: Decoder) -> None:
    """Raise ModelError unless a pass keeps to the mask, and the head is all there is behind it."""
    device = decoder.device or torch.device("cpu")
    tokens = torch.arange(4, device=device).expand(2, 4) % decoder.spec.vocab_size
    other = tokens.clone()
    other[1, 3] = (other[1, 3] + 1) % decoder.spec.vocab_size
    order = torch.tensor([0, 0, 1, 1], device=device)
    seen = (order <= order.unsqueeze(1)).expand(2, 4, 4)
    position = torch.arange(4, device=device).expand(2, 4)
    try:
        with evaluating(decoder):
            hidden = decoder.trunk(other, position, seen)
            whole = decoder.backbone(
                input_ids=other,
                position_ids=position,
                attention_mask=shaped(decoder.backbone, seen.unsqueeze(1)),
                use_cache=False,
            ).logits
            logits = decoder.logits(hidden)
    except Exception as error:
        raise ModelError(
            f"this network takes no mask for each pair of positions: {error!r}. Load it with "
            "attn_implementation='eager', or use another network"
        ) from error
    if not same(hidden[0, :2], hidden[1, :2]):
        raise ModelError("this network looks ahead: a later block changed the states of an earlier")
    if torch.equal(hidden[0, 2], hidden[1, 2]):
        raise ModelError(
            "this network ignores its mask: within a block, a later token changed nothing before it"
        )
    if logits.shape != whole.shape or not same(logits, whole):
        raise ModelError(
            "the network's logits are not its lm_head of the last hidden states (it caps or scales "
            "them): pass a callable tokens -> logits to unmask.wrap"
        )


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal up to rounding, for their dtype."""
    scale = max(float(one.abs().max()), float(other.abs().max()))
    tolerance: float = torch.finfo(one.dtype).eps ** 0.5
    return float((one - other).abs().max()) <= tolerance * scale
