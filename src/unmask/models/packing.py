"""Several documents in one row of the network, without attention between them.

Shapes: B documents, N positions of a document, D width, M positions queried.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from unmask.core.inference import evaluating
from unmask.core.network import Cache, DenoiserSpec, Query
from unmask.errors import CanvasError, DataError, ModelError
from unmask.models.adapter import keywords
from unmask.models.conditioning import ClassConditioned
from unmask.models.forwarding import Forwarding
from unmask.models.layout import PackedLayout, lay_out
from unmask.models.packed_networks import OWNED, Network, check, in_packed_rows


class Packed(Forwarding):
    """A denoiser whose trunk runs on packed rows, each with several documents of a batch.

    The documents are packed into rows of at most `length` positions by first-fit-decreasing.
    Attention is block-diagonal and positions are counted from 0 in each document, so that hidden
    states, losses, gradients and generations are those of the documents alone. Masks, counts and
    seeds are those of the documents; only the trunk gets packed rows.

    inner: `unmask.wrap` of an x-transformers network, or of a transformers `*ForMaskedLM` of a
    tested family; `ClassConditioned` around the latter; or `models.Decoder`, whose blocks are then
    counted from 0 in each document. A condition is a dict of per-token tensors (B,N,...), or class
    numbers; a decoder takes none. Raises ModelError for a network whose documents cannot be kept
    apart (found by a trial pass), DataError for a document longer than `length`.
    """

    def __init__(self, inner: Any, length: int):
        super().__init__(inner)
        self.packed_length = length
        if length < 2:
            raise ModelError(f"length={length}: pass 2 or more positions for packed rows")
        check(self._network, length)
        _try(self)

    @property
    def spec(self) -> DenoiserSpec:
        """The inner denoiser's spec; rows are packed instead of cut."""
        return replace(self.inner.spec, supports_trimming=False)

    @property
    def _network(self) -> Network:
        inner: Any = self.inner.inner if isinstance(self.inner, ClassConditioned) else self.inner
        if not isinstance(inner, Network):
            raise ModelError(
                f"{type(self.inner).__name__} cannot be packed: pass unmask.wrap(...) of a "
                "transformers *ForMaskedLM or of an x-transformers TransformerWrapper, or a Decoder"
            )
        return inner

    def forward(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """Return (B,N,D), zeros at padding, and the cache of self-conditioning, if any."""
        return self._forward_packed(lay_out(query.valid, self.packed_length), query, cache)

    def _forward_packed(
        self, layout: PackedLayout, query: Query, cache: Cache | None
    ) -> tuple[Tensor, Cache | None]:
        if layout.rows == 0:
            raise DataError("no row of the batch has a token: leave empty rows out")
        given = query.condition
        if isinstance(self.inner, ClassConditioned):
            given = self.inner.arguments(given, query.tokens)
        query = replace(query, condition=_per_token(given, query.tokens))
        return in_packed_rows(self._network, layout, query, cache)


def _per_token(condition: Any, tokens: Tensor) -> dict[str, Any]:
    """Return a condition of per-token tensors. Raises CanvasError for any other."""
    given = keywords(condition)
    taken = sorted(given.keys() & OWNED)
    if taken:
        raise CanvasError(f"{taken} are computed by packing and cannot be passed: leave them out")

    def per_token(x: Any) -> Any:
        if not isinstance(x, Tensor) or x.shape[:2] != tokens.shape:
            got = tuple(x.shape) if isinstance(x, Tensor) else repr(x)
            raise CanvasError(
                f"the condition has {got}, and packed rows need a value for each token: pass "
                f"tensors whose shape begins with {tuple(tokens.shape)}"
            )
        return x

    return {name: tree_map(per_token, part) for name, part in given.items()}


def _try(packed: Packed) -> None:
    """Raise ModelError unless short documents give the same states in shared rows as alone."""
    longest = min(4, packed.packed_length - 1)
    device = packed.device or torch.device("cpu")
    # Two rows that are divided differently: 4 + 1 and 3 + 2.
    size = torch.tensor([longest, 1, longest - 1, 2], device=device)
    place = torch.arange(max(longest, 2), device=device)
    valid = place < size[:, None]
    tokens = (place + torch.arange(1, 5, device=device)[:, None]) % packed.spec.vocab_size
    layout = lay_out(valid, longest + 1)
    try:
        with evaluating(packed):
            alone, _ = packed.inner.forward(Query.of(tokens, valid), None)
            both, _ = packed._forward_packed(layout, Query.of(tokens, valid), None)
    except Exception as error:
        raise ModelError(
            f"this network cannot be packed: documents that share a row gave {error!r}. Leave "
            "Packed out, or use a network that needs no condition and takes an attention mask"
        ) from error
    difference = (alone - both)[valid].abs().max()
    if float(difference) > torch.finfo(both.dtype).eps ** 0.5 * float(alone[valid].abs().max()):
        raise ModelError(
            f"this network cannot be packed: documents that share a row change each other's states "
            f"by {float(difference):.2g}, as convolutions and shift_logits tokens do"
        )
