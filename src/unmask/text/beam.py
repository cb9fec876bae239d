"""The likeliest ids of several unknown positions together: a beam over the most certain position.

A forward has `ROWS` rows at most, and what is ranked is rounded as elsewhere (`core/ranking.py`),
with ties by position, id and rank: fillings do not depend on the texts beside them.

Shapes: T texts, R rows of their beams, N positions, V vocabulary, K choices of a position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unmask.core.arrays import tensor_of
from unmask.core.head import chunk_rows, illegal_tensor
from unmask.core.inference import evaluating
from unmask.core.network import Denoiser, Query
from unmask.core.ranking import on_grid, ranked_positions
from unmask.decoding import Canvas, Strategy
from unmask.engine import run
from unmask.text.request import ROWS


class Hidden(NamedTuple):
    """The ids of a text, and which of them are unknown."""

    ids: list[int]
    unknown: list[bool]


class Likely(NamedTuple):
    """Ids of the unknown positions, and the logarithm of their joint probability, in nats."""

    tokens: list[int]
    logprob: float


@dataclass(frozen=True)
class _Beams:
    """Rows of which some positions are unknown still."""

    text: Tensor  # (R,) int64: the text of each row
    tokens: Tensor  # (R,N) int64
    unknown: Tensor  # (R,N) bool
    valid: Tensor  # (R,N) bool
    logprob: Tensor  # (R,) float32

    def take(self, rows: Tensor) -> _Beams:
        """Return these rows."""
        return _Beams(*(part[rows] for part in vars(self).values()))


def most_of_draws(
    denoiser: Denoiser, text: Hidden, top_k: int, strategy: Strategy, seed: int
) -> list[Likely]:
    """Return the different ones of top_k fillings that a strategy draws."""
    canvas = Canvas.infill([text.ids] * top_k, [text.unknown] * top_k)
    found = run(denoiser, canvas, strategy, seed=seed, max_rows=ROWS)
    drawn = found.tokens[:, torch.tensor(text.unknown)].tolist()
    sums = dict(zip(map(tuple, drawn), found.logprob.sum(1).tolist(), strict=True))
    return [Likely(list(tokens), logprob) for tokens, logprob in sums.items()]


def most_likely(
    denoiser: Denoiser, texts: Sequence[Hidden], top_k: int, never: Sequence[int]
) -> list[list[Likely]]:
    """Return for each text the best top_k fillings that a beam finds; exact for one position.

    At each step, every row of the beams fills in the position of which its best id is likeliest.
    log p is the sum of the network's own logarithms over these steps; `never` are not chosen.
    """
    beams = _begun(texts, denoiser.device or torch.device("cpu"))
    asked = beams.unknown
    barred = illegal_tensor(denoiser.spec, asked.device, tuple(never))
    found: list[list[Likely]] = [[] for _ in texts]
    with evaluating(denoiser):
        while len(beams.text):
            beams = _grown(denoiser, beams, asked, barred, top_k)
            full = ~beams.unknown.any(1)
            rows = (part[full].tolist() for part in (beams.text, beams.tokens, beams.logprob))
            for text, row, logprob in zip(*rows, strict=True):
                unknown = texts[text].unknown
                ids = [token for token, hidden in zip(row, unknown, strict=False) if hidden]
                found[text].append(Likely(ids, logprob))
            beams = beams.take(~full)
    return found


def _begun(texts: Sequence[Hidden], device: torch.device) -> _Beams:
    """Return a row for each text, with nothing filled in."""
    width = max((len(text.ids) for text in texts), default=0)

    def padded(rows: Sequence[Sequence[int]], padding: int) -> Any:
        return tensor_of([[*row, *[padding] * (width - len(row))] for row in rows]).to(device)

    return _Beams(
        text=torch.arange(len(texts), device=device),
        tokens=padded([text.ids for text in texts], 0),
        unknown=padded([text.unknown for text in texts], False),
        valid=padded([[True] * len(text.ids) for text in texts], False),
        logprob=torch.zeros(len(texts), device=device),
    )


def _grown(denoiser: Denoiser, beams: _Beams, asked: Tensor, barred: Tensor, top_k: int) -> _Beams:
    """Return the best top_k rows of each text with one more position filled in, best first."""
    rows = torch.arange(len(beams.text), device=beams.text.device)
    parts = [
        _choices(denoiser, beams.take(some), asked, barred, top_k) for some in rows.split(ROWS)
    ]
    place, best, choice = map(torch.cat, zip(*parts, strict=True))
    source = rows.repeat_interleave(best.shape[1])
    grown, there = beams.take(source), place[source].unsqueeze(1)
    grown.tokens.scatter_(1, there, choice.view(-1, 1))
    grown.unknown.scatter_(1, there, False)
    grown.logprob.add_(best.flatten())
    return grown.take(_best(grown, top_k))


def _choices(
    denoiser: Denoiser, beams: _Beams, asked: Tensor, barred: Tensor, top_k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return by one forward the position to fill in (R,), and its best log p and ids, both (R,K).

    The position is that of which the best id is likeliest.
    """
    spec, rows = denoiser.spec, torch.arange(len(beams.text), device=beams.text.device)
    shown = beams.tokens.masked_fill(beams.unknown, spec.mask_id or 0)
    query = Query.of(shown, beams.valid).with_inputs(spec.inputs, beams.unknown, asked[beams.text])
    hidden, _ = denoiser.forward(query, None)
    unknown = beams.unknown.nonzero()
    place = unknown[:, 1]
    if len(unknown) > len(rows):  # several in a row
        most = chunk_rows(spec.vocab_size, hidden.shape[-1], hidden.device)
        parts = [hidden[some[:, 0], some[:, 1]] for some in unknown.split(most)]
        best = torch.cat([_logp(denoiser, part, barred).amax(1) for part in parts])
        sure = torch.full(shown.shape, -torch.inf, device=shown.device)
        sure[unknown[:, 0], unknown[:, 1]] = on_grid(best)
        place = ranked_positions(sure)[:, 0]
    logp = _logp(denoiser, hidden[rows, place], barred)
    choice = _likeliest(logp, min(top_k, logp.shape[1] - len(barred)))
    return place, logp.gather(1, choice), choice


def _logp(denoiser: Denoiser, hidden: Tensor, barred: Tensor) -> Tensor:
    """(R,D) -> (R,V) float32: log p of each id, −inf of those that are barred."""
    logp = denoiser.logits(hidden).float().log_softmax(-1)
    return logp.index_fill(1, barred, -torch.inf)


def _likeliest(logp: Tensor, count: int) -> Tensor:
    """(R,V) -> (R,count) int64: the likeliest ids, equal ones by their number."""
    size = logp.shape[1]
    behind = on_grid(logp).abs().view(torch.int32).long()  # grows as log p ≤ 0 falls
    key = behind * size + torch.arange(size, device=logp.device)
    return key.topk(count, largest=False).indices


def _best(beams: _Beams, top_k: int) -> Tensor:
    """Return the rows to keep: of each text the top_k best different ones, the best first."""
    shown = beams.tokens.masked_fill(beams.unknown, -1).tolist()
    kept: dict[int, dict[tuple[int, ...], int]] = {}
    order = on_grid(beams.logprob).argsort(descending=True, stable=True).tolist()
    for i, text in zip(order, beams.text[order].tolist(), strict=True):
        of_text = kept.setdefault(text, {})
        if len(of_text) < top_k:
            of_text.setdefault(tuple(shown[i]), i)
    rows = [i for of_text in kept.values() for i in of_text.values()]
    return torch.tensor(rows, device=beams.text.device)
