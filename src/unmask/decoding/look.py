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
from unmask.decoding.past import compared
from unmask.decoding.strategy import Strategy
from unmask.decoding.veil import MaskId, Veil
from unmask.errors import LogitsError
from unmask.head import CHUNK_ELEMENTS, illegal_tensor, legal_logits, mask_id_of, vocab_of
from unmask.random import Purpose, gumbel, uniform
from unmask.types import NEVER, Denoiser, Past, Prediction, Proposal, State

NOISE_ELEMENTS = CHUNK_ELEMENTS // 16  # of a chunk in which every id has a noise of its own


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
        hidden, memory = denoiser.hidden(tokens, valid=state.valid, memory=state.memory, **extra)
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
) -> Proposal:
    """The head, asked where looked (B,N) bool: a token drawn at unknown positions, all measured.

    allowed: bool (M,V), what may be drawn at each position looked at, in the order of the canvas.
    """
    return _Look(denoiser, strategy, state, looked, allowed).propose(prediction.hidden)


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
        proposal = propose(prediction, denoiser, strategy, held, alone)
        out[row, position] = proposal.logprob[alone]
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
    ):
        self.denoiser, self.strategy, self.state, self.looked = denoiser, strategy, state, looked
        self.needs, self.allowed = strategy.needs, allowed
        rows = int(state.row.max()) + 1 if len(state.row) else 0
        strategy.constraint.check(rows, looked.shape[1], vocab_of(denoiser))
        self.index = looked.flatten().nonzero().squeeze(1)  # (M,) into the flat canvas
        self.row, self.position = self.index // looked.shape[1], self.index % looked.shape[1]
        self.temperature = strategy.draw.temperatures(state.progress, state.span)[self.row]
        self.u = uniform(state.seed[self.row], state.step[self.row], self.position, Purpose.DRAW)
        self.illegal = illegal_tensor(denoiser, looked.device, strategy.constraint.forbidden)
        self.noised = strategy.draw.race or "noised_logprob" in self.needs

    def propose(self, hidden: Tensor) -> Proposal:
        """hidden (B,N,D) -> a Proposal over the canvas, meaningful where looked at."""
        gathered = hidden.flatten(0, 1).index_select(0, self.index)
        elements = NOISE_ELEMENTS if self.noised else CHUNK_ELEMENTS
        rows = max(1, elements // vocab_of(self.denoiser))
        chunks = [
            self._chunk(gathered[i : i + rows], slice(i, i + rows))
            for i in range(0, len(self.index), rows)
        ]
        flat = (
            {name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0]}
            if chunks
            else {}
        )
        self._check(flat.pop("peak", self.u.new_zeros(0)))
        past = self._past(flat) if "divergence" in self.needs else None
        dense = {name: self._scatter(values) for name, values in flat.items()}
        token = dense.pop("token", self.state.tokens)
        blank = torch.zeros(self.looked.shape, device=self.looked.device)
        logprob, drawn = dense.pop("logprob", blank), dense.pop("drawn_logprob", blank)
        return Proposal(self.looked, token, logprob, drawn, past=past, **dense)

    def _chunk(self, hidden: Tensor, at: slice) -> dict[str, Tensor]:
        """Everything asked of m positions, from hidden states (m,D); each value is (m,...)."""
        logits = self._legal_logits(hidden, at)
        # Measured from the likeliest id, log-probabilities near 0 keep their digits.
        peak = logits.amax(1)
        logits.sub_(peak.unsqueeze(1))
        draw, warmth = self.strategy.draw, self.temperature[at]
        kept = draw.keep(logits, warmth)
        noised = kept + self._noise(at) if self.noised else kept
        if draw.plain:
            token, drawn_normaliser = sampling.invert(logits, self.u[at])
        else:
            token, drawn_normaliser = sampling.draw(kept, warmth, self.u[at])
        token = noised.argmax(1) if draw.race else token
        normaliser = drawn_normaliser if draw.plain else logits.logsumexp(1)
        unknown = self.state.masked.flatten()[self.index[at]]
        token = token.where(unknown, self.state.tokens.flatten()[self.index[at]])
        chosen = token.unsqueeze(1)
        out = {
            "token": token,
            "peak": peak,
            "logprob": logits.gather(1, chosen).squeeze(1) - normaliser,
            "drawn_logprob": sampling.tempered(kept.gather(1, chosen).squeeze(1), warmth)
            - drawn_normaliser,
        }
        return out | self._statistics(
            logits, normaliser, {"kept": kept, "noised": noised}, token, at
        )

    def _statistics(
        self,
        logits: Tensor,
        normaliser: Tensor,
        shaped: dict[str, Tensor],
        token: Tensor,
        at: slice,
    ) -> dict[str, Tensor]:
        """The optional fields of a Proposal that the strategy needs."""
        compute = {
            "kept_logprob": lambda: _at(shaped["kept"], token),
            "noised_logprob": lambda: _at(shaped["noised"], token),
            "top_logprob": lambda: -normaliser,  # of the likeliest id, whose logit is 0 here
            "top_token": lambda: logits.argmax(1),
            "margin": lambda: sampling.margin(logits, normaliser),
            "entropy": lambda: sampling.entropy(logits, normaliser),
        }
        out = {name: compute[name]() for name in self.needs if name != "divergence"}
        if "divergence" in self.needs:
            assert self.state.past is not None
            before = Past(*(part.flatten(0, 1)[self.index[at]] for part in self.state.past))
            out |= compared(logits - normaliser.unsqueeze(1), before)
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

    def _check(self, peak: Tensor) -> None:
        """The largest logit of a position is finite exactly when its logits are usable."""
        bad = (~torch.isfinite(peak)).nonzero()
        if not len(bad):
            return
        worst = int(bad[0])
        value = float(peak[worst])
        why = "no legal id left" if value == sampling.NEG_INF else "NaN or +inf"
        row, position = int(self.state.row[self.row[worst]]), int(self.position[worst])
        step = int(self.state.step[self.row[worst]])
        raise LogitsError(
            f"the logits at row {row}, position {position}, step {step} have {why}: "
            + (
                "allow another id in forbidden, legal, required or feasible"
                if value == sampling.NEG_INF
                else "check the network's weights and dtype (ESM with token_dropout=True gives NaN "
                "where no position is known)"
            )
        )


def _at(logits: Tensor, token: Tensor) -> Tensor:
    """(M,V), (M,) -> (M,): log-softmax at the token."""
    return logits.gather(1, token.unsqueeze(1)).squeeze(1) - logits.logsumexp(1)
