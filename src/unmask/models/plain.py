"""Any callable tokens (B,N) -> logits (B,N,V) as a denoiser."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unmask.core.arrays import to_device, waits
from unmask.core.inference import evaluating
from unmask.core.network import Cache, Query
from unmask.core.trees import tree_take
from unmask.errors import CanvasError, LogitsError, ModelError
from unmask.models.adapter import Adapter, device_of, keywords, make_spec

PROBED = 8  # positions of the row of a trial pass


class PlainDenoiser(Adapter):
    """A callable whose logits (R,N,V) stand for hidden states; the head is the identity.

    If the callable has an argument `valid` or `attention_mask`, it gets (R,N) bool, False at
    padding; otherwise rows of different lengths run separately, without padding. Without
    vocab_size, a trial pass on a row of mask ids finds it. Other arguments as in `unmask.wrap`.
    """

    def __init__(
        self,
        net: Callable[..., Tensor],
        mask_id: int,
        *,
        vocab_size: int | None = None,
        forbidden: Sequence[int] = (),
        length: int | None = None,
        logit_shift: bool = False,
    ):
        if vocab_size is None:
            vocab_size = _probe_vocabulary(net, mask_id, length)
        super().__init__(make_spec(vocab_size, mask_id, forbidden, length), logit_shift)
        self.net = net
        self._valid_name = _padding_argument(net)

    def forward(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """Return (R,N,V), and None. A condition is a dict of keyword arguments of the callable."""
        given, tokens = keywords(query.condition), query.tokens
        # `init` has checked the tokens of a generation; on a GPU another check halts the host.
        if torch.is_grad_enabled() or not waits(tokens.device):
            self._check_tokens(tokens)
        if self._valid_name is not None:
            logits = self.net(tokens, **{self._valid_name: query.valid}, **given)
        elif not query.padded:
            logits = self.net(tokens, **given)
        else:
            logits = self._by_length(query, given)
        self._check_logits(logits, tokens)
        return self.shift_logits(logits), None

    def logits(self, hidden: Tensor) -> Tensor:
        """Return hidden (M,V), which are logits already."""
        return hidden

    def _by_length(self, query: Query, given: dict[str, Any]) -> Tensor:
        """Run rows grouped by length, each group without padding; logits at padding are 0."""
        tokens, lengths = query.tokens, query.lengths
        ends = torch.arange(tokens.shape[1], device=tokens.device)
        ends = ends < to_device(lengths, tokens.device).unsqueeze(1)
        if not waits(tokens.device) and not torch.equal(ends, query.valid):
            raise CanvasError(
                "padding is not at the end of a row, and the network has no argument for it: move "
                "padding to the end, or give the network an argument `valid`"
            )
        out: Tensor | None = None
        for length in np.unique(lengths).tolist():
            rows = to_device(np.flatnonzero(lengths == length), tokens.device)
            part = tokens.index_select(0, rows)[:, :length]
            logits = self.net(part, **tree_take(given, rows))
            self._check_logits(logits, part)
            if out is None:
                out = logits.new_zeros((*tokens.shape, logits.shape[-1]))
            out[rows, :length] = logits
        assert out is not None
        return out

    def _check_tokens(self, tokens: Tensor) -> None:
        vocab = self.spec.vocab_size
        low, high = map(int, tokens.aminmax()) if tokens.numel() else (0, 0)
        if low < 0 or high >= vocab:
            worst = high if high >= vocab else low
            raise CanvasError(
                f"id {worst} is outside the vocabulary of {vocab}: pass ids from 0 to {vocab - 1}"
            )

    def _check_logits(self, logits: object, tokens: Tensor) -> None:
        width = _width(logits, tokens)
        if width != self.spec.vocab_size:
            raise LogitsError(
                f"the network returned logits over {width} ids; its vocabulary size is "
                f"{self.spec.vocab_size}: pass unmask.wrap(net, vocab_size={width})"
            )


def _probe_vocabulary(net: Callable[..., Tensor], mask_id: int, length: int | None) -> int:
    """Return the vocabulary size, found by one pass over a row of mask ids."""
    device = device_of(net) if isinstance(net, nn.Module) else None
    tokens = torch.full((1, length or PROBED), mask_id, device=device)
    name = _padding_argument(net)
    given = {} if name is None else {name: torch.ones_like(tokens, dtype=torch.bool)}
    try:
        with evaluating(net):
            logits = net(tokens, **given)
    except Exception as error:
        raise ModelError(
            f"the vocabulary size is unknown, and the network raised {type(error).__name__} on a "
            f"row of {tokens.shape[1]} mask ids: {error}. Pass unmask.wrap(net, vocab_size=...)"
        ) from error
    return _width(logits, tokens)


def _width(logits: object, tokens: Tensor) -> int:
    """Return V of logits (B,N,V) for tokens (B,N). Raises LogitsError for another shape."""
    if not isinstance(logits, Tensor) or logits.dim() != 3 or logits.shape[:2] != tokens.shape:
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise LogitsError(
            f"the network returned {got} for tokens of shape {tuple(tokens.shape)}: return logits "
            "as one tensor of shape (B, N, vocabulary)"
        )
    return logits.shape[-1]


def _padding_argument(net: Callable[..., Any]) -> str | None:
    target = net.forward if isinstance(net, nn.Module) else net
    try:
        names = inspect.signature(target).parameters
    except (TypeError, ValueError):
        return None
    return next((name for name in ("valid", "attention_mask") if name in names), None)
