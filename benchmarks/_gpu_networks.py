"""The denoisers of gpu.py: a head without a trunk, and a Llama that attends to both sides.

Shapes: B rows, N positions, V vocabulary, D width, M positions queried.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from unmask.core.network import Cache, DenoiserSpec, Query
from unmask.core.projection import Projection, untied

HALF = torch.bfloat16
PIECE = 1024  # positions at which the head is asked at once, where it is measured alone
HEAD = 64  # width of a head of attention


class HeadAlone(nn.Module):
    """A denoiser whose trunk costs nothing: the same hidden states (B,N,D) whatever is shown.

    fused: whether it offers its projection, so that a kernel may draw without logits.
    """

    def __init__(self, vocab: int, states: Tensor, fused: bool = True):
        super().__init__()
        self.fused = fused
        self.spec, self.device = DenoiserSpec(vocab, vocab - 1), states.device
        self.states = states
        given = {"device": states.device, "dtype": states.dtype}
        self.head = nn.Linear(states.shape[2], vocab, bias=False, **given)

    def forward(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """(B,N) -> (B,N,D)."""
        return self.states, None

    def logits(self, hidden: Tensor) -> Tensor:
        """(M,D) -> (M,V)."""
        return self.head(hidden)

    def projection(self, hidden: Tensor) -> Projection | None:
        """(M,D) -> what `logits` multiplies."""
        return untied(hidden, self.head) if self.fused else None

    def everywhere(self) -> None:
        """The projection of all positions, in pieces that nobody keeps."""
        for part in self.states.flatten(0, 1).split(PIECE):
            self.head(part)


class BothSides(nn.Module):
    """A LlamaForCausalLM whose positions see all others; rows without padding only."""

    def __init__(self, net: Any):
        super().__init__()
        self.net, self.device = net, net.device
        self.spec = DenoiserSpec(net.config.vocab_size, net.config.vocab_size - 1)
        for layer in net.model.layers:
            layer.self_attn.is_causal = False
        row = torch.zeros(1, 4, dtype=torch.int64, device=net.device)
        other = row.index_fill(1, torch.tensor(3, device=net.device), 1)
        with torch.no_grad():
            first = [self.forward(Query.of(x), None)[0][:, 0] for x in (row, other)]
        if torch.equal(*first):
            raise SystemExit("this transformers ignores is_causal: positions see only the left")

    def forward(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """(B,N) -> (B,N,D)."""
        return self.net.model(input_ids=query.tokens, use_cache=False).last_hidden_state, None

    def logits(self, hidden: Tensor) -> Tensor:
        """(M,D) -> (M,V)."""
        return self.net.lm_head(hidden)

    def projection(self, hidden: Tensor) -> Projection | None:
        """(M,D) -> what `logits` multiplies."""
        return untied(hidden, self.net.lm_head)


def causal_network(vocab: int, dim: int, depth: int, device: torch.device) -> Any:
    """LlamaForCausalLM with random weights in bfloat16; four queries share a key."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=dim,
        intermediate_size=4 * dim,
        num_hidden_layers=depth,
        num_attention_heads=dim // HEAD,
        num_key_value_heads=max(1, dim // HEAD // 4),
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    with device:
        return AutoModelForCausalLM.from_config(config, dtype=HALF).eval()
