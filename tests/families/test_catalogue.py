"""Every row of the catalogue opens a model in the form of its authors, and gives its logits."""

import json

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tests.families.test_load import logits

import unmask
from unmask.models.families import CATALOGUE
from unmask.models.families.table import table

SIZES = {
    "vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 48, "max_position_embeddings": 64, "head_dim": 8,
    "moe_intermediate_size": 16, "num_experts": 4, "num_experts_per_tok": 2,
    "initializer_range": 0.3, "eos_token_id": 5, "mask_token_id": 39, "pad_token_id": 4,
}  # fmt: skip
GPT2 = {
    "vocab_size": 40,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 64,
    "mask_token_id": 39,
    "eos_token_id": 5,
}
FIXTURES = ("llada", "llada_moe", "llada2")  # in words of their own: tests/families/test_load.py
FIXTURES += ("diffusion_gemma",)  # no decoder: tests/families/test_diffusion_gemma.py
FIXTURES += ("mdlm", "bd3lm")  # a network of unmask: tests/families/test_dit.py
WRAPPED = {
    "diffullama": ("model.", "model.embed_tokens."),
    "diffugpt": ("transformer.", "transformer.wte."),
}
ROWS = [row for row in CATALOGUE if row.name not in FIXTURES]


def written(row, folder):
    """Write a checkpoint as its authors do; return the network."""
    stock = getattr(transformers, row.stock)
    torch.manual_seed(0)
    net = stock(stock.config_class(**(GPT2 if row.stock.startswith("GPT2") else SIZES))).eval()
    net.save_pretrained(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    if row.model_types:
        config |= {"model_type": row.model_types[0], "architectures": [f"{row.architecture}Own"]}
        config |= row.marks
    path.write_text(json.dumps(config))
    if row.name in WRAPPED:  # their authors' own class holds the network and its embeddings apart
        inner, table_ = WRAPPED[row.name]
        weights = load_file(folder / "model.safetensors")
        renamed = {key.replace(table_, "embed_tokens.", 1): w for key, w in weights.items()}
        own = {key.replace(inner, "denoise_model.", 1): w for key, w in renamed.items()}
        save_file(own, folder / "model.safetensors", metadata={"format": "pt"})
    return net


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_opens(row, tmp_path):
    net = written(row, tmp_path)
    named = {} if row.model_types else {"family": row.name}
    denoiser = unmask.load(tmp_path, **named)
    block = row.default_block or 24
    place = torch.arange(24) // block
    seen = (place <= place.unsqueeze(1)).expand(2, 1, 24, 24)
    bias = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
    tokens = torch.arange(48).view(2, 24) % 39
    with torch.no_grad():
        own = net(input_ids=tokens, attention_mask=bias, use_cache=False).logits
    assert own.std() > 0.05
    torch.testing.assert_close(logits(denoiser, tokens), own, atol=1e-5, rtol=0)
    opened = unmask.load(tmp_path, **named)
    assert opened.logit_shift == row.logit_shift
    assert (opened.spec.mask_id, opened.spec.block_size) == (39, row.default_block)
    assert (
        unmask.generate(opened, batch_size=2, length=2 * block if row.default_block else 9).max()
        < 39
    )


def test_the_document_has_the_table():
    from tests.docs.test_documents import ROOT

    assert table() in (ROOT / "docs" / "language-models.md").read_text(encoding="utf-8")
