"""x-transformers' TransformerWrapper around an Encoder as a denoiser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unmask.core.network import Cache, Query
from unmask.core.projection import Projection, tied, untied
from unmask.errors import ModelError
from unmask.models import trial
from unmask.models.adapter import Adapter, Way, keywords
from unmask.models.hidden_cache import HiddenCache
from unmask.models.outputs import has_base, states_of
from unmask.models.self_conditioning import SelfConditioning

# With these options, logits are not `to_logits(embedding)` of each position alone.
_WHOLE = (
    "to_mixture",
    "sigsoftmax_logits",
    "squeeze_out_last_dim",
    "has_multiple_heads",
    "recycling",
    "looped",
    "average_pool_embed",
    "cls_token",
    "attn_pool",
)


def is_x_transformer(net: object) -> bool:
    """Return whether this is x-transformers' TransformerWrapper, without importing it."""
    return has_base(net, "x_transformers", "TransformerWrapper")


def can_split(net: Any) -> bool:
    """Return whether logits are `to_logits` of each position's embedding alone."""
    options = (getattr(net, name, None) for name in _WHOLE)
    return net.to_logits is not None and not any(o is not None and o is not False for o in options)


class XTransformersDenoiser(Adapter):
    """An x-transformers `TransformerWrapper` with an `Encoder`. Arguments as in `unmask.wrap`.

    The trunk runs with `return_embeddings`, the head is `to_logits`, self-conditioning is passed as
    `sum_embeds`. Raises ModelError for a Decoder, or self-conditioning without a plain head.
    """

    per_token = ("pos", "attn_mask", "embed_ids")

    def __init__(
        self,
        net: Any,
        mask_id: int | None,
        *,
        length: int | None = None,
        self_conditioning: SelfConditioning | None = None,
        **options: Any,
    ):
        if net.attn_layers.causal:
            raise ModelError(
                "the network has a Decoder, whose positions attend to earlier ones only: "
                "make the TransformerWrapper with attn_layers=Encoder(...)"
            )
        cached = self_conditioning is not None
        if cached and not can_split(net):
            raise ModelError(
                "self-conditioning needs a network whose logits are to_logits of the embeddings: "
                "leave self_conditioning out, or the option that changes the head"
            )
        options |= {"cached": cached, "supports_trimming": not cached}
        longest = int(net.max_seq_len) or None  # 0 is x-transformers' "any"
        options["max_length"] = longest
        options["length"] = longest if length is None else length
        super().__init__(net, int(net.num_tokens), mask_id, **options)
        self.self_conditioning = self_conditioning
        self.way = self.ways[0]

    @property
    def ways(self) -> Sequence[Way]:
        """Ways with the head apart where it is plain, as self-conditioning needs it."""
        heads = [True, False] if can_split(self.net) else [False]
        if self.self_conditioning is not None:
            heads = [True]
        return [Way(apart, by_length) for by_length in (False, True) for apart in heads]

    def settle(self) -> None:
        trial.settle(self)

    def example(self, rows: int, length: int) -> Any:
        """Return what cross-attention, adaptive norms and further embeddings need."""
        net, layers, found = self.net, self.net.attn_layers, {}
        weight = next(net.parameters())
        if layers.cross_attend:
            kinds = zip(layers.layer_types, layers.layers, strict=True)
            cross = next(layer[1] for kind, layer in kinds if kind == "c")
            found["context"] = weight.new_ones(
                rows, 2, getattr(cross, "fn", cross).to_k.in_features
            )
        if layers.need_condition:
            found["condition"] = weight.new_ones(rows, layers.dim_condition)
        if net.embeds is not None:
            ids = torch.zeros(rows, length, dtype=torch.int64, device=weight.device)
            found["embed_ids"] = {name.removesuffix("_embed"): ids for name in net.embeds}
        return found or None

    def whole(self, tokens: Tensor, condition: Any) -> Tensor:
        return self.shift_logits(self._pass(Query.of(tokens, condition=condition), None, False))

    def run(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """Return (R,N,D), and with self-conditioning a cache of the same, else None.

        A condition is a dict of further keyword arguments of the network, such as `context`.
        """
        hidden = self._pass(query, cache, self.way.split)
        return self.shift_logits(hidden), self.kept(hidden)

    def _pass(self, query: Query, cache: Cache | None, split: bool) -> Tensor:
        given = keywords(query.condition) | self.conditioning(cache, query.tokens)
        if query.padded:
            given["mask"] = query.valid
        output = self.net(query.tokens, return_embeddings=split, **given)
        before = given.get("prepend_embeds")  # positions that precede the rows
        return states_of(output if before is None else output[:, before.shape[1] :], query.tokens)

    def conditioning(self, cache: Cache | None, tokens: Tensor) -> dict[str, Tensor]:
        """Return the network's argument of self-conditioning; nothing without it."""
        if self.self_conditioning is None:
            return {}
        return {"sum_embeds": self.self_conditioning(cache, *tokens.shape)}

    def kept(self, hidden: Tensor) -> HiddenCache | None:
        """Return the cache of hidden states (R,N,D); None without self-conditioning."""
        return None if self.self_conditioning is None else HiddenCache.of(hidden)

    def head(self, hidden: Tensor) -> Any:
        return self.net.to_logits(hidden)

    def head_projection(self, hidden: Tensor) -> Projection | None:
        scale = getattr(self.net, "tie_embedding_scale", None)
        if scale is not None and not isinstance(self.net.to_logits, nn.Module):
            return tied(hidden, self.net.token_emb.emb.weight, scale)
        return untied(hidden, self.net.to_logits)
