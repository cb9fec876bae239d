"""Fast-dLLM v2: the family's default preset returns the tokens of the authors' loop."""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

import unmask
from unmask import Canvas, presets
from unmask.engine import default_strategy
from unmask.models import BlockCache

transformers = pytest.importorskip("transformers")

VOCAB, MASK, STOP = 60, 59, 58
BLOCK, SUB_BLOCK, THRESHOLD = 32, 8, 0.9


class Made(NamedTuple):
    """What the authors' loop made of a prompt: the tokens behind it, and its network passes."""

    tokens: list[int]
    passes: int


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny checkpoint as the authors write theirs: Qwen2 by another name."""
    path = tmp_path_factory.mktemp("fast_dllm_v2")
    config = transformers.Qwen2Config(
        vocab_size=VOCAB,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=256,
        tie_word_embeddings=False,
        eos_token_id=STOP,
        **dict.fromkeys(["pad_token_id", "bos_token_id"]),
    )
    torch.manual_seed(0)
    net = transformers.Qwen2ForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.5)
    net.save_pretrained(path)
    entries = json.loads((path / "config.json").read_text())
    theirs = {"model_type": "Fast_dLLM_Qwen", "architectures": ["Fast_dLLM_QwenForCausalLM"]}
    (path / "config.json").write_text(json.dumps({**entries, **theirs, "bd_size": BLOCK}))
    return path


def load(folder, **options):
    return unmask.load(folder, mask_id=MASK, **options)


def logits_of(net, ids: list[int]) -> Tensor:
    """(N,V): the network over a row, each position seeing its block and those before, no cache."""
    place = torch.arange(len(ids)) // BLOCK
    hidden = torch.zeros(len(ids), len(ids)).masked_fill(place > place[:, None], -1e9)
    with torch.no_grad():
        out = net(torch.tensor([ids]), attention_mask=hidden[None, None], use_cache=False)
    logits = out.logits[0]
    logits[:, MASK] = -1e9  # which the library never draws
    return logits


def authors_loop(net, prompt: list[int], count: int) -> Made:
    """Their loop for one row: what it does, without their caches.

    A block is filled sub-block by sub-block, from the logits of the block moved by one position.
    Once it is full, one more pass gives the first token of the next: the likeliest one by its last
    logit. A prompt that ends with a block begins so, too.
    """
    ids, passes = list(prompt), 0
    if len(ids) % BLOCK == 0:
        ids.append(int(logits_of(net, ids)[-1].argmax()))
        passes += 1
    while True:
        begin = len(ids) // BLOCK * BLOCK
        ids += [MASK] * (begin + BLOCK - len(ids))
        for first in range(begin, begin + BLOCK, SUB_BLOCK):
            here = range(first, first + SUB_BLOCK)
            while unknown := [i for i in here if ids[i] == MASK]:
                block = logits_of(net, ids)[begin:]
                moved = torch.cat([block[:1], block[:-1]]).softmax(-1)
                passes += 1
                best = {i: moved[i - begin].max(0) for i in unknown}
                likeliest = max(unknown, key=lambda i: (float(best[i].values), -i))
                for i in unknown:
                    if float(best[i].values) > THRESHOLD or i == likeliest:
                        ids[i] = int(best[i].indices)
        made = ids[len(prompt) :]
        if len(made) >= count or STOP in made:
            end = made.index(STOP) + 1 if STOP in made else count
            return Made(made[:end], passes)
        ids.append(int(logits_of(net, ids)[-1].argmax()))
        passes += 1


GIVEN = [3, 32, 45, 64, 31, 33]
"""Lengths of prompts: within a block, at its end, one before, one behind."""


def rows():
    draw = torch.Generator().manual_seed(5)
    return [torch.randint(STOP, (n,), generator=draw) for n in GIVEN]


def canvas_of(prompts, blocks=3):
    """A ragged canvas: each row in whole blocks, one of them fewer behind longer prompts."""
    ids, flags = [], []
    for nth, prompt in enumerate(prompts):
        length = (len(prompt) // BLOCK + blocks - nth % 2) * BLOCK
        ids.append(torch.cat([prompt, torch.zeros(length - len(prompt), dtype=torch.int64)]))
        flags.append(torch.arange(length) >= len(prompt))
    return Canvas.ragged(ids, flags)


@pytest.mark.parametrize("cached", [False, True])
def test_a_ragged_batch_is_the_authors_tokens(folder, cached):
    denoiser = load(folder)
    net, strategy = denoiser.backbone, default_strategy(denoiser)
    assert strategy.name == "fast_dllm_v2"
    canvas = canvas_of(rows())
    found = unmask.run(BlockCache(denoiser) if cached else denoiser, canvas, strategy, seed=0)
    ended = 0
    for row, prompt in enumerate(rows()):
        count = int(canvas.editable[row].sum())
        made = authors_loop(net, prompt.tolist(), count)
        here = slice(len(prompt), len(prompt) + len(made.tokens))
        assert found.tokens[row, here].tolist() == made.tokens
        ended += STOP in made.tokens
        if STOP not in made.tokens:
            assert int(found.forwards[row]) == made.passes
    assert 0 < ended < len(GIVEN)  # rows of both kinds


def test_without_a_first_token_of_its_own_tokens_are_others(folder):
    """The control: sub-blocks alone, where the first of a block competes with seven others."""
    denoiser = load(folder)
    plain = default_strategy(denoiser).but(groups=unmask.Groups.blocks(SUB_BLOCK))
    found = unmask.run(denoiser, canvas_of(rows()), plain, seed=0)
    expected = [authors_loop(denoiser.backbone, row.tolist(), 32).tokens for row in rows()]
    given = [
        found.tokens[i, len(row) :][: len(expected[i])].tolist() for i, row in enumerate(rows())
    ]
    assert given != expected


def test_the_recommended_preset_has_the_network_s_block(folder):
    """Where the files say another one; sub-blocks must divide it."""
    assert load(folder).spec.recommended == {"name": "fast_dllm_v2", "block": 32}
    assert load(folder, block=16).spec.recommended == {"name": "fast_dllm_v2", "block": 16}
    with pytest.raises(unmask.errors.StrategyError, match=r"not a multiple of size=8"):
        presets.fast_dllm_v2(block=12)
