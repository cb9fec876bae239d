"""x-transformers' TransformerWrapper around an Encoder as a denoiser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from unmask.core.network import Cache, Query
from unmask.core.projection import Projection, tied, untied
from unmask.errors import ModelError
from unmask.models.adapter import Adapter, keywords, make_spec
from unmask.models.hidden_cache import HiddenCache
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
    return any(
        kind.__name__ == "TransformerWrapper" and kind.__module__.startswith("x_transformers")
        for kind in type(net).__mro__
    )


def can_split(net: Any) -> bool:
    """Return whether logits are `to_logits` of each position's embedding alone."""
    options = (getattr(net, name, None) for name in _WHOLE)
    return net.to_logits is not None and not any(o is not None and o is not False for o in options)


class XTransformersDenoiser(Adapter):
    """An x-transformers `TransformerWrapper` with an `Encoder`. Arguments as in `unmask.wrap`.

    The trunk runs with `return_embeddings`, the head is `to_logits`, self-conditioning is passed as
    `sum_embeds`. Raises ModelError for a Decoder, or self-conditioning without a plain head.
    """

    def __init__(
        self,
        net: Any,
        mask_id: int | None,
        *,
        forbidden: Sequence[int] = (),
        length: int | None = None,
        logit_shift: bool = False,
        self_conditioning: SelfConditioning | None = None,
    ):
        if net.attn_layers.causal:
            raise ModelError(
                "the network has a Decoder, whose positions attend to earlier ones only: "
                "make the TransformerWrapper with attn_layers=Encoder(...)"
            )
        cached = self_conditioning is not None
        known: dict[str, Any] = {"cached": cached, "supports_trimming": not cached}
        super().__init__(
            make_spec(int(net.num_tokens), mask_id, forbidden, length, **known), logit_shift
        )
        self.net, self.self_conditioning = net, self_conditioning
        self.split = can_split(net)
        if cached and not self.split:
            raise ModelError(
                "self-conditioning needs a network whose logits are to_logits of the embeddings: "
                "leave self_conditioning out, or the option that changes the head"
            )

    def forward(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """Return (R,N,D), and with self-conditioning a cache of the same, else None.

        A condition is a dict of further keyword arguments of the network, such as `context`.
        """
        given = keywords(query.condition)
        if query.padded:
            given["mask"] = query.valid
        if self.self_conditioning is not None:
            given["sum_embeds"] = self.self_conditioning(cache, *query.tokens.shape)
        hidden: Tensor = self.net(query.tokens, return_embeddings=self.split, **given)
        after = HiddenCache.of(hidden) if self.self_conditioning is not None else None
        return self.shift_logits(hidden), after

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits (M,V) of hidden states (M,D)."""
        return self.net.to_logits(hidden) if self.split else hidden

    def projection(self, hidden: Tensor) -> Projection | None:
        """Return the projection of hidden (M,D), if `to_logits` is linear or tied to the ids."""
        if not self.split:
            return None
        scale = getattr(self.net, "tie_embedding_scale", None)
        if scale is not None and not isinstance(self.net.to_logits, nn.Module):
            return tied(hidden, self.net.token_emb.emb.weight, scale)
        return untied(hidden, self.net.to_logits)
