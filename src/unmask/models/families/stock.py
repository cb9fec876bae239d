"""The configs of transformers' own classes, from those of the authors."""

from __future__ import annotations

from typing import Any

from unmask.errors import ModelError
from unmask.models.families.family import Config

_LLAMA = {
    "vocab_size": "embedding_size",
    "hidden_size": "d_model",
    "intermediate_size": "mlp_hidden_size",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "num_key_value_heads": "n_kv_heads",
    "max_position_embeddings": "max_sequence_length",
    "rms_norm_eps": "rms_norm_eps",
    "rope_theta": "rope_theta",
    "tie_word_embeddings": "weight_tying",
    "hidden_act": "activation_type",
    "attention_dropout": "attention_dropout",
    "eos_token_id": "eos_token_id",
    "pad_token_id": "pad_token_id",
}
_LLAMA_IS = {
    "block_type": "llama",
    "layer_norm_type": "rms",
    "rope": True,
    "alibi": False,
    "include_bias": False,
    "include_qkv_bias": False,
    "attention_layer_norm": False,
    "input_emb_norm": False,
    "scale_logits": False,
    "bias_for_layer_norm": False,
    "residual_dropout": 0.0,
}


_LLADA2_APART = {
    *("num_experts", "num_shared_experts", "use_qkv_bias"),
    *("rope_theta", "rope_scaling", "partial_rotary_factor", "rotary_dim", "sliding_window"),
}


def llada(config: Config) -> dict[str, Any]:
    """Return the entries of a Llama without biases."""
    _check(config, _LLAMA_IS)
    found = {ours: config[theirs] for ours, theirs in _LLAMA.items() if theirs in config}
    if config.get("n_kv_heads") is None:
        found["num_key_value_heads"] = (
            1 if config.get("multi_query_attention") else config["n_heads"]
        )
    if config.get("mlp_hidden_size") is None:
        found["intermediate_size"] = int(config["mlp_ratio"] * config["d_model"])
    if config.get("embedding_size") is None:
        found["vocab_size"] = config["vocab_size"]
    return found


def llada_moe(config: Config) -> dict[str, Any]:
    """Return the entries of a Qwen3 with experts."""
    _check(
        config,
        {
            "qk_layernorm": True,
            "moe_router_score_function": "softmax",
            "moe_router_enable_expert_bias": False,
            "partial_rotary_factor": 1,
            "routed_scaling_factor": 1.0,
            "shared_expert_intermediate_size": None,
            "router_num_group": None,
            "clip_qkv": None,
        },
    )
    if not all(config.get("moe_layer_freq") or [1]):
        raise ModelError("moe_layer_freq: layers without experts, which the stock class lacks")
    return {
        **config,
        "moe_intermediate_size": config["expert_intermediate_size"],
        "intermediate_size": config["dense_intermediate_size"],
        "norm_topk_prob": bool(config.get("norm_topk_prob")),
        "head_dim": config.get("head_dim")
        or config["hidden_size"] // config["num_attention_heads"],
    }


def llada2_moe(config: Config) -> dict[str, Any]:
    """Return the entries of a GLM-4.5 with experts."""
    _check(
        config,
        {
            "score_function": "sigmoid",
            "moe_router_enable_expert_bias": True,
            "use_bias": False,
            "norm_head": False,
            "use_sliding_window": False,
        },
    )
    rotary = {
        "rope_type": "default",
        "rope_theta": config["rope_theta"],
        "partial_rotary_factor": config.get("partial_rotary_factor", 1.0),
    }
    renamed = {
        "n_routed_experts": config["num_experts"],
        "n_shared_experts": config["num_shared_experts"],
        "attention_bias": config.get("use_qkv_bias", False),
        "rope_parameters": {**rotary, **(config.get("rope_scaling") or {})},
    }
    kept = {name: value for name, value in config.items() if name not in _LLADA2_APART}
    return {"head_dim": config["hidden_size"] // config["num_attention_heads"], **kept, **renamed}


def mdlm(config: Config) -> dict[str, Any]:
    """Return the entries of a DiT in which all positions attend to all."""
    _check(config, {"causal": False, "cross_attn": False})
    return dict(config)


def bd3lm(config: Config) -> dict[str, Any]:
    """Return the entries of a DiT with blocks."""
    _check(config, {"causal": False, "cross_attn": True})
    return {"cond_dim": 129, **config}


def _check(config: Config, needed: Config) -> None:
    """Raise ModelError for an entry that the stock class cannot follow."""
    for name, value in needed.items():
        if config.get(name, value) != value and not (config[name] is None and not value):
            raise ModelError(f"{name}={config[name]!r}; the stock class computes with {value!r}")
