"""The networks with random weights that speed is measured on, and a denoiser that can be watched.

Shapes: B rows, N positions, V vocabulary, D width, M positions queried.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import unmask
from unmask.core.network import Cache, Query
from unmask.core.projection import Projection

BERT_MASK_ID = 103  # of bert-base-uncased
BERT_HEAD = 64  # width of a head of attention
BERT_BASE = {"vocab": 30_522, "dim": 768, "depth": 12}


@dataclass(frozen=True)
class Size:
    """Of a network and of what it is shown; the last of V ids is the mask id."""

    vocab: int
    batch: int
    length: int
    dim: int
    depth: int
    heads: int = 8

    @property
    def mask_id(self) -> int:
        return self.vocab - 1

    def blank(self) -> unmask.Canvas:
        return unmask.Canvas.blank(self.batch, self.length)

    def tokens(self, device: torch.device) -> Tensor:
        """(B,N) ids that may be data."""
        return torch.randint(self.mask_id, (self.batch, self.length), device=device)


def encoder(size: Size, device: torch.device, **options: Any) -> nn.Module:
    """x-transformers' TransformerWrapper around an Encoder, weights from seed 0."""
    from x_transformers import Encoder, TransformerWrapper

    torch.manual_seed(0)
    layers = Encoder(dim=size.dim, depth=size.depth, heads=size.heads, **options)
    net = TransformerWrapper(num_tokens=size.vocab, max_seq_len=size.length, attn_layers=layers)
    return net.eval().to(device)


def bert(vocab: int, dim: int, depth: int, length: int) -> Any:
    """transformers' BertForMaskedLM for up to 512 positions or more, weights from seed 0."""
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=vocab,
        hidden_size=dim,
        num_hidden_layers=depth,
        num_attention_heads=dim // BERT_HEAD,
        intermediate_size=4 * dim,
        max_position_embeddings=max(512, length),
    )
    return BertForMaskedLM(config).eval()


def check_bert(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End with a message where --dim or --vocab make no such network."""
    if options.dim % BERT_HEAD:
        parser.error(f"--dim {options.dim}: pass a multiple of {BERT_HEAD}, the width of a head")
    if options.vocab <= BERT_MASK_ID:
        parser.error(f"--vocab {options.vocab}: pass more than the mask id, {BERT_MASK_ID}")


def passes(net: nn.Module, batch: int, call: Callable[[], object]) -> float:
    """How many passes of the whole batch a call has made: rows through the network, over B."""
    rows: list[int] = []
    watching = net.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    try:
        with torch.no_grad():
            call()
    finally:
        watching.remove()
    return sum(rows) / batch


class Watched:
    """A denoiser whose trunk and head run within what `within("trunk")` and "head" return."""

    def __init__(
        self,
        inner: unmask.Denoiser,
        within: Callable[[str], AbstractContextManager[Any]],
    ):
        self.inner, self.within = inner, within
        self.spec, self.device = inner.spec, inner.device

    def forward(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """(B,N) -> (B,N,D)."""
        with self.within("trunk"):
            return self.inner.forward(query, cache)

    def logits(self, hidden: Tensor) -> Tensor:
        """(M,D) -> (M,V)."""
        with self.within("head"):
            return self.inner.logits(hidden)

    def projection(self, hidden: Tensor) -> Projection | None:
        """(M,D) -> what `logits` multiplies."""
        return self.inner.projection(hidden)
