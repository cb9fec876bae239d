"""Any callable tokens (B,N) -> logits (B,N,V) as a denoiser."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unmask.errors import CanvasError, LogitsError
from unmask.host import padded_last, row_lengths, rows_of, unpadded, waits
from unmask.models.adapter import Ids, device_of, keywords
from unmask.types import Memory


class PlainDenoiser(nn.Module):
    """Full logits play the part of hidden states, and the head is the identity.

    If the callable takes an argument `valid` or `attention_mask` it gets the (B,N) padding flags;
    otherwise rows of different lengths are run apart, each without its padding.
    """

    def __init__(self, net: Callable[..., Tensor], ids: Ids):
        super().__init__()
        self.net, self.ids = net, ids
        self._valid_name = _padding_argument(net)

    @property
    def vocab_size(self) -> int | None:
        """V; None until the first call when it was neither given nor found on the network."""
        return self.ids.vocab_size

    @property
    def mask_id(self) -> int | None:
        """The id shown at unknown positions."""
        return self.ids.mask_id

    @property
    def forbidden(self) -> tuple[int, ...]:
        """Ids that are never data."""
        return self.ids.forbidden

    @property
    def length(self) -> int | None:
        """N when none is asked for."""
        return self.ids.length

    @property
    def device(self) -> torch.device | None:
        """Device of the network; None for a plain function."""
        return device_of(self)

    def hidden(
        self, tokens: Tensor, *, valid: Tensor, memory: Memory, condition: Any = None
    ) -> tuple[Tensor, Memory]:
        """(B,N) -> (B,N,V). A condition is a dict of keyword arguments for the callable."""
        given = keywords(condition)
        # What is generated `init` has looked at, once; to look again would halt the host.
        if self.vocab_size is not None and (torch.is_grad_enabled() or not waits(tokens.device)):
            self._check_tokens(tokens, self.vocab_size)
        if self._valid_name is not None:
            logits = self.net(tokens, **{self._valid_name: valid}, **given)
        elif unpadded(valid):
            logits = self.net(tokens, **given)
        else:
            logits = self._by_length(tokens, valid, given)
        self._check_logits(logits, tokens)
        return self.ids.shifted(logits), None

    def logits(self, hidden: Tensor) -> Tensor:
        """(M,V), as they are."""
        return hidden

    def _by_length(self, tokens: Tensor, valid: Tensor, given: dict[str, Any]) -> Tensor:
        """Rows grouped by length, each group without padding; logits at padding are 0."""
        if not padded_last(valid):
            raise CanvasError(
                "padding must be at the end of a row for a network that takes no padding flags"
            )
        out: Tensor | None = None
        lengths = row_lengths(valid)
        for length in np.unique(lengths).tolist():
            rows = rows_of(lengths == length, valid.sum(1) == length)
            part = {k: v[rows] if isinstance(v, Tensor) else v for k, v in given.items()}
            logits = self.net(tokens[rows, :length], **part)
            self._check_logits(logits, tokens[rows, :length])
            if out is None:
                out = logits.new_zeros((*tokens.shape, logits.shape[-1]))
            out[rows, :length] = logits
        assert out is not None
        return out

    def _check_tokens(self, tokens: Tensor, vocab: int) -> None:
        if bool(((tokens < 0) | (tokens >= vocab)).any()):
            worst = int(tokens.max()) if int(tokens.max()) >= vocab else int(tokens.min())
            raise CanvasError(f"id {worst} is outside the vocabulary of {vocab}")

    def _check_logits(self, logits: object, tokens: Tensor) -> None:
        if not isinstance(logits, Tensor) or logits.dim() != 3 or logits.shape[:2] != tokens.shape:
            got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise LogitsError(
                f"the network returned {got} for tokens of shape {tuple(tokens.shape)}: return "
                "logits as one tensor of shape (B, N, vocabulary)"
            )
        vocab = logits.shape[-1]
        if self.ids.vocab_size is None:
            self.ids.check(vocab)
            self.ids.vocab_size = vocab
            self._check_tokens(tokens, vocab)
        if vocab != self.ids.vocab_size:
            raise LogitsError(
                f"the network returned logits over {vocab} ids; its vocabulary size is "
                f"{self.ids.vocab_size}: pass unmask.wrap(net, vocab_size=...) as it returns them"
            )


def _padding_argument(net: Callable[..., Any]) -> str | None:
    target = net.forward if isinstance(net, nn.Module) else net
    try:
        names = inspect.signature(target).parameters
    except (TypeError, ValueError):
        return None
    return next((name for name in ("valid", "attention_mask") if name in names), None)
