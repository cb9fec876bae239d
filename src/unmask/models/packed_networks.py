"""Masks and positions by which networks keep the documents of a packed row apart.

Shapes: B documents, N positions, R packed rows of W positions, D width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from unmask.core.network import Cache
from unmask.errors import ModelError
from unmask.models.hf import MaskedLMDenoiser, position_ids
from unmask.models.hidden_cache import HiddenCache
from unmask.models.layout import PackedLayout
from unmask.models.x_transformers import XTransformersDenoiser

OWNED = {"attention_mask", "position_ids", "attn_mask", "mask", "pos", "sum_embeds"}

# Families that take a 4-D attention mask and explicit positions; a test checks each.
FAMILIES = {
    "bert", "camembert", "data2vec-text", "electra", "ernie", "esm", "megatron-bert", "modernbert",
    "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl",
}  # fmt: skip


def check(network: MaskedLMDenoiser | XTransformersDenoiser, length: int) -> None:
    """Raise ModelError for a network that mixes the documents of a row, or too long rows."""
    if isinstance(network, MaskedLMDenoiser):
        _check_family(network.backbone.config)
        return
    net = network.net
    learnt = type(net.pos_emb).__name__ == "AbsolutePositionalEmbedding"
    if learnt and length > net.max_seq_len:
        raise ModelError(
            f"length={length}: the network has {net.max_seq_len} learnt positions; pass a length "
            "of at most that"
        )
    if net.attn_layers.cross_attend:
        raise ModelError(
            "the network has cross-attention, whose context belongs to a whole row, so documents "
            "cannot share rows: leave Packed out"
        )
    if net.num_memory_tokens > 0:
        raise ModelError(
            "the network has memory tokens, which all documents of a row would share: leave Packed "
            "out"
        )


def _check_family(config: Any) -> None:
    if config.model_type not in FAMILIES:
        raise ModelError(
            f"packing is not tested for {config.model_type}: leave Packed out, or use one of "
            f"{sorted(FAMILIES)}"
        )
    if config._attn_implementation not in ("sdpa", "eager"):
        raise ModelError(
            f"attn_implementation={config._attn_implementation!r} takes no block-diagonal mask: "
            "load the network with attn_implementation='sdpa'"
        )


def in_packed_rows(
    network: MaskedLMDenoiser | XTransformersDenoiser,
    layout: PackedLayout,
    tokens: Tensor,
    valid: Tensor,
    cache: Cache | None,
    given: dict[str, Any],
) -> tuple[Tensor, Cache | None]:
    """Run one pass over packed rows; return the hidden states (B,N,D) and the cache."""
    packed = tree_map(layout.pack, given)
    if isinstance(network, XTransformersDenoiser):
        return _x_transformers(network, layout, tokens, cache, packed)
    return _transformers(network, layout, tokens, valid, packed), None


def _x_transformers(
    network: XTransformersDenoiser,
    layout: PackedLayout,
    tokens: Tensor,
    cache: Cache | None,
    given: dict[str, Any],
) -> tuple[Tensor, Cache | None]:
    given |= {"attn_mask": layout.together(), "pos": layout.pack(_columns(tokens))}
    conditioning = network.self_conditioning
    if conditioning is not None:
        given["sum_embeds"] = layout.pack(conditioning(cache, *tokens.shape))
    packed = network.net(layout.pack(tokens), return_embeddings=network.way.split, **given)
    hidden = layout.unpack(packed, tokens)
    return hidden, None if conditioning is None else HiddenCache.of(hidden)


def _transformers(
    network: MaskedLMDenoiser,
    layout: PackedLayout,
    tokens: Tensor,
    valid: Tensor,
    given: dict[str, Any],
) -> Tensor:
    net, config = network.backbone, network.backbone.config
    padding = int(config.pad_token_id or 0)
    tokens = tokens.masked_fill(~valid, padding)
    first = network.first_position
    position = _columns(tokens) if first is None else position_ids(first, valid)
    together, place = layout.together(), layout.pack(position, 0 if first is None else first - 1)
    given |= {"position_ids": place, "attention_mask": shaped(net, together)}
    if config.model_type == "esm":
        # Its embedding counts the mask ids of a row, so it runs on the documents.
        embedded = net.base_model.embeddings(
            tokens, attention_mask=valid.long(), position_ids=position
        )
        given["inputs_embeds"] = layout.pack(embedded)
    else:
        given["input_ids"] = layout.pack(tokens, padding)
    if config.model_type == "modernbert":
        near = (place[:, :, None] - place[:, None, :]).abs() <= config.sliding_window
        given["attention_mask"] = {
            "full_attention": shaped(net, together),
            "sliding_attention": shaped(net, together & near.unsqueeze(1)),
        }
    out = net.base_model(**given).last_hidden_state if network.way.split else net(**given).logits
    return layout.unpack(out, tokens)


def _columns(tokens: Tensor) -> Tensor:
    """Return (B,N) int64: the position of each token in its document."""
    return torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)


def shaped(net: Any, together: Tensor) -> Tensor:
    """Return the mask that the attention takes: bool, or for eager attention a float to add."""
    if net.config._attn_implementation == "sdpa":
        return together
    lowest = torch.finfo(net.dtype).min
    return torch.zeros_like(together, dtype=net.dtype).masked_fill(~together, lowest)
