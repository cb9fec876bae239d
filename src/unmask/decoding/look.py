"""Asking the network: one pass of the trunk, and the head at the positions somebody looks at.

Shapes: B rows, N positions, D width, M positions looked at over the whole batch, V vocabulary.
Logits exist for one chunk of those M positions at a time, never as (B,N,V).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from unmask import sampling
from unmask.decoding.blame import placed, where
from unmask.decoding.faults import first_of, in_logits, in_temperatures, look_now
from unmask.decoding.past import compared
from unmask.decoding.ragged import trunk
from unmask.decoding.strategy import Strategy
from unmask.decoding.veil import MaskId, Veil
from unmask.errors import LogitsError
from unmask.head import (
    chunk_rows,
    illegal_tensor,
    legal_logits,
    mask_id_of,
    projection_of,
    vocab_of,
)
from unmask.host import per_row, places
from unmask.inference import is_out_of_memory
from unmask.kernels import can_fuse, can_run, fused_draw, give_up
from unmask.random import Purpose, gumbel, uniform
from unmask.types import NEVER, Denoiser, Past, Prediction, Proposal, State

NOISE_SHARE = 16  # of a chunk, where every id has a noise of its own, made of several integers


def predict(denoiser: Denoiser, state: State, veil: Veil | None = None) -> Prediction:
    """One pass of the trunk over the canvas. What the network raises comes with step and rows."""
    shown = (veil or MaskId())(state, denoiser)
    tokens = shown.where(state.masked, state.tokens)
    extra: dict[str, Any] = {} if state.condition is None else {"condition": state.condition}
    if getattr(denoiser, "sees_progress", False):
        unknown, writable = (
            (flags & state.open).sum(1).double() for flags in (state.masked, state.editable)
        )
        extra |= {"progress": state.progress, "ratio": unknown / writable.clamp(min=1)}
    if getattr(denoiser, "sees_masked", False):
        extra["masked"] = state.masked
    with placed(state, "the network"):
        hidden, memory = trunk(denoiser, tokens, state.valid, state.memory, extra)
    if hidden.dim() != 3 or hidden.shape[:2] != tokens.shape:
        raise LogitsError(
            f"the network returned shape {tuple(hidden.shape)} for tokens of shape "
            f"{tuple(tokens.shape)} ({where(state)}): return (B, N, vocabulary) logits"
        )
    return Prediction(hidden, memory)


def propose(
    prediction: Prediction,
    denoiser: Denoiser,
    strategy: Strategy,
    state: State,
    looked: Tensor,
    allowed: Tensor | None = None,
    count: int | None = None,
) -> Proposal:
    """The head, asked where looked (B,N) bool: a token drawn at unknown positions, all measured.

    allowed: bool (M,V), what may be drawn at each position looked at, in the order of the canvas.
    count: how many positions that is, where the host knows.
    """
    return _Look(denoiser, strategy, state, looked, allowed, count).propose(prediction.hidden)


def given_the_rest(denoiser: Denoiser, strategy: Strategy, state: State, asked: Tensor) -> Tensor:
    """(B,N) float32: log p(token held | the canvas with that one position unknown), 0 elsewhere.

    asked (B,N) bool. One pass of the trunk for each position, in batches of B.
    """
    out = torch.zeros(asked.shape, device=asked.device)
    places = asked.nonzero()
    for part in places.split(max(8, len(asked))) if len(places) else ():
        row, position = part.unbind(1)
        held = state.take(row)
        alone = torch.zeros_like(held.masked)
        alone[torch.arange(len(part), device=part.device), position] = True
        shown = held.tokens  # a veil that shows tokens must not show the one that is asked for
        if strategy.veil.keeps_draw:
            shown = shown.masked_fill(alone, mask_id_of(denoiser))
        hidden = replace(held, tokens=shown, masked=held.masked | alone)
        prediction = predict(denoiser, hidden, strategy.veil)
        proposal = propose(prediction, denoiser, strategy, held, alone, count=len(part))
        look_now(proposal.fault, held)
        out[row, position] = proposal.logprob.sum(1)  # 0 elsewhere
    return out


class _Look:
    """One asking of the head: the M positions looked at and what belongs to each of them."""

    def __init__(
        self,
        denoiser: Denoiser,
        strategy: Strategy,
        state: State,
        looked: Tensor,
        allowed: Tensor | None,
        count: int | None,
    ):
        self.denoiser, self.strategy, self.state, self.looked = denoiser, strategy, state, looked
        self.needs, self.allowed = strategy.needs, allowed
        self.vocab = vocab_of(denoiser)
        row = per_row(state.row, "value", torch.clone)
        strategy.constraint.check(
            int(row.max()) + 1 if len(row) else 0, looked.shape[1], self.vocab
        )
        self.index = places(looked.flatten(), count)  # (M,) into the flat canvas
        self.row, self.position = self.index // looked.shape[1], self.index % looked.shape[1]
        temperature = strategy.draw.temperatures(state.progress, state.span)
        self.fault = in_temperatures(temperature, state)
        self.temperature = temperature[self.row]
        self.u = uniform(state.seed[self.row], state.step[self.row], self.position, Purpose.DRAW)
        unknown = state.masked.flatten()[self.index]
        self.held = state.tokens.flatten()[self.index].masked_fill(unknown, -1)
        self.illegal = illegal_tensor(denoiser, looked.device, strategy.constraint.forbidden)
        self.scratch = sampling.Scratch()
        self.noised = strategy.draw.race or "noised_logprob" in self.needs

    def propose(self, hidden: Tensor) -> Proposal:
        """hidden (B,N,D) -> a Proposal over the canvas, meaningful where looked at."""
        gathered = hidden.flatten(0, 1).index_select(0, self.index)
        parts = self._fused(gathered) or self._chunks(gathered)
        names = parts[0] if parts else ()
        flat = {name: torch.cat([part[name] for part in parts]) for name in names}
        peak = flat.pop("peak", self.temperature.new_zeros(0))
        unusable = in_logits(peak, self.row, self.position, self.state)
        fault = first_of(self.state, self.fault, unusable)
        past = self._past(flat) if "divergence" in self.needs else None
        dense = {name: self._scatter(values) for name, values in flat.items()}
        token = dense.pop("token", self.state.tokens)
        blank = torch.zeros(self.looked.shape, device=self.looked.device)
        logprob, drawn = dense.pop("logprob", blank), dense.pop("drawn_logprob", blank)
        return Proposal(self.looked, token, logprob, drawn, past=past, fault=fault, **dense)

    def _fused(self, hidden: Tensor) -> list[dict[str, Tensor]]:
        """Everything in one part, where logits need not exist; nothing where they must."""
        draw, constraint = self.strategy.draw, self.strategy.constraint
        tables = (self.allowed, constraint.legal, constraint.required)
        per_position = any(table is not None for table in tables)
        if not len(hidden) or not can_fuse(draw, self.needs, per_position, hidden.device):
            return []
        with placed(self.state, "the network's head"):
            projection = projection_of(self.denoiser, hidden)
        if projection is None or not can_run(projection):
            return []
        warmth = self.temperature if callable(draw.temperature) else draw.temperature
        try:
            return [fused_draw(projection, self.illegal, warmth, self.u, self.held, self.needs)]
        except Exception as error:
            if is_out_of_memory(error):
                raise
            give_up(error)
            return []

    def _chunks(self, hidden: Tensor) -> list[dict[str, Tensor]]:
        rows = chunk_rows(self.vocab, hidden.shape[1], hidden.device)
        rows = max(1, rows // NOISE_SHARE) if self.noised else rows
        starts = range(0, len(self.index), rows)
        return [self._chunk(hidden[i : i + rows], slice(i, i + rows)) for i in starts]

    def _chunk(self, hidden: Tensor, at: slice) -> dict[str, Tensor]:
        """The fields of a Proposal at these positions, from hidden states (m,D)."""
        logits = self._legal_logits(hidden, at)
        out = sampling.measured(
            logits,
            self.strategy.draw,
            self.temperature[at],
            self.u[at],
            self.held[at],
            self.needs,
            self._noise(at) if self.noised else None,
            self.scratch,
        )
        if "divergence" in self.needs:
            assert self.state.past is not None
            before = Past(*(part.flatten(0, 1)[self.index[at]] for part in self.state.past))
            out |= compared(logits - out["normaliser"].unsqueeze(1), before)
        out.pop("normaliser")
        return out

    def _noise(self, at: slice) -> Tensor:
        """(m,V) float32: temperature·Gumbel, a noise for each id of each position."""
        ids = torch.arange(vocab_of(self.denoiser), device=self.index.device)
        row, place = self.row[at].unsqueeze(1), self.position[at].unsqueeze(1)
        u = uniform(self.state.seed[row], self.state.step[row], place, Purpose.NOISE, ids)[..., 0]
        return gumbel(u).float() * self.temperature[at].unsqueeze(1)

    def _legal_logits(self, hidden: Tensor, at: slice) -> Tensor:
        """(m,V) float32 logits with illegal ids at -inf."""
        with placed(self.state, "the network's head"):
            logits = legal_logits(self.denoiser, hidden, self.illegal)
        rows = self.state.row[self.row[at]]
        illegal = self.strategy.constraint.illegal_at(rows, self.position[at], logits.shape[1])
        if illegal is not None:
            logits = logits.masked_fill(illegal, sampling.NEG_INF)
        if self.allowed is not None:
            logits = logits.masked_fill(~self.allowed[at], sampling.NEG_INF)
        return logits

    def _scatter(self, values: Tensor, fill: float = 0) -> Tensor:
        """(M,...) -> (B,N,...), `fill` where not looked at."""
        full = values.new_full((self.looked.numel(), *values.shape[1:]), fill)
        return full.index_copy(0, self.index, values).view(*self.looked.shape, *values.shape[1:])

    def _past(self, flat: dict[str, Tensor]) -> Past:
        """What is kept of this step, taken out of the flat values."""
        assert self.state.past is not None
        if not flat:
            return self.state.past
        divergence = self._scatter(flat.pop("divergence"), torch.inf)
        ids = self._scatter(flat.pop("likeliest"), NEVER)
        return Past(ids, self._scatter(flat.pop("likeliest_logprob")), divergence)
