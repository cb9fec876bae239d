"""Small decoders of transformers with random weights, large enough for neighbours to matter."""

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from unmask import Canvas
from unmask.models import Decoder

VOCAB, MASK = 17, 16
LENGTHS = [11, 7, 12, 3, 10]


def network(kind="llama", attention=None, layers=2, **options):
    config = AutoConfig.for_model(
        kind,
        vocab_size=VOCAB,
        hidden_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=24,
        max_position_embeddings=64,
        **dict.fromkeys(["pad_token_id", "bos_token_id", "eos_token_id"]),
        **options,
    )
    torch.manual_seed(1)
    net = AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.3)
    return net


def decoder(kind="llama", block=None, attention=None, shift=False, **options):
    return Decoder(network(kind, attention, **options), MASK, block=block, logit_shift=shift)


def canvas(rows=range(5), pad=0):
    """Prompts that end anywhere, given tokens further on, rows of five lengths; 4 in a block."""
    ids = torch.randint(MASK, (5, 12), generator=torch.Generator().manual_seed(3))
    given = {0: [0, 1, 2, 3, 4], 1: [0, 5], 2: [0, 1, 2, 3, 4, 5, 6, 7, 8], 3: [1], 4: [4, 5, 6, 7]}
    flags = []
    for row, length in enumerate(LENGTHS):
        editable = torch.ones(length, dtype=torch.bool)
        editable[given[row]] = False
        flags.append(editable)
    return Canvas.ragged([ids[r, : LENGTHS[r]] for r in rows], [flags[r] for r in rows], pad_id=pad)
