"""Asking the network: one pass of the trunk, and the head at the positions somebody looks at.

Shapes: B rows, N positions, D width, M positions looked at over the whole batch, V vocabulary.
Logits exist for one chunk of those M positions at a time, never as (B,N,V).
"""

from __future__ import annotations

import torch
from torch import Tensor

from unmask import sampling
from unmask.decoding.blame import placed, where
from unmask.decoding.strategy import Strategy
from unmask.errors import LogitsError
from unmask.head import CHUNK_ELEMENTS, illegal_tensor, legal_logits, mask_id_of, vocab_of
from unmask.ordering import needs_of
from unmask.random import Purpose, uniform
from unmask.types import Denoiser, Prediction, Proposal, State


def predict(denoiser: Denoiser, state: State) -> Prediction:
    """One pass of the trunk over the canvas. What the network raises comes with step and rows."""
    tokens = state.tokens.masked_fill(state.masked, mask_id_of(denoiser))
    extra = {} if state.condition is None else {"condition": state.condition}
    with placed(state, "the network"):
        hidden, memory = denoiser.hidden(tokens, valid=state.valid, memory=state.memory, **extra)
    if hidden.dim() != 3 or hidden.shape[:2] != tokens.shape:
        raise LogitsError(
            f"the network returned shape {tuple(hidden.shape)} for tokens of shape "
            f"{tuple(tokens.shape)} ({where(state)}): return (B, N, vocabulary) logits"
        )
    return Prediction(hidden, memory)


def propose(
    prediction: Prediction, denoiser: Denoiser, strategy: Strategy, state: State, looked: Tensor
) -> Proposal:
    """The head, asked where looked (B,N) bool: a token drawn at unknown positions, all measured."""
    return _Look(denoiser, strategy, state, looked).propose(prediction.hidden)


class _Look:
    """One asking of the head: the M positions looked at and what belongs to each of them."""

    def __init__(self, denoiser: Denoiser, strategy: Strategy, state: State, looked: Tensor):
        self.denoiser, self.strategy, self.state, self.looked = denoiser, strategy, state, looked
        self.needs = needs_of(strategy.order)
        rows = int(state.row.max()) + 1 if len(state.row) else 0
        strategy.constraint.check(rows, looked.shape[1], vocab_of(denoiser))
        self.index = looked.flatten().nonzero().squeeze(1)  # (M,) into the flat canvas
        self.row, self.position = self.index // looked.shape[1], self.index % looked.shape[1]
        self.temperature = strategy.draw.temperatures(state.progress)[self.row]
        self.u = uniform(state.seed[self.row], state.step[self.row], self.position, Purpose.DRAW)
        self.illegal = illegal_tensor(denoiser, looked.device, strategy.constraint.forbidden)

    def propose(self, hidden: Tensor) -> Proposal:
        """hidden (B,N,D) -> a Proposal over the canvas, meaningful where looked at."""
        gathered = hidden.flatten(0, 1).index_select(0, self.index)
        rows = max(1, CHUNK_ELEMENTS // vocab_of(self.denoiser))
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
        dense = {name: self._scatter(values) for name, values in flat.items()}
        token = dense.pop("token", self.state.tokens)
        blank = torch.zeros(self.looked.shape, device=self.looked.device)
        logprob, drawn = dense.pop("logprob", blank), dense.pop("drawn_logprob", blank)
        return Proposal(self.looked, token, logprob, drawn, **dense)

    def _chunk(self, hidden: Tensor, at: slice) -> dict[str, Tensor]:
        """Everything asked of m positions, from their hidden states (m,D); each value is (m,)."""
        logits = self._legal_logits(hidden, at)
        draw, warmth = self.strategy.draw, self.temperature[at]
        kept = draw.keep(logits, warmth)
        if draw.plain:
            token, drawn_normaliser = sampling.invert(logits, self.u[at])
        else:
            token, drawn_normaliser = sampling.draw(kept, warmth, self.u[at])
        normaliser = drawn_normaliser if draw.plain else logits.logsumexp(1)
        unknown = self.state.masked.flatten()[self.index[at]]
        token = token.where(unknown, self.state.tokens.flatten()[self.index[at]])
        chosen = token.unsqueeze(1)
        out = {
            "token": token,
            "peak": logits.amax(1),
            "logprob": logits.gather(1, chosen).squeeze(1) - normaliser,
            "drawn_logprob": sampling.tempered(kept.gather(1, chosen).squeeze(1), warmth)
            - drawn_normaliser,
        }
        return out | self._statistics(logits, normaliser, kept, chosen)

    def _statistics(
        self, logits: Tensor, normaliser: Tensor, kept: Tensor, chosen: Tensor
    ) -> dict[str, Tensor]:
        """The optional fields of a Proposal that the order needs."""
        compute = {
            "kept_logprob": lambda: kept.gather(1, chosen).squeeze(1) - kept.logsumexp(1),
            "top_logprob": lambda: logits.amax(1) - normaliser,
            "margin": lambda: sampling.margin(logits, normaliser),
            "entropy": lambda: sampling.entropy(logits, normaliser),
        }
        return {name: compute[name]() for name in self.needs}

    def _legal_logits(self, hidden: Tensor, at: slice) -> Tensor:
        """(m,V) float32 logits with illegal ids at -inf."""
        with placed(self.state, "the network's head"):
            logits = legal_logits(self.denoiser, hidden, self.illegal)
        rows = self.state.row[self.row[at]]
        illegal = self.strategy.constraint.illegal_at(rows, self.position[at])
        return logits if illegal is None else logits.masked_fill(illegal, sampling.NEG_INF)

    def _scatter(self, values: Tensor) -> Tensor:
        full = values.new_zeros(self.looked.numel())
        return full.index_copy(0, self.index, values).view(self.looked.shape)

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
                "allow another id in forbidden or legal"
                if value == sampling.NEG_INF
                else "check the network's weights and dtype (ESM with token_dropout=True gives NaN "
                "where no position is known)"
            )
        )
