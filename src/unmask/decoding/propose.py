"""Propose: the head at the queried positions, a token drawn at each, and its statistics.

Logits exist for one chunk of positions at a time, never as (B,N,V). Shapes: B rows, N positions,
K readings of a row, D width, M positions queried over the whole batch, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from unmask.constraints import illegal_at
from unmask.core.arrays import to_device, true_positions
from unmask.core.head import (
    chunk_rows,
    head_logits,
    illegal_tensor,
    projection_of,
    without_ids,
)
from unmask.core.history import History, compare
from unmask.core.inference import is_out_of_memory
from unmask.core.inversion import COLD
from unmask.core.network import Denoiser
from unmask.core.random import Purpose, gumbel, uniform
from unmask.core.state import NEVER, Proposal, State
from unmask.decoding.context import error_context
from unmask.decoding.faults import in_logits
from unmask.decoding.strategy import Strategy
from unmask.kernels import can_fuse, can_run, fused_draw, give_up
from unmask.sampling import NEG_INF, Scratch, Temperatures, draw_with_statistics

NOISE_SHARE = 16  # of a chunk, where every id has a noise of its own, made of several integers


def propose(
    state: State,
    strategy: Strategy,
    denoiser: Denoiser,
    hidden: Tensor,
    queried: Tensor,
    *,
    count: int | None = None,
    holds: bool = False,
    allowed: Tensor | None = None,
) -> Proposal:
    """Ask the head where queried (B,N) bool: a token drawn at unknown positions, and statistics.

    hidden (B·K,N,D) of the trunk. count: how many positions are queried, where the host knows.
    holds: some are known, and propose the token they hold. allowed: bool (M,V), what may be drawn
    at each of them, in the order of the canvas.
    """
    head = _Head(state, strategy, denoiser, queried, count, holds, allowed)
    flat = head.fused(hidden) or head.in_chunks(hidden)
    fault = in_logits(flat.pop("max_logit"), head.row, head.position, state) if flat else None
    return _scatter(flat, state, queried, head.index, fault, strategy)


def nothing_proposed(state: State) -> Proposal:
    """What a blind order is given."""
    nowhere = torch.zeros_like(state.masked)
    return Proposal(nowhere, state.tokens, state.logprob, state.sampling_logprob)


@dataclass
class _Head:
    """The M queried positions, and what belongs to each of them."""

    state: State
    strategy: Strategy
    denoiser: Denoiser
    queried: Tensor
    count: int | None
    holds: bool
    allowed: Tensor | None

    def __post_init__(self) -> None:
        state, length = self.state, self.queried.shape[1]
        self.index = true_positions(self.queried.flatten(), self.count)  # (M,) in the flat canvas
        self.row, self.position = self.index // length, self.index % length
        self.u = uniform(state.seed[self.row], state.step[self.row], self.position, Purpose.DRAW)
        self.temperature = self._temperature()
        self.held = self._held()
        forbidden = self.strategy.constraint.forbidden
        self.illegal = illegal_tensor(state.spec, state.device, forbidden)
        self.needs = self.strategy.needs
        self.weight = self._weight()
        self.scratch = Scratch()

    @property
    def noised(self) -> bool:
        """Whether every id of every position has a noise of its own."""
        return self.strategy.sampling.gumbel or "noised_logprob" in self.needs

    def fused(self, hidden: Tensor) -> dict[str, Tensor]:
        """Everything in one pass, where logits need not exist; nothing where they must."""
        state, how = self.state, self.strategy.sampling
        per_position = any(t is not None for t in (self.allowed, state.legal, state.required))
        plain = state.readings == 1 and len(self.index) > 0
        if not plain or not can_fuse(how, self.needs, per_position, state.device):
            return {}
        with error_context(state.rows, "the network's head"):
            projection = projection_of(self.denoiser, self._gather(hidden, self.index, 0))
        if projection is None or not can_run(projection):
            return {}
        held = torch.full_like(self.index, -1) if self.held is None else self.held
        try:
            return fused_draw(
                projection, self.illegal, self.temperature.value, self.u, held, self.needs
            )
        except Exception as error:
            if is_out_of_memory(error):
                raise
            give_up(error)
            return {}

    def in_chunks(self, hidden: Tensor) -> dict[str, Tensor]:
        """The fields of a Proposal at the queried positions, chunk by chunk of logits."""
        rows = chunk_rows(self.state.spec.vocab_size, hidden.shape[2], hidden.device)
        rows = max(1, rows // NOISE_SHARE) if self.noised else rows
        parts = [self._chunk(hidden, slice(i, i + rows)) for i in range(0, len(self.index), rows)]
        if len(parts) == 1:
            return parts[0]
        return (
            {name: torch.cat([part[name] for part in parts]) for name in parts[0]} if parts else {}
        )

    def _chunk(self, hidden: Tensor, at: slice) -> dict[str, Tensor]:
        logits = self._legal_logits(hidden, at)
        out = draw_with_statistics(
            logits,
            self.strategy.sampling,
            self.temperature.take(at),
            self.u[at],
            None if self.held is None else self.held[at],
            self.needs,
            self._noise(at) if self.noised else None,
            self.scratch,
        )
        normaliser = out.pop("normaliser")
        if "divergence" in self.needs:
            history = self.state.carries["divergence"]
            before = History(*(part.flatten(0, 1)[self.index[at]] for part in history))
            out |= compare(logits - normaliser.unsqueeze(1), before)
        return out

    def _legal_logits(self, hidden: Tensor, at: slice) -> Tensor:
        """(m,V) float32 logits with illegal ids at -inf."""
        state, row, position = self.state, self.row[at], self.position[at]
        with error_context(state.rows, "the network's head"):
            states = self._gather(hidden, self.index[at], 0)
            if self.strategy.guidance is None:
                logits = without_ids(head_logits(self.denoiser, states), self.illegal, states)
            else:
                both = torch.cat([states, self._gather(hidden, self.index[at], 1)])
                c, u = head_logits(self.denoiser, both).chunk(2)
                weight = self.weight[row] if isinstance(self.weight, Tensor) else self.weight
                combined = self.strategy.guidance.combine(c, u, weight)
                logits = without_ids(combined, self.illegal)
        illegal = illegal_at(state.legal, state.required, row, position, logits.shape[1])
        if illegal is not None:
            logits = logits.masked_fill(illegal, NEG_INF)
        if self.allowed is not None:
            logits = logits.masked_fill(~self.allowed[at], NEG_INF)
        return logits

    def _gather(self, hidden: Tensor, index: Tensor, reading: int) -> Tensor:
        """(B·K,N,D) -> (m,D): one reading of the positions `index` (m,) of the flat canvas."""
        if self.state.readings > 1:
            length = hidden.shape[1]
            row = index // length * self.state.readings + reading
            index = row * length + index % length
        return hidden.flatten(0, 1).index_select(0, index)

    def _noise(self, at: slice) -> Tensor:
        """(m,V) float32: temperature·Gumbel, a noise for each id of each position."""
        state, row = self.state, self.row[at].unsqueeze(1)
        ids = torch.arange(state.spec.vocab_size, device=state.device)
        place = self.position[at].unsqueeze(1)
        u = uniform(state.seed[row], state.step[row], place, Purpose.NOISE, ids)[..., 0]
        value = self.temperature.at(at)
        return gumbel(u).float() * (value.unsqueeze(1) if isinstance(value, Tensor) else value)

    def _temperature(self) -> Temperatures:
        rows = self.state.rows
        value = self.strategy.sampling.temperatures(rows.progress, rows.group_steps)
        if not isinstance(value, np.ndarray):
            return Temperatures.constant(value)
        sent = to_device(value.astype(np.float32), self.state.device)
        return Temperatures(sent[self.row], bool((value < COLD).any()))

    def _weight(self) -> float | Tensor:
        """The weight of guidance: one number, or (B,1) float32."""
        if self.strategy.guidance is None:
            return 1.0
        weight = self.strategy.guidance.weights(self.state)
        if not isinstance(weight, np.ndarray):
            return weight
        return to_device(weight.astype(np.float32)[:, None], self.state.device)

    def _held(self) -> Tensor | None:
        """(M,) int64: the token that stands at a position, −1 where one is to be drawn."""
        state = self.state
        if state.target is not None:
            return state.target.where(state.masked, state.tokens).flatten()[self.index]
        if not self.holds:
            return None
        return state.tokens.masked_fill(state.masked, -1).flatten()[self.index]


def _scatter(
    flat: dict[str, Tensor],
    state: State,
    queried: Tensor,
    index: Tensor,
    fault: Tensor | None,
    strategy: Strategy,
) -> Proposal:
    """The values (M,...) at the queried positions over the whole canvas."""

    def scatter(values: Tensor, fill: float = 0) -> Tensor:
        full = values.new_full((queried.numel(), *values.shape[1:]), fill)
        return full.index_copy_(0, index, values).view(*queried.shape, *values.shape[1:])

    if not flat:
        return replace(nothing_proposed(state), history=state.carries.get("divergence"))
    history = None
    if "divergence" in strategy.needs:
        history = History(
            scatter(flat.pop("likeliest"), NEVER),
            scatter(flat.pop("likeliest_logprob")),
            scatter(flat.pop("divergence"), torch.inf),
        )
    same = flat["sampling_logprob"] is flat["logprob"]
    if same:
        flat.pop("sampling_logprob")
    dense = {name: scatter(values) for name, values in flat.items()}
    if same:
        dense["sampling_logprob"] = dense["logprob"]
    return Proposal(queried, history=history, fault=fault, **dense)
