"""The score of a text."""

from __future__ import annotations

from dataclasses import replace

import torch

from unmask.core.network import Denoiser
from unmask.errors import InputError
from unmask.scoring import Bound, PseudoLikelihood, Score, score
from unmask.scoring.look import Method
from unmask.text.encoding import Encoding
from unmask.text.inputs import check_words, text_of


def text_score(
    denoiser: Denoiser,
    encoding: Encoding,
    text: str,
    given: str,
    *,
    by: Method | None,
    seed: int,
) -> Score:
    """Return how likely a text is behind what is given, as `TextModel.score`."""
    behind = encoding.encode(text_of("given", given))
    before = [*encoding.around[0], *behind]
    ids = encoding.encode(text_of("text", text))
    for name, part, read in (("given", given, behind), ("text", text, ids)):
        check_words(encoding, name, read, [part])
    if not ids:
        raise InputError(f"text={text!r} has no token: pass a text to score")
    whole = torch.tensor([[*before, *ids, *encoding.around[1]]])
    place = torch.arange(whole.shape[1])
    maskable = ((place >= len(before)) & (place < len(before) + len(ids)))[None]
    if by is None and len(ids) == 1:
        alone = score(denoiser, whole, maskable, by=PseudoLikelihood())
        return replace(alone, kind="exact")
    return score(denoiser, whole, maskable, by=by or Bound(), seed=seed)
