"""The base of adapters, which make a network a denoiser, and helpers of theirs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from unmask.core.checks import check_count
from unmask.core.inference import is_out_of_memory
from unmask.core.network import Cache, DenoiserSpec, Query
from unmask.core.projection import Projection
from unmask.errors import CanvasError, ModelError
from unmask.models.by_length import by_length


@dataclass(frozen=True)
class Way:
    """A way to run a network."""

    split: bool = False  # its head apart from its trunk
    by_length: bool = False  # rows of different lengths in passes of their own
    always_masks: bool = False  # an attention mask even without padding


class Adapter(nn.Module, ABC):
    """Base of networks as denoisers; see `unmask.Denoiser` for the contract.

    length: the default of generations. known: further fields of the spec.
    logit_shift: the network's output at a position predicts the next one, so the logits of a
    position are computed from the hidden state before it (Dream 2508.15487, DiffuLLaMA 2410.17891);
    those of the first position from its own.
    """

    knows_condition: ClassVar[bool] = True  # whether `example` is all that the network needs
    per_token: ClassVar[tuple[str, ...]] = ()  # entries of a condition that go with the tokens
    way = Way()  # that a trial found
    full_length: int | None = None  # of rows, where a network did not run on short ones

    def __init__(
        self,
        net: Any,
        vocab_size: int,
        mask_id: int | None,
        *,
        length: int | None = None,
        logit_shift: bool = False,
        **known: Any,
    ):
        super().__init__()
        if length is not None:
            check_count("length", length, ModelError)
        self.net, self.logit_shift = net, logit_shift
        self.spec = DenoiserSpec(vocab_size, mask_id, default_length=length, **known)

    @property
    def device(self) -> torch.device | None:
        """Device of the network; None if it has no parameters."""
        return device_of(self)

    @property
    def ways(self) -> Sequence[Way]:
        """The ways in which the network can be run, the fastest first and the safest last."""
        return (Way(), Way(by_length=True))

    def forward(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """Return the hidden states (R,N,D), and the cache for the next step."""
        if self.way.by_length and query.padded:
            return by_length(self._rows, query, cache, self.per_token)
        return self._rows(query, cache)

    def _rows(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        try:
            return self.run(query, cache)
        except Exception as error:
            length = query.tokens.shape[1]
            if self.full_length in (None, length) or is_out_of_memory(error):
                raise
            raise CanvasError(
                f"the network does not run on rows of {length} positions, but on rows of "
                f"{self.full_length}: pass rows of that length ({error})"
            ) from error

    @abstractmethod
    def settle(self) -> None:
        """Find the way to run the network, by a trial."""

    def example(self, rows: int, length: int) -> Any:
        """Return a condition for rows of the trial, None where the network needs none."""
        return None

    def whole(self, tokens: Tensor, condition: Any) -> Tensor:
        """Return the logits (R,N,V) of rows without padding, by the network as it is."""
        return self.run(Query.of(tokens, condition=condition), None)[0]

    @abstractmethod
    def run(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """Return the hidden states (R,N,D) of rows that share one pass, and the cache."""

    @property
    def apart(self) -> bool:
        """Whether the head runs apart; otherwise the logits stand for hidden states."""
        return self.way.split

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits (M,V) of hidden states (M,D)."""
        logits: Tensor = self.head(hidden) if self.apart else hidden
        return logits

    def projection(self, hidden: Tensor) -> Projection | None:
        """Return the projection whose product is the logits of hidden (M,D); None if unknown."""
        return self.head_projection(hidden) if self.apart else None

    def head(self, hidden: Tensor) -> Any:
        """Return the logits (M,V) of hidden states (M,D), where the head runs apart."""
        raise NotImplementedError

    def head_projection(self, hidden: Tensor) -> Projection | None:
        """Return the projection of hidden (M,D), where the head runs apart."""
        return None

    def shift_logits(self, hidden: Tensor) -> Tensor:
        """Return hidden (R,N,D), with a logit shift moved by one position to the right."""
        if not self.logit_shift:
            return hidden
        return torch.cat([hidden[:, :1], hidden[:, :-1]], 1)


def keywords(condition: Any) -> dict[str, Any]:
    """Return a condition as keyword arguments of the network. CanvasError unless None or a dict."""
    if condition is not None and not isinstance(condition, dict):
        raise CanvasError(
            f"the condition is a {type(condition).__name__}: pass a dict of keyword arguments of "
            "the network, such as {'context': tensor}"
        )
    return dict(condition or {})


def device_of(module: nn.Module) -> torch.device | None:
    """Return the device of a module's parameters or buffers; None if it has none."""
    return next((each.device for each in chain(module.parameters(), module.buffers())), None)
