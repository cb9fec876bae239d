"""Masks and positions by which networks keep the documents of a packed row apart.

Shapes: B documents, N positions, R packed rows of W positions, D width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from unmask.core.network import Cache, Query
from unmask.errors import ModelError, StrategyError
from unmask.models.attention import shaped
from unmask.models.decoder import Decoder
from unmask.models.hf import MaskedLMDenoiser, position_ids
from unmask.models.layout import PackedLayout
from unmask.models.x_transformers import XTransformersDenoiser

OWNED = {"attention_mask", "position_ids", "attn_mask", "mask", "pos", "sum_embeds"}

# Families that take a 4-D attention mask and explicit positions; a test checks each.
FAMILIES = {
    "bert", "camembert", "data2vec-text", "electra", "ernie", "esm", "megatron-bert", "modernbert",
    "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl",
}  # fmt: skip

Network = MaskedLMDenoiser | XTransformersDenoiser | Decoder


def check(network: Network, length: int) -> None:
    """Raise ModelError for a network that mixes the documents of a row, or too long rows."""
    if isinstance(network, Decoder):  # one that ignored its mask was refused before
        return
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
    for what, found in (
        ("cross-attention, whose context belongs to a whole row", net.attn_layers.cross_attend),
        ("memory tokens, which all documents would share", net.num_memory_tokens > 0),
    ):
        if found:
            raise ModelError(f"the network has {what}: leave Packed out")


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
    network: Network, layout: PackedLayout, query: Query, cache: Cache | None
) -> tuple[Tensor, Cache | None]:
    """Run one pass over packed rows; return the hidden states (B,N,D) and the cache.

    The query's condition is a dict of tensors (B,N,...), arguments of the network. A logit shift is
    from token to token of one document, so it comes after unpacking.
    """
    if isinstance(network, Decoder):
        return _decoder(network, layout, query), None
    given = tree_map(layout.pack, query.condition)
    if isinstance(network, MaskedLMDenoiser):
        return network.shift_logits(_transformers(network, layout, query, given)), None
    tokens = query.tokens
    given |= {"attn_mask": layout.together(), "pos": layout.pack(_columns(tokens))}
    given |= tree_map(layout.pack, network.conditioning(cache, tokens))
    packed = network.net(layout.pack(tokens), return_embeddings=network.way.split, **given)
    hidden = layout.unpack(packed, tokens)
    return network.shift_logits(hidden), network.kept(hidden)


def _decoder(network: Decoder, layout: PackedLayout, query: Query) -> Tensor:
    tokens, clean = query.tokens, query.clean
    network.check(tokens, query.condition or None)
    if network.training and network.open_share < 1:
        raise StrategyError(
            f"open_share={network.open_share!r}: attention that opens is drawn for rows, not for "
            "documents that share one; train without Packed until it is 1"
        )
    order = network.order(tokens.shape[1], tokens.device)
    packed = network.streams(
        layout.pack(tokens),
        None if clean is None else layout.pack(clean),
        layout.pack(_columns(tokens)),
        layout.pack(order.expand_as(tokens)),
        layout.together().squeeze(1),
    )
    hidden, after = (None if x is None else layout.unpack(x, tokens) for x in packed)
    assert hidden is not None
    return network.shifted(hidden, after, order)


def _transformers(
    network: MaskedLMDenoiser, layout: PackedLayout, query: Query, given: dict[str, Any]
) -> Tensor:
    net, config = network.backbone, network.backbone.config
    padding, first = int(config.pad_token_id or 0), network.first_position
    tokens = query.tokens.masked_fill(~query.valid, padding)
    position = _columns(tokens) if first is None else position_ids(first, query.valid)
    together, place = layout.together(), layout.pack(position, 0 if first is None else first - 1)
    given |= {"position_ids": place, "attention_mask": shaped(net, together)}
    if config.model_type == "esm":
        # Its embedding counts the mask ids of a row, so it runs on the documents.
        embedded = net.base_model.embeddings(
            tokens, attention_mask=query.valid.long(), position_ids=position
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
