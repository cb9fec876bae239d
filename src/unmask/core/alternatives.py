"""The likeliest ids at each position, beside the one that was drawn."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Alternatives(NamedTuple):
    """The K likeliest ids at the queried positions, the likeliest first; of equal ones the lower.

    By the same law as `Proposal.logprob`. `NEVER` and -inf where fewer ids are legal.
    """

    tokens: Tensor  # (B,N,K) int64
    logprob: Tensor  # (B,N,K) float32
