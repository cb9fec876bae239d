"""Networks that are code of a model's authors, which the user allowed to run."""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor, nn

from unmask.models.outputs import logits_of


class RemoteNetwork(nn.Module):
    """A network (input_ids (B,N)) -> logits (B,N,V); one that asks for times gets zeros.

    Those of masked diffusion (MDLM 2406.07524) have an argument for the time, and do not read it.
    """

    def __init__(self, net: Any):
        super().__init__()
        self.net, self.vocab_size = net, int(net.config.vocab_size)
        self.timed = "timesteps" in inspect.signature(net.forward).parameters

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits (B,N,V) of tokens (B,N)."""
        timed = {"timesteps": tokens.new_zeros(len(tokens)).float()} if self.timed else {}
        return logits_of(self.net(input_ids=tokens, **timed), tokens)
