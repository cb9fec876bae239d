"""The head of a network: which ids it may draw, and logits that can be trusted.

Shapes: M rows asked for, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import torch
from torch import Tensor

from unmask.core.ids import check_forbidden
from unmask.core.network import Denoiser, DenoiserSpec
from unmask.core.projection import Projection
from unmask.errors import LogitsError, ModelError

# float32 of one chunk. On the CPU just under 32 MiB: a larger one is fetched from the system anew,
# page by page, each time it is asked for.
CHUNK_ELEMENTS = {"cpu": 2**23 - 2**13, "cuda": 2**24}


def chunk_rows(vocab: int, width: int, device: torch.device) -> int:
    """Return how many positions the head is asked for at once, with their logits one chunk."""
    elements = CHUNK_ELEMENTS.get(device.type, CHUNK_ELEMENTS["cuda"])
    return max(1, elements // max(vocab, width))


def mask_id_of(spec: DenoiserSpec) -> int:
    """Return the id shown at unknown positions. Raises ModelError when there is none."""
    if spec.mask_id is None:
        raise ModelError(
            "the denoiser has no mask id to show at unknown positions: "
            "pass it, as in unmask.wrap(net, mask_id=17)"
        )
    return spec.mask_id


def illegal_ids(spec: DenoiserSpec, further: Iterable[int] = ()) -> tuple[int, ...]:
    """Return the ids that are never data: the mask id, forbidden ones, and further ones."""
    mask = () if spec.mask_id is None else (spec.mask_id,)
    ids = tuple(sorted({*mask, *spec.forbidden, *further}))
    check_forbidden(ids, spec.vocab_size, ModelError)
    return ids


@lru_cache(maxsize=64)
def illegal_tensor(
    spec: DenoiserSpec, device: torch.device, further: tuple[int, ...] = ()
) -> Tensor:
    """Return `illegal_ids` as an int64 vector on a device."""
    with torch.inference_mode(False):  # training may use it, too
        return torch.tensor(illegal_ids(spec, further), dtype=torch.int64, device=device)


def head_logits(denoiser: Denoiser, hidden: Tensor) -> Tensor:
    """(M,D) -> (M,V) float32. Raises LogitsError for another shape."""
    logits = denoiser.logits(hidden)
    vocab = denoiser.spec.vocab_size
    if logits.shape != (len(hidden), vocab):
        raise LogitsError(
            f"the head returned shape {tuple(logits.shape)} for {len(hidden)} positions and a "
            f"vocabulary of {vocab}: return one logit per id"
        )
    return logits


def without_ids(logits: Tensor, illegal: Tensor, hidden: Tensor | None = None) -> Tensor:
    """(M,V) float32 logits with the illegal ids (an int64 vector) at -inf, perhaps in place.

    hidden: the states that logits were made of, where they may be the same tensor.
    """
    # A part of something larger, such as a table, is not ours to write to.
    ours = logits is hidden or logits._base is None or logits.dtype != torch.float32
    logits = logits.float()
    fill = logits.index_fill_ if ours and not logits.requires_grad else logits.index_fill
    return fill(1, illegal, float("-inf"))


def legal_logits(denoiser: Denoiser, hidden: Tensor, illegal: Tensor) -> Tensor:
    """(M,D) -> (M,V) float32 with the illegal ids (an int64 vector) at -inf, perhaps in place."""
    return without_ids(head_logits(denoiser, hidden), illegal, hidden)


def projection_of(denoiser: Denoiser, hidden: Tensor) -> Projection | None:
    """Return features and weights whose product is the logits of hidden (M,D), None without them.

    Raises LogitsError unless it is of M rows and the vocabulary.
    """
    projection = denoiser.projection(hidden)
    if projection is not None:
        given = (len(projection.features), len(projection.weight))
        if given != (len(hidden), denoiser.spec.vocab_size):
            raise LogitsError(
                f"`projection` returned {given[0]} features and the weights of {given[1]} ids, for "
                f"{len(hidden)} positions and a vocabulary of {denoiser.spec.vocab_size}: return "
                "one of each, or None to have `logits` asked"
            )
    return projection
