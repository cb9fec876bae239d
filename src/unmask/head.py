"""Asking a denoiser's head for rows of logits that can be trusted.

Shapes: M rows asked for, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import torch
from torch import Tensor

from unmask.errors import LogitsError, ModelError
from unmask.projection import Projection
from unmask.types import Denoiser

# float32 of one chunk. On the CPU just under 32 MiB: a larger one is fetched from the system anew,
# page by page, each time it is asked for.
CHUNK_ELEMENTS = {"cpu": 2**23 - 2**13, "cuda": 2**24}


def chunk_rows(vocab: int, width: int, device: torch.device) -> int:
    """How many positions the head is asked for at once: (rows,D) and (rows,V) make one chunk."""
    elements = CHUNK_ELEMENTS.get(device.type, CHUNK_ELEMENTS["cuda"])
    return max(1, elements // max(vocab, width))


def mask_id_of(denoiser: Denoiser) -> int:
    """The id shown at unknown positions. Raises ModelError when there is none."""
    if denoiser.mask_id is None:
        raise ModelError(
            "the denoiser has no mask id to show at unknown positions: "
            "pass it, as in unmask.wrap(net, mask_id=17)"
        )
    return denoiser.mask_id


def vocab_of(denoiser: Denoiser) -> int:
    """V. Raises ModelError while it is unknown."""
    if denoiser.vocab_size is None:
        raise ModelError("the vocabulary size is unknown: pass unmask.wrap(net, vocab_size=...)")
    return denoiser.vocab_size


def illegal_ids(denoiser: Denoiser, further: Iterable[int] = ()) -> list[int]:
    """Ids that are never data: the mask id, those the model forbids, and further ones."""
    mask = () if denoiser.mask_id is None else (denoiser.mask_id,)
    ids = sorted({*mask, *getattr(denoiser, "forbidden", ()), *further})
    outside = [i for i in ids if not 0 <= i < vocab_of(denoiser)]
    if outside:
        raise ModelError(f"ids {outside} are outside the vocabulary of {vocab_of(denoiser)}")
    return ids


def legal_logits(denoiser: Denoiser, hidden: Tensor, illegal: Tensor) -> Tensor:
    """(M,D) -> (M,V) float32 with the illegal ids (an int64 vector) at -inf, perhaps in place."""
    logits = denoiser.logits(hidden)
    if logits.shape != (len(hidden), vocab_of(denoiser)):
        raise LogitsError(
            f"the head returned shape {tuple(logits.shape)} for {len(hidden)} positions and a "
            f"vocabulary of {vocab_of(denoiser)}: return one logit per id"
        )
    # A part of something larger, such as a table, is not ours to write to.
    ours = logits is hidden or logits._base is None or logits.dtype != torch.float32
    logits = logits.float()
    fill = logits.index_fill_ if ours and not logits.requires_grad else logits.index_fill
    return fill(1, illegal, float("-inf"))


def projection_of(denoiser: Denoiser, hidden: Tensor) -> Projection | None:
    """What the logits of hidden (M,D) are the product of, where the denoiser offers that.

    Raises LogitsError unless it is of M rows and the vocabulary.
    """
    offered = getattr(denoiser, "projection", None)
    projection: Projection | None = None if offered is None else offered(hidden)
    if projection is not None:
        given = (len(projection.features), len(projection.weight))
        if given != (len(hidden), vocab_of(denoiser)):
            raise LogitsError(
                f"`projection` returned {given[0]} features and the weights of {given[1]} ids, for "
                f"{len(hidden)} positions and a vocabulary of {vocab_of(denoiser)}: return one of "
                "each, or None to have `logits` asked"
            )
    return projection


def illegal_tensor(denoiser: Denoiser, device: torch.device, further: Iterable[int] = ()) -> Tensor:
    """`illegal_ids` as an int64 vector on a device."""
    return _on(device, tuple(illegal_ids(denoiser, further)))


@lru_cache(maxsize=64)
def _on(device: torch.device, ids: tuple[int, ...]) -> Tensor:
    with torch.inference_mode(False):  # training may use it, too
        return torch.tensor(ids, dtype=torch.int64, device=device)
