"""Tiny checkpoints of published families, opened in transformers' own classes.

The folders of `data` hold them as their authors' code writes them, with the logits that the
authors' networks computed and, where there are any, the tokens of the authors' own loops. Each is
a known architecture under another attention mask and other names, so no remote code is needed.

Shapes: B rows, N positions, V vocabulary.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import unmask

DATA = Path(__file__).parent / "data"
VOCAB, MASK = 130, 129
NEVER_DRAWN = -1e4  # the logit of the mask id in the authors' runs


class Run(NamedTuple):
    """One call of an authors' loop: its options, prompt (P,), and what it returned, (M,)."""

    options: dict[str, Any]
    prompt: Tensor
    output: Tensor


@dataclass(frozen=True)
class Family:
    """One folder of `data`: checkpoint, expected logits and runs.

    stock: the name of the class in transformers, without ForCausalLM. block: W where position i
    sees j if j // W ≤ i // W, None where all see all. shift: the logits at i are of position i + 1.
    """

    name: str
    stock: str
    block: int | None = None
    shift: bool = False
    unsaid: dict[str, Any] = field(default_factory=dict)  # that no file of the folder says

    def __str__(self) -> str:
        return self.name

    @cached_property
    def config(self) -> dict[str, Any]:
        """The authors' config.json."""
        return json.loads((DATA / self.name / "config.json").read_text(encoding="utf-8"))

    @cached_property
    def expected(self) -> dict[str, Tensor]:
        """Ids, logits, prompts and outputs."""
        return load_file(DATA / self.name / "expected.safetensors")

    @cached_property
    def runs(self) -> list[Run]:
        """What the authors' loop was called with, and what it returned."""
        said = json.loads((DATA / self.name / "expected.json").read_text(encoding="utf-8"))
        tensors = self.expected
        return [
            Run(options, tensors[f"prompt.{i}"][0], tensors[f"output.{i}"][0])
            for i, options in enumerate(said["runs"])
        ]


FAMILIES = {
    family.name: family
    for family in [
        Family("llada", "Llama"),
        Family("llada_moe", "Qwen3Moe", unsaid={"mask_id": MASK}),
        Family("llada2_moe", "Glm4Moe", block=8, unsaid={"mask_id": MASK, "block": 8}),
        Family("dream", "Qwen2", shift=True),
        Family("sdar", "Qwen3", block=4),
        Family("a2d_qwen3", "Qwen3", unsaid={"mask_id": MASK}),
    ]
}


class Network:
    """tokens (B,N) int64 -> logits (B,N,V) float32, the mask id's as low as in the authors' runs.

    Logits are where the network has them: a shift is left to the caller.
    """

    def __init__(self, net: nn.Module, block: int | None):
        self.net, self.block = net, block

    @torch.no_grad()
    def raw(self, tokens: Tensor, valid: Tensor | None = None) -> Tensor:
        """The logits as they are. valid (B,N) bool: False at padding, which nobody sees."""
        length = tokens.shape[1]
        order = torch.arange(length) // (self.block or length)
        seen = (order <= order.unsqueeze(1)).expand(len(tokens), 1, length, length)
        if valid is not None:
            seen = seen & valid[:, None, None, :]
        hidden = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
        return self.net(input_ids=tokens, attention_mask=hidden, use_cache=False).logits

    def __call__(self, tokens: Tensor) -> Tensor:
        logits = self.raw(tokens)
        logits[..., MASK] = NEVER_DRAWN
        return logits


@cache
def network(name: str, block: int | None = None) -> Network:
    """The network of a family, in its own attention unless `block` names another."""
    family = FAMILIES[name]
    return Network(opened(name), family.block if block is None else block)


@cache
def opened(name: str) -> nn.Module:
    """The checkpoint of a family in its stock class."""
    return load(name).backbone


def load(name: str, **options: Any) -> Any:
    """The checkpoint of a family as its own denoiser; options as in `unmask.load`."""
    return unmask.load(DATA / name, **{**FAMILIES[name].unsaid, **options})
