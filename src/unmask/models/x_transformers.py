"""x-transformers' TransformerWrapper around an Encoder as a denoiser, head apart from trunk."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from unmask.errors import ModelError
from unmask.host import unpadded
from unmask.models.adapter import Ids, device_of, keywords
from unmask.models.self_conditioning import SelfConditioning
from unmask.projection import Projection, tied, untied
from unmask.types import Memory

# Options whose logits are more than `to_logits(embedding)`: they cannot be asked row by row.
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
    """Whether this is a TransformerWrapper of x-transformers, found without importing it."""
    return any(
        kind.__name__ == "TransformerWrapper" and kind.__module__.startswith("x_transformers")
        for kind in type(net).__mro__
    )


def can_split(net: Any) -> bool:
    """Whether the logits are the head applied to each position's embedding, and nothing more."""
    options = (getattr(net, name, None) for name in _WHOLE)
    return net.to_logits is not None and not any(o is not None and o is not False for o in options)


class XTransformersDenoiser(nn.Module):
    """Trunk by `return_embeddings`, head by `to_logits`, self-conditioning by `sum_embeds`."""

    def __init__(self, net: Any, ids: Ids, self_conditioning: SelfConditioning | None = None):
        super().__init__()
        if net.attn_layers.causal:
            raise ModelError(
                "the network has a Decoder, which sees only what comes before: "
                "give TransformerWrapper attn_layers=Encoder(...)"
            )
        self.net, self.ids, self.self_conditioning = net, ids, self_conditioning
        self.vocab_size, self.mask_id = int(net.num_tokens), ids.mask_id
        self.forbidden, self.length = ids.forbidden, ids.length
        self.split, self.trims = can_split(net), self_conditioning is None
        if self_conditioning is not None and not self.split:
            raise ModelError("self-conditioning needs a network whose head is a plain `to_logits`")

    @property
    def device(self) -> torch.device | None:
        """Device of the network."""
        return device_of(self)

    def hidden(
        self, tokens: Tensor, *, valid: Tensor, memory: Memory, condition: Any = None
    ) -> tuple[Tensor, Memory]:
        """(B,N) -> (B,N,D), and with self-conditioning the same as memory for the next step.

        A condition is a dict of further keyword arguments of the network, such as `context`.
        """
        given = keywords(condition)
        if not unpadded(valid):
            given["mask"] = valid
        if self.self_conditioning is not None:
            given["sum_embeds"] = self.self_conditioning(memory, *tokens.shape)
        hidden: Tensor = self.net(tokens, return_embeddings=self.split, **given)
        memory = hidden.detach() if self.self_conditioning is not None else None
        return self.ids.shifted(hidden), memory

    def logits(self, hidden: Tensor) -> Tensor:
        """(M,D) -> (M,V)."""
        return self.net.to_logits(hidden) if self.split else hidden

    def projection(self, hidden: Tensor) -> Projection | None:
        """(M,D) -> what `logits` multiplies, where `to_logits` is linear or tied to the ids."""
        if not self.split:
            return None
        scale = getattr(self.net, "tie_embedding_scale", None)
        if scale is not None and not isinstance(self.net.to_logits, nn.Module):
            return tied(hidden, self.net.token_emb.emb.weight, scale)
        return untied(hidden, self.net.to_logits)
