"""The likeliest ids of several unknown positions together: a beam over the most certain position.

Shapes: R rows of the beam, N positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.core.head import illegal_tensor
from unmask.core.inference import evaluating
from unmask.core.network import Denoiser, Query


@dataclass(frozen=True)
class Beam:
    """Ids (K,U) of the unknown positions of a row, the likeliest first, and log p (K,) in nats."""

    tokens: Tensor
    logprob: Tensor


@torch.no_grad()
def most_likely(
    denoiser: Denoiser,
    ids: Sequence[int],
    unknown: Sequence[bool],
    top_k: int,
    never: Sequence[int],
) -> Beam:
    """Return the best top_k fillings that a beam of that width finds; exact for one position.

    At each step, every row of the beam fills in the position of which its best id is likeliest.
    log p is the sum over these steps of the logarithm of the network's probabilities, among all
    ids; `never` are not chosen.
    """
    device = denoiser.device
    tokens = torch.tensor([list(ids)], device=device)
    open_ = torch.tensor([list(unknown)], device=device)
    where = open_[0].nonzero().squeeze(1)
    total = torch.zeros(1, device=device)
    barred = illegal_tensor(denoiser.spec, tokens.device, tuple(never))
    with evaluating(denoiser):
        for _ in range(len(where)):
            tokens, open_, total = _grown(denoiser, tokens, open_, total, where, barred, top_k)
    return Beam(tokens[:, where].cpu(), total.cpu())


def _grown(
    denoiser: Denoiser,
    tokens: Tensor,
    open_: Tensor,
    total: Tensor,
    where: Tensor,
    barred: Tensor,
    top_k: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the beam (R,N) with one more position of each row filled in, the best rows first."""
    query = Query.of(tokens).with_inputs(denoiser.spec.inputs, open_, open_)
    hidden, _ = denoiser.forward(query, None)
    row, position = open_.nonzero().unbind(1)
    logp = denoiser.logits(hidden[row, position]).float().log_softmax(-1)
    logp[:, barred] = -torch.inf
    best, choice = logp.topk(min(top_k, logp.shape[1] - len(barred)), dim=-1)  # (R·U,K)
    best, choice = (part.view(len(tokens), -1, part.shape[1]) for part in (best, choice))
    surest = best[..., 0].argmax(1)  # (R,)
    every = torch.arange(len(tokens), device=tokens.device)
    place = position.view(len(tokens), -1)[every, surest]
    score = (total.unsqueeze(1) + best[every, surest]).flatten()
    grown, still = (part.repeat_interleave(best.shape[2], 0) for part in (tokens, open_))
    at = place.repeat_interleave(best.shape[2])
    grown[torch.arange(len(at)), at] = choice[every, surest].flatten()
    still[torch.arange(len(at)), at] = False
    first = dict[tuple[int, ...], int]()  # of rows that are alike, the best
    for i in score.argsort(descending=True, stable=True).tolist():
        first.setdefault(tuple(grown[i, where].where(~still[i, where], -1).tolist()), i)
    kept = list(first.values())[:top_k]
    return grown[kept], still[kept], score[kept]
