"""Critics of x-transformers' wrapper, and their use as orders.

Shapes: B rows, N positions.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unmask.core.inference import evaluating
from unmask.core.network import Query
from unmask.core.state import Proposal, State
from unmask.errors import StrategyError
from unmask.models.critic import check_told, judged
from unmask.models.outputs import accepted
from unmask.models.trial import padding_changes
from unmask.models.x_transformers import XTransformersDenoiser, is_x_transformer
from unmask.orders import Order
from unmask.orders.around import Around


class SelfCritic(nn.Module):
    """A critic of one linear layer on the embeddings of the generator `net`."""

    def __init__(self, net: Any):
        super().__init__()
        self.net = net
        self.to_logits = nn.Linear(net.attn_layers.dim, 1)

    def forward(self, x: Tensor, *, frozen: bool = False, **kwargs: Any) -> Tensor:
        """Return (B,N,1) logits that a token is wrong, given ids x (B,N) int64.

        frozen: no gradient for `net`. kwargs: arguments of `net`.
        """
        with torch.no_grad() if frozen else nullcontext():
            embeds = self.net(x, return_embeddings=True, **kwargs)
        logits: Tensor = self.to_logits(embeds)
        return logits


@dataclass(frozen=True)
class Minus(Around):
    """Minus the scores of another order."""

    order: Order

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        return -self.order(state, proposal)


@dataclass(frozen=True)
class Judge:
    """A critic module, called with those arguments of the generator that it takes."""

    critic: nn.Module
    frozen: bool = False  # no gradient for the generator of a self critic
    inference: bool = False  # no dropout, no gradients
    by_length: bool = False  # rows of different lengths in passes of their own

    def __call__(self, tokens: Tensor, *, valid: Tensor, condition: Any) -> Tensor:
        query = Query.of(tokens, valid, condition)
        if "mask" not in _accepted(self.critic, {"mask": valid}):
            check_told(query, "mask", StrategyError)
        per_token = XTransformersDenoiser.per_token if self.by_length else None
        return judged(self.answer, query, per_token)

    def answer(self, query: Query) -> Tensor:
        """Return (R,N,1) logits that a token is wrong, of rows that share one pass."""
        padded = {"mask": query.valid} if query.padded else {}
        given = _accepted(self.critic, (query.condition or {}) | padded)
        if self.frozen and isinstance(self.critic, SelfCritic):
            given["frozen"] = True
        with evaluating(self.critic) if self.inference else nullcontext():
            logits: Tensor = self.critic(query.tokens, **given)
        return logits if logits.dim() > 2 else logits.unsqueeze(-1)


def rows_by_length(critic: nn.Module | None, device: torch.device | None) -> bool:
    """Return whether padding changes what a critic says of a row, found by a trial."""
    return critic is not None and padding_changes(Judge(critic, inference=True).answer, device)


def _accepted(critic: nn.Module, given: dict[str, Any]) -> dict[str, Any]:
    """Return those arguments that the critic takes; x-transformers' options exclude some."""
    net: Any = critic.net if isinstance(critic, SelfCritic) else critic
    if not is_x_transformer(net):
        return accepted(critic, given)
    layers = net.attn_layers
    able = dict.fromkeys(("context", "context_mask"), layers.cross_attend)
    able |= {"condition": layers.need_condition, "embed_ids": net.embeds is not None}
    return {name: value for name, value in given.items() if able.get(name, True)}
