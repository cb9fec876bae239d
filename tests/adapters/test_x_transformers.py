"""Configurations of x-transformers are right, or refused; none is wrong in silence."""

import pytest
import torch
from tests.adapters.alone import check_losses, check_rows, rows
from x_transformers import Encoder, TransformerWrapper

import unmask
from unmask.compat import NonAutoregressiveWrapper
from unmask.errors import UnmaskError

IDS, MASK, LONGEST = 20, 19, 16

LAYERS = """
plain use_rmsnorm use_scalenorm use_simple_rmsnorm use_dynamic_tanh use_derf only_attn
alibi_pos_bias rel_pos_bias dynamic_pos_bias rotary_pos_emb polar_pos_emb weight_tie_layers
residual_attn macaron pre_and_post_norm gate_residual orthog_residual scale_residual
sandwich_norm softclamp_output use_layerscale unet_skips integrate_layers reinject_input
add_value_residual depth_scale_residual attn_flash
attn_pre_talking_heads attn_post_talking_heads attn_head_scale attn_on_attn
attn_gate_value_heads attn_gate_values attn_output_gate attn_hard attn_qk_norm attn_qk_rmsnorm
attn_value_rmsnorm attn_l2_distance attn_sigmoid attn_cog_signed attn_one_kv_head
attn_add_zero_kv attn_head_learned_sink attn_data_dependent_alibi attn_softclamp_logits
attn_orthog_projected_values attn_laser attn_inverted_attention attn_use_rel_proj_pos_bias
attn_pre_scale_post_talking_heads attn_orthog_projected_values_per_head ff_glu ff_swish
ff_relu_squared ff_solu ff_post_act_ln ff_no_bias ff_glu_mult_bias
"""
"""Options of an Encoder, each on its own."""
VALUES = [
    {"shift_tokens": 1},
    {"shift_tokens": 2},
    {"attn_sparse_topk": 2},
    {"attn_num_mem_kv": 2},
    {"attn_kv_heads": 1},
    {"attn_max_attend_past": 2},
    {"attn_dim_head": 4, "attn_value_dim_head": 8},
    {"num_residual_streams": 2},
    {"sandwich_coef": 1},
    {"par_ratio": 2},
    {"use_adaptive_layernorm": True, "dim_condition": 8},
    {"use_adaptive_rmsnorm": True, "dim_condition": 8},
    {"use_adaptive_layerscale": True, "dim_condition": 8},
    {"use_adaptive_layernorm": True, "use_adaptive_layerscale": True, "dim_condition": 8},
    {"cross_attend": True},
    {"only_cross": True, "cross_attend": True},
    {"ff_mult": 2, "ff_glu": True, "ff_swish": True},
    {"rotary_pos_emb": True, "attn_flash": True, "ff_glu": True},
    {"rotary_pos_emb": True, "attn_num_mem_kv": 2, "shift_tokens": 1},
]
WHOLE = [
    {"emb_dim": 8},
    {"tie_embedding": True},
    {"num_memory_tokens": 2},
    {"use_abs_pos_emb": False},
    {"scaled_sinu_pos_emb": True},
    {"post_emb_norm": True},
    {"l2norm_embed": True},
    {"mixture_of_softmax": True},
    {"sigsoftmax_logits": True},
    {"recycling": True, "refused": "recycle_steps"},
    {"use_cls_token": True, "refused": "returned"},
    {"average_pool_embed": True, "refused": "returned"},
    {"attn_pool": True, "refused": "returned"},
    {"num_output_heads": 2, "refused": "2 outputs of one shape"},
    {"squeeze_out_last_dim": True},
    {"logits_dim": 12, "refused": "over 12 ids; its vocabulary size is 20"},
    {"return_only_embed": True, "refused": "over 16 ids"},
    {"ff_deep_embed": True},
    {"embed_num_tokens": {"kind": 3}},
    {"add_continuous_pred_head": True},
]
CASES = [
    *({} if name == "plain" else {name: True} for name in LAYERS.split()),
    *VALUES,
    *({"of the whole": options} for options in WHOLE),
]


def build(options):
    """A small network of random weights."""
    layers = {"dim": 16, "depth": 2, "heads": 2, "attn_dim_head": 8, **options}
    whole = layers.pop("of the whole", {})
    torch.manual_seed(0)
    net = TransformerWrapper(
        num_tokens=IDS, max_seq_len=LONGEST, attn_layers=Encoder(**layers), **whole
    ).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return net


def condition_of(net, rows, length):
    """Conditions of rows that differ, for a network that needs one."""
    layers, found = net.attn_layers, {}
    if layers.cross_attend:
        found["context"] = torch.randn(rows, 3, 16)
    if layers.need_condition:
        found["condition"] = torch.randn(rows, 8)
    if net.embeds is not None:
        found["embed_ids"] = {"kind": torch.randint(3, (rows, length))}
    return found or None


def describe(options):
    whole = options.get("of the whole", options)
    return "-".join(f"{name}={value}" for name, value in whole.items()) or "plain"


def test_they_are_many():
    assert len(CASES) >= 90


@pytest.mark.parametrize("options", CASES, ids=describe)
def test_rows_do_not_depend_on_their_batch(options):
    options = dict(options)
    whole = options["of the whole"] = dict(options.get("of the whole", {}))
    refused = whole.pop("refused", None)
    net = build(options)
    if refused:
        with pytest.raises(UnmaskError, match=refused):
            unmask.wrap(net, mask_id=MASK)
        return
    tokens, valid = rows(range(IDS - 1), MASK)
    torch.manual_seed(1)
    condition = condition_of(net, *tokens.shape)
    denoiser = unmask.wrap(net, mask_id=MASK)
    check_rows(denoiser, tokens, valid, lambda row, own: net(row, **own or {}), condition)
    tokens, valid = rows(range(IDS - 1), 5)
    check_losses(denoiser, tokens, valid, condition)
    if not condition:
        model = NonAutoregressiveWrapper(net, mask_id=MASK)
        given = {"x": tokens[:1, :5], "seed": 3}
        alone = model(**given).loss.item()
        padded = model(tokens[:1], valid=valid[:1], seed=3).loss.item()
        assert abs(alone - padded) <= 2e-4 * abs(alone)
