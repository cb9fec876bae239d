"""Small networks of the architectures that the installed transformers registers."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

import torch
import transformers
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

VOCAB, LONGEST, MASK = 40, 64, 39
LARGEST = 2_000_000
"""Parameters of a network that counts as small. The options below do not reach all parts."""

SMALL: dict[str, Any] = {
    "vocab_size": VOCAB,
    "max_position_embeddings": LONGEST,
    "type_vocab_size": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "mask_token_id": MASK,
}
for value, names in (
    (32, "hidden_size embedding_size d_model dim emb_dim n_embd entity_emb_size d_latents"),
    (48, "intermediate_size hidden_dim ffn_dim encoder_ffn_dim decoder_ffn_dim d_ff d_inner"),
    (48, "moe_intermediate_size shared_expert_intermediate_size ffn_hidden_size"),
    (2, "num_hidden_layers n_layers encoder_layers decoder_layers num_layers n_layer"),
    (2, "num_attention_heads n_heads encoder_attention_heads decoder_attention_heads num_heads"),
    (2, "n_head num_key_value_heads num_self_attends_per_block num_self_attention_heads"),
    (2, "num_cross_attention_heads entity_vocab_size num_experts_per_tok"),
    (8, "chunk_size mamba_chunk_size mamba_d_state ssm_state_size mamba_n_heads mamba_num_heads"),
    (4, "num_experts num_local_experts n_routed_experts"),
    (16, "head_dim d_head attention_head_size num_latents"),
    (50, "pronunciation_vocab_size shape_vocab_size"),
):
    SMALL |= dict.fromkeys(names.split(), value)

OF_KIND: dict[str, dict[str, Any]] = {
    "reformer": {"axial_pos_embds_dim": (16, 16), "axial_pos_shape": (8, 8)},
    "funnel": {"block_sizes": [1, 1]},
    "tapas": {"type_vocab_sizes": [3, 4, 4, 2, 4, 4, 4]},
    "xmod": {"default_language": "en_XX"},
    "nystromformer": {"num_landmarks": 16, "segment_means_seq_len": LONGEST},
}
"""Options that a kind needs beside the small ones."""

REGISTRIES = {
    "masked": modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    "causal": modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
}


class TooLarge(Exception):
    """A kind whose small options leave more parameters than `LARGEST`, or make no network."""


def kinds(registry: str) -> list[str]:
    """Model types with a class of that registry, of those that the config alone can make."""
    found = REGISTRIES[registry]
    return sorted(kind for kind in found if kind in CONFIG_MAPPING and isinstance(found[kind], str))


def build(registry: str, kind: str, seed: int = 0, **options: Any) -> Any:
    """A small network of random weights, in evaluation mode. Raises TooLarge."""
    maker, config = _small(registry, kind), _config(registry, kind, options)
    torch.manual_seed(seed)
    net = maker(config).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3)  # logits that are not flat
    return net


def _config(registry: str, kind: str, options: dict[str, Any]) -> Any:
    config_class = CONFIG_MAPPING[kind]
    names = set(inspect.signature(config_class.__init__).parameters) | set(config_class().to_dict())
    small = {name: value for name, value in SMALL.items() if name in names}
    if registry == "causal" and "is_decoder" in names:
        small["is_decoder"] = True
    return config_class(**small | OF_KIND.get(kind, {}) | options)


@cache
def _small(registry: str, kind: str) -> Any:
    """The class of a kind. Raises TooLarge, seen without memory for its weights."""
    try:
        maker = getattr(transformers, REGISTRIES[registry][kind])
        with torch.device("meta"):
            net = maker(_config(registry, kind, {}))
    except Exception as error:
        raise TooLarge(f"{type(error).__name__}: {error}") from error
    size = sum(parameter.numel() for parameter in net.parameters())
    if size > LARGEST:
        raise TooLarge(f"{size:,} parameters")
    return maker
