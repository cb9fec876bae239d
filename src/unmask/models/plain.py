"""Any callable tokens (B,N) -> logits (B,N,V) as a denoiser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unmask.core.arrays import waits
from unmask.core.inference import evaluating
from unmask.core.network import Cache, Query
from unmask.errors import CanvasError, LogitsError, ModelError
from unmask.models import trial
from unmask.models.adapter import Adapter, Way, device_of, keywords
from unmask.models.outputs import logits_of, padding_argument

PROBED = 8  # positions of the row that finds the size of the vocabulary


class PlainDenoiser(Adapter):
    """A callable whose logits (R,N,V) stand for hidden states; the head is the identity.

    The callable may return a tensor, or an output, dict or tuple with the logits in it. If it has
    an argument `valid` or `attention_mask`, it gets (R,N) bool, False at padding, and a trial shows
    whether it heeds it; otherwise rows of different lengths run separately, without padding.
    Without vocab_size, a pass over a row of mask ids finds it. Other arguments as in `unmask.wrap`.
    """

    knows_condition = False

    def __init__(
        self, net: Callable[..., Any], mask_id: int, vocab_size: int | None = None, **options: Any
    ):
        if vocab_size is None:
            vocab_size = _probe_vocabulary(net, mask_id, options.get("length"))
        super().__init__(net, vocab_size, mask_id, **options)
        self._valid_name = padding_argument(net)
        self.way = self.ways[0]

    @property
    def ways(self) -> Sequence[Way]:
        """One way alone where padding cannot be told."""
        return (Way(by_length=True),) if self._valid_name is None else super().ways

    def settle(self) -> None:
        """Find whether the callable heeds its argument for padding, if it has one."""
        if self._valid_name is not None:
            trial.settle(self)

    def run(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """Return (R,N,V), and None. A condition is a dict of keyword arguments of the callable."""
        given, tokens = keywords(query.condition), query.tokens
        # `init` has checked the tokens of a generation; on a GPU another check halts the host.
        if torch.is_grad_enabled() or not waits(tokens.device):
            self._check_tokens(tokens)
        if self._valid_name is not None:
            given[self._valid_name] = query.valid
        logits = logits_of(self.net(tokens, **given), tokens)
        if logits.shape[-1] != self.spec.vocab_size:
            raise LogitsError(
                f"the network returned logits over {logits.shape[-1]} ids; its vocabulary size is "
                f"{self.spec.vocab_size}: pass unmask.wrap(net, vocab_size={logits.shape[-1]})"
            )
        return self.shift_logits(logits), None

    def _check_tokens(self, tokens: Tensor) -> None:
        vocab = self.spec.vocab_size
        low, high = map(int, tokens.aminmax()) if tokens.numel() else (0, 0)
        if low < 0 or high >= vocab:
            worst = high if high >= vocab else low
            raise CanvasError(
                f"id {worst} is outside the vocabulary of {vocab}: pass ids from 0 to {vocab - 1}"
            )


def _probe_vocabulary(net: Callable[..., Any], mask_id: int, length: int | None) -> int:
    """Return the vocabulary size, found by one pass over a row of mask ids."""
    device = device_of(net) if isinstance(net, nn.Module) else None
    tokens = torch.full((1, length or PROBED), mask_id, device=device)
    name = padding_argument(net)
    given = {} if name is None else {name: torch.ones_like(tokens, dtype=torch.bool)}
    try:
        with evaluating(net):
            output = net(tokens, **given)
    except Exception as error:
        raise ModelError(
            f"the vocabulary size is unknown, and the network raised {type(error).__name__} on a "
            f"row of {tokens.shape[1]} mask ids: {error}. Pass unmask.wrap(net, vocab_size=...)"
        ) from error
    return logits_of(output, tokens).shape[-1]
