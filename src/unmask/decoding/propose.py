"""Propose: the head at the queried positions, a token drawn at each, and its statistics.

Logits exist for one chunk of positions at a time, never as (B,N,V). Shapes: B rows, N positions,
K readings of a row, D width, M positions queried over the whole batch, m in a chunk, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from unmask.constraints import Automaton
from unmask.constraints.constraint import illegal_at
from unmask.core.alternatives import Alternatives
from unmask.core.arrays import to_device
from unmask.core.head import (
    chunk_rows,
    head_logits,
    illegal_tensor,
    legal_logits,
    projection_of,
    without_ids,
)
from unmask.core.history import History, compare_with_history
from unmask.core.inference import is_out_of_memory
from unmask.core.network import Denoiser, Observer
from unmask.core.random import Purpose, gumbel, uniform
from unmask.core.state import NEVER, Proposal, State
from unmask.decoding.context import error_context
from unmask.decoding.faults import in_logits
from unmask.decoding.queried import Queried, find_queried
from unmask.decoding.strategy import Strategy
from unmask.errors import StrategyError
from unmask.kernels import can_fuse, can_run, fused_draw, give_up
from unmask.sampling import NEG_INF, BiasOf, Scratch, draw_with_statistics, likeliest_ids

DRAWN_FROM = frozenset(
    {"kept_logprob", "kept_entropy", "kept_margin", "noised_logprob", "sampling_entropy"}
)
"""Statistics of the distribution that tokens are drawn from."""

ALTERNATIVES = ("alternatives", "alternatives_logprob")  # the names of `Alternatives` before

NOISE_SHARE = 8  # of a chunk, where every id has a noise of its own, made of several integers


def propose(
    head: Head,
    queried: Tensor,
    *,
    count: int | None = None,
    holds: bool = False,
    allowed: Tensor | None = None,
) -> Proposal:
    """Ask the head where queried (B,N) bool: a token drawn at unknown positions, and statistics.

    count: how many positions are queried, where the host knows. holds: some are known, and propose
    the token they hold. allowed: bool (M,V), what may be drawn at each of them, in the order of the
    canvas.
    """
    state = head.state
    places = find_queried(state, head.strategy, queried, count, holds, allowed)
    flat = head.fused(places) or _concat([head.draw(part) for part in places.split(head.chunk)])
    if not flat:
        return replace(nothing_proposed(state, head.needs), alternatives=head.no_alternatives)
    fault = in_logits(flat.pop("max_logit"), places.row, places.position, state)
    return replace(_over_canvas(flat, queried, places), fault=fault)


def nothing_proposed(state: State, needs: frozenset[str] = frozenset()) -> Proposal:
    """Return the proposal of no positions; the statistics of `needs` are there, and mean nothing.

    A blind order receives it, and a step at which the head runs nowhere.
    """
    nowhere = torch.zeros_like(state.masked)
    given = Proposal(nowhere, state.tokens, state.logprob, state.sampling_logprob)
    empty: dict[str, Any] = {
        name: state.tokens if name == "top_token" else state.logprob for name in needs
    }
    empty.pop("divergence", None)
    return replace(given, history=state.carries.get("divergence"), **empty)


@dataclass
class Head:
    """The head of a network over the trunk's hidden states (B·K,N,D) of one pass."""

    state: State
    strategy: Strategy
    denoiser: Denoiser
    hidden: Tensor

    def __post_init__(self) -> None:
        forbidden = self.strategy.constraint.forbidden
        self.illegal = illegal_tensor(self.state.spec, self.state.device, forbidden)
        self.needs = self.strategy.needs
        self.observes = self.denoiser.spec.observes
        sampling = self.strategy.sampling
        self.how = sampling.unbiased
        self.bias = BiasOf(sampling.bias, self.state.device) if sampling.bias else None
        self.noised = sampling.gumbel or "noised_logprob" in self.needs
        guidance, device = self.strategy.guidance, self.hidden.device
        self.weight: Any = 1.0  # or (B,1) float32
        if guidance is not None:
            with error_context(self.state.rows, "the weight of the guidance", StrategyError):
                given: Any = guidance.weights(self.state)
            by_row = isinstance(given, np.ndarray)
            self.weight = to_device(given.astype(np.float32)[:, None], device) if by_row else given
        self.scratch = Scratch()
        self.keeps = isinstance(self.strategy.constraint.feasible, Automaton)
        self.kept: tuple[Tensor, Tensor] | None = None  # places and logits that are read again
        rows = chunk_rows(self.state.spec.vocab_size, self.hidden.shape[2], device)
        parts = self.state.readings * (NOISE_SHARE if self.noised else 1)
        self.chunk = -(-rows // parts)

    @property
    def biased(self) -> bool:
        """Whether tokens are drawn from other logits than the model's."""
        return self.bias is not None or self.strategy.biasing is not None

    def fused(self, places: Queried) -> dict[str, Tensor]:
        """Everything in one pass, where logits need not exist; nothing where they must."""
        state, how = self.state, self.strategy.sampling
        per_position = any(t is not None for t in (places.allowed, state.legal, state.required))
        plain = state.readings == 1 and len(places) > 0
        plain = plain and self.strategy.biasing is None and not self.observes
        if not plain or not can_fuse(how, self.needs, per_position, state.device):
            return {}
        with error_context(state.rows, "the network's head"):
            projection = projection_of(self.denoiser, self._gather(places.index, 0))
        if projection is None or not can_run(projection):
            return {}
        held = torch.full_like(places.index, -1) if places.held is None else places.held
        temperature = places.temperature.value
        try:
            out = fused_draw(projection, self.illegal, temperature, places.u, held, self.needs)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            give_up(error)
            return {}
        return out | self._alternatives_at(places)

    def draw(self, places: Queried) -> dict[str, Tensor]:
        """The fields of a Proposal at one chunk of the queried positions, `max_logit` beside."""
        logits = self.legal_logits(places)
        noise = self._noise(places) if self.noised else None
        how, rest = self.how, (self.needs, noise, self.scratch)
        observed = self._observed(logits * places.temperature.rate) if self.observes else {}
        needs, held = self.needs & DRAWN_FROM, places.held
        other = self._drawn_elsewhere(logits, places, noise, needs)
        if other:
            held = other["token"]
        out = draw_with_statistics(logits, how, places.temperature, places.u, held, *rest) | other
        normaliser = out.pop("normaliser")
        if self.keeps:
            self.kept = places.index, logits  # those of one chunk are in memory anyway
        if "divergence" in self.needs:
            history = self.state.carries["divergence"]
            before = History(*(part.flatten(0, 1)[places.index] for part in history))
            out |= compare_with_history(logits - normaliser.unsqueeze(1), before)
        return out | observed | self._alternatives(logits, normaliser)

    def draw_from(self, places: Queried, logits: Tensor) -> dict[str, Tensor]:
        """The token and its probabilities at positions with these logits (m,V), `max_logit` beside.

        And the alternatives, if asked for. The draw is that of `draw`: the same uniforms, and the
        same noise.
        """
        noise = self._noise(places) if self.how.gumbel else None
        other, held = self._drawn_elsewhere(logits, places, noise, frozenset()), places.held
        rest = (other.get("token", held), frozenset[str](), noise, Scratch())
        out = draw_with_statistics(logits, self.how, places.temperature, places.u, *rest) | other
        return out | self._alternatives(logits, out["normaliser"])

    def _alternatives(self, logits: Tensor, normaliser: Tensor) -> dict[str, Tensor]:
        """The likeliest ids (m,K) of logits (m,V), and their log-probabilities, if asked for."""
        if not self.strategy.alternatives:
            return {}
        ids, values = likeliest_ids(logits, self.strategy.alternatives)
        return dict(zip(ALTERNATIVES, (ids, values - normaliser.unsqueeze(1)), strict=True))

    def _alternatives_at(self, places: Queried) -> dict[str, Tensor]:
        """The same where the draw made no logits: those of a chunk are made for this alone."""
        if not self.strategy.alternatives:
            return {}
        parts = list[dict[str, Tensor]]()
        for part in places.split(self.chunk):
            logits = self.legal_logits(part)
            parts.append(self._alternatives(logits, logits.logsumexp(1)))
        return _concat(parts)

    @property
    def no_alternatives(self) -> Alternatives | None:
        """Those of no positions, if asked for."""
        count = self.strategy.alternatives
        if not count:
            return None
        logprob = self.state.logprob.new_full((*self.state.tokens.shape, count), NEG_INF)
        return Alternatives(torch.full_like(logprob, NEVER, dtype=torch.int64), logprob)

    def _observed(self, logits: Tensor) -> dict[str, Tensor]:
        """What the network keeps of the logits (m,V) that tokens are drawn from."""
        with error_context(self.state.rows, "the network"):
            return {"observed": cast("Observer", self.denoiser).observe(logits)}

    def _drawn_elsewhere(
        self, logits: Tensor, places: Queried, noise: Tensor | None, needs: frozenset[str]
    ) -> dict[str, Tensor]:
        """The token and what is said of the distribution drawn from, where that is biased."""
        if not self.biased:
            return {}
        other, part = logits, self.strategy.biasing
        if part is not None:
            carry = tree_map_only(
                Tensor,
                lambda x: x.flatten(0, 1)[places.index],
                self.state.carries.get(part.carry or ""),
            )
            other = part.biased(other, carry)
        if self.bias is not None:
            other = self.bias.added(other)
        rest = (places.temperature, places.u, places.held, needs, noise, Scratch())
        said = draw_with_statistics(other, self.how, *rest)
        return {name: said[name] for name in ("token", "sampling_logprob", *needs)}

    def legal_logits(self, places: Queried) -> Tensor:
        """Return (m,V) float32: logits with illegal ids at -inf, perhaps with another shift."""
        state, guidance, weight = self.state, self.strategy.guidance, self.weight
        if self.kept is not None:
            index, logits = self.kept
            at = torch.searchsorted(index, places.index).clamp(max=len(index) - 1)
            if bool((index[at] == places.index).all()):
                return logits[at]
        with error_context(state.rows, "the network's head"):
            states = self._gather(places.index, 0)
            if guidance is None:
                logits = legal_logits(self.denoiser, states, self.illegal)
            else:
                both = torch.cat([states, self._gather(places.index, 1)])
                c, u = head_logits(self.denoiser, both).chunk(2)
                weight = weight[places.row] if isinstance(weight, Tensor) else weight
                logits = without_ids(guidance.combine(c, u, weight), self.illegal)
        vocab = logits.shape[1]
        illegal = illegal_at(state.legal, state.required, places.row, places.position, vocab)
        if illegal is not None:
            logits = logits.masked_fill(illegal, NEG_INF)
        if places.allowed is not None:
            logits = logits.masked_fill(~places.allowed, NEG_INF)
        return logits

    def _gather(self, index: Tensor, reading: int) -> Tensor:
        """(m,D): one reading of the positions `index` (m,) of the flat canvas."""
        if self.state.readings > 1:
            length = self.hidden.shape[1]
            row = index // length * self.state.readings + reading
            index = row * length + index % length
        return self.hidden.flatten(0, 1).index_select(0, index)

    def _noise(self, places: Queried) -> Tensor:
        """(m,V) float32: temperature·Gumbel, a noise for each id of each position."""
        state, row = self.state, places.row.unsqueeze(1)
        ids = torch.arange(state.spec.vocab_size, device=state.device)
        position = places.position.unsqueeze(1)
        u = uniform(state.seed[row], state.step[row], position, Purpose.NOISE, ids, count=1)[..., 0]
        value = places.temperature.value
        return gumbel(u).float() * (value.unsqueeze(1) if isinstance(value, Tensor) else value)


def _concat(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Chunks one after the other; nothing of none."""
    if len(parts) == 1:
        return parts[0]
    return {name: torch.cat([part[name] for part in parts]) for name in (parts or [{}])[0]}


def _over_canvas(flat: dict[str, Tensor], queried: Tensor, places: Queried) -> Proposal:
    """The values (M,...) at the queried positions over the whole canvas."""

    def put(values: Tensor, fill: float = 0) -> Tensor:
        full = values.new_full((*queried.shape, *values.shape[1:]), fill)
        return full.index_put_((places.row, places.position), values)

    history = None
    if "divergence" in flat:
        history = History(
            put(flat.pop("likeliest"), NEVER),
            put(flat.pop("likeliest_logprob")),
            put(flat.pop("divergence"), torch.inf),
        )
    alternatives = None
    if ALTERNATIVES[0] in flat:
        fills = (NEVER, NEG_INF)
        each = [put(flat.pop(name), fill) for name, fill in zip(ALTERNATIVES, fills, strict=True)]
        alternatives = Alternatives(*each)
    once = {id(values): values for values in flat.values()}  # one may have two names
    dense = {each: put(values) for each, values in once.items()}
    named: dict[str, Any] = {name: dense[id(values)] for name, values in flat.items()}
    return Proposal(queried, alternatives=alternatives, history=history, **named)
