"""Tiny checkpoints of published families, opened in transformers' own classes.

The folders of `data` hold them as their authors' code writes them, with the logits that the
authors' networks computed and, where there are any, the tokens of the authors' own loops. Each is
a known architecture under another attention mask and other names, so no remote code is needed.

Shapes: B rows, N positions, V vocabulary.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor, nn

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
        Family("llada_moe", "Qwen3Moe"),
        Family("llada2_moe", "Glm4Moe", block=8),
        Family("dream", "Qwen2", shift=True),
        Family("sdar", "Qwen3", block=4),
        Family("a2d_qwen3", "Qwen3"),
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
    family = FAMILIES[name]
    config = getattr(transformers, f"{family.stock}Config")(**settings(family.config))
    config._attn_implementation = "sdpa"
    weights = renamed(family.config, load_file(DATA / name / "model.safetensors"))
    stock = getattr(transformers, f"{family.stock}ForCausalLM")
    net, told = stock.from_pretrained(
        None, config=config, state_dict=weights, output_loading_info=True
    )
    unlike = {what: found for what, found in told.items() if found}
    assert not unlike, f"{name}: {unlike}"
    return net.eval()


def settings(config: dict[str, Any]) -> dict[str, Any]:
    """An authors' config.json in the words of the stock config."""
    kind = config["architectures"][0]
    rotary = {"rope_type": "default", "rope_theta": config["rope_theta"]}
    if kind == "LLaDAModelLM":
        return {
            "vocab_size": config["vocab_size"],
            "hidden_size": config["d_model"],
            "intermediate_size": config["mlp_hidden_size"],
            "num_hidden_layers": config["n_layers"],
            "num_attention_heads": config["n_heads"],
            "num_key_value_heads": config["n_kv_heads"],
            "max_position_embeddings": config["max_sequence_length"],
            "rms_norm_eps": config["rms_norm_eps"],
            "tie_word_embeddings": config["weight_tying"],
            "rope_parameters": rotary,
        }
    # The words that these authors and transformers share.
    shared = {name: config[name] for name in SHARED if config.get(name) is not None}
    shared["rope_parameters"] = rotary
    if kind == "LLaDAMoEModelLM":
        shared |= {
            "intermediate_size": config["dense_intermediate_size"],
            "moe_intermediate_size": config["expert_intermediate_size"],
            "head_dim": config["hidden_size"] // config["num_attention_heads"],
            "norm_topk_prob": bool(config["norm_topk_prob"]),
        }
    if kind == "LLaDA2MoeModelLM":
        rotary["partial_rotary_factor"] = config["partial_rotary_factor"]
        shared |= {
            "n_routed_experts": config["num_experts"],
            "n_shared_experts": config["num_shared_experts"],
        }
        del shared["num_experts"]
    return shared


SHARED = [
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "max_position_embeddings", "rms_norm_eps", "hidden_act",
    "tie_word_embeddings", "num_experts", "num_experts_per_tok", "moe_intermediate_size",
    "norm_topk_prob", "n_group", "topk_group", "first_k_dense_replace", "routed_scaling_factor",
    "use_qk_norm",
]  # fmt: skip


def renamed(config: dict[str, Any], weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights by the names that the stock class has for them."""
    kind = config["architectures"][0]
    if kind == "LLaDA2MoeModelLM":
        weights = _split(config, weights)
    for old, new in NAMES.get(kind, []):
        weights = {re.sub(old, new, name): tensor for name, tensor in weights.items()}
    return weights


def _split(config: dict[str, Any], weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Queries, keys and values, which LLaDA2 has in one matrix, apart."""
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    sizes = [heads * config["head_dim"]] + [groups * config["head_dim"]] * 2
    apart = {}
    for name, tensor in weights.items():
        if "query_key_value" not in name:
            apart[name] = tensor
            continue
        for each, part in zip("qkv", tensor.split(sizes), strict=True):
            apart[name.replace("query_key_value", f"{each}_proj")] = part.contiguous()
    return apart


# Regular expressions and what they become, one after the other.
NAMES = {
    "LLaDAModelLM": [
        (r"^model\.transformer\.ff_out", "lm_head"),
        (r"^model\.transformer\.wte", "model.embed_tokens"),
        (r"^model\.transformer\.ln_f", "model.norm"),
        (r"^model\.transformer\.blocks", "model.layers"),
        (r"\.attn_norm\.", ".input_layernorm."),
        (r"\.([qkv]_proj)\.", r".self_attn.\1."),
        (r"\.attn_out\.", ".self_attn.o_proj."),
        (r"\.ff_norm\.", ".post_attention_layernorm."),
        (r"\.ff_proj\.", ".mlp.gate_proj."),
        (r"\.up_proj\.", ".mlp.up_proj."),
        (r"\.ff_out\.", ".mlp.down_proj."),
    ],
    "LLaDA2MoeModelLM": [
        (r"\.word_embeddings\.", ".embed_tokens."),
        (r"\.attention\.dense\.", ".attention.o_proj."),
        (r"\.query_layernorm\.", ".q_norm."),
        (r"\.key_layernorm\.", ".k_norm."),
        (r"\.attention\.", ".self_attn."),
        (r"\.expert_bias$", ".e_score_correction_bias"),
    ],
}
