"""A tiny DiffusionGemma, transformers' own loop with given draws, and a naive loop of one row.

Shapes: B rows, P given positions, L positions of a canvas, V vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from unmask.core.random import Purpose, uniform
from unmask.sampling import invert

VOCAB, CANVAS, PAD = 64, 8, 0
WINDOW = 16
TEXT = {
    "vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "global_head_dim": 16,
    "num_global_key_value_heads": 1, "num_experts": 4, "top_k_experts": 2,
    "moe_intermediate_size": 16, "sliding_window": WINDOW, "max_position_embeddings": 512,
    "layer_types": ["sliding_attention", "full_attention"], "pad_token_id": PAD,
    "eos_token_id": 1, "bos_token_id": 2,
}  # fmt: skip
VISION = {
    "model_type": "gemma4_vision", "hidden_size": 16, "intermediate_size": 32,
    "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 16,
    "patch_size": 4,
}  # fmt: skip
IMAGE = {"boi_token_id": 60, "eoi_token_id": 61, "image_token_id": 62}


@cache
def tiny(
    scale: float = 16.0, fed_back: float = 5.0, vocab: int = VOCAB, canvas: int = CANVAS
) -> Any:
    """A network of random weights, so much larger than usual that its logits are not flat.

    fed_back: the scale of what reads the logits of the step before. Above 10, rounding grows from
    step to step until it changes tokens.
    """
    transformers = pytest.importorskip("transformers")
    made = getattr(transformers, "DiffusionGemmaForBlockDiffusion", None)
    if made is None:
        pytest.skip("this transformers has no DiffusionGemma")
    text = {**TEXT, "vocab_size": vocab}
    config = transformers.DiffusionGemmaConfig(
        text_config=text, vision_config=dict(VISION), canvas_length=canvas, **IMAGE
    )
    torch.manual_seed(0)
    net = made(config).eval()
    net.set_experts_implementation("eager")  # which computes a token alike beside any others
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if weight.dim() > 1 and "vision" not in name:
                weight.mul_(fed_back if "self_conditioning" in name else scale)
    return net


@dataclass(frozen=True)
class Loop:
    """Options of the loop, by the names of `presets.diffusion_gemma`."""

    steps: int = 6
    bound: float = 0.1
    t_max: float = 0.8
    t_min: float = 0.4
    stability: int = 1
    confidence: float = 0.005
    canvases: int = 1
    ends: tuple[int, ...] = ()


@dataclass
class Row:
    """What a loop made of a row: its new ids, and the steps of each canvas."""

    tokens: list[int]
    steps: list[int]


def noise(seed: int, step: int, first: int) -> Tensor:
    """(L,) int64: ids in place of what was not accepted."""
    u = uniform(torch.tensor(seed), step, torch.arange(first, first + CANVAS), Purpose.NOISE_IDS)
    return (u[:, 0] * VOCAB).long()


def draws(seed: int, step: int, first: int, logp: Tensor) -> Tensor:
    """(L,) int64: ids drawn from logp (L,V)."""
    u = uniform(torch.tensor(seed), step, torch.arange(first, first + CANVAS), Purpose.DRAW)
    return invert(logp, u)[0]


@torch.no_grad()
def alone(net: Any, prompt: Sequence[int], seed: int, how: Loop) -> Row:
    """One row by the rule, the whole prefix encoded anew for each step."""
    made = Row(list(prompt), [])
    for _ in range(how.canvases):
        first, past, fed = len(made.tokens), [], None
        canvas = noise(seed, sum(made.steps), first)
        for s in range(how.steps, 0, -1):
            logits = net(
                input_ids=torch.tensor([made.tokens]),
                decoder_input_ids=canvas[None],
                self_conditioning_logits=fed,
            ).logits
            fed = logits / (how.t_min + (how.t_max - how.t_min) * s / how.steps)
            logp = fed[0].log_softmax(-1)
            entropy = -(logp.exp() * logp).sum(-1)
            step = sum(made.steps) + how.steps - s
            drawn, fresh = draws(seed, step, first, logp), noise(seed, step + 1, first)
            spent = 0.0
            for i in entropy.argsort().tolist():
                if spent <= how.bound:
                    fresh[i] = drawn[i]
                spent += float(entropy[i])
            canvas = fresh
            past.append(logp.argmax(-1).tolist())
            recent = past[-how.stability - 1 :]
            calm = len(recent) > how.stability and all(each == recent[0] for each in recent)
            if calm and float(entropy.mean()) < how.confidence:
                break
        made.tokens += past[-1]
        made.steps.append(len(past))
        if set(past[-1]) & set(how.ends):
            break
    return Row(ended(made.tokens[len(prompt) :], how), made.steps)


def ended(tokens: list[int], how: Loop) -> list[int]:
    """Ids of all canvases, padding behind the first end."""
    end = next((i for i, token in enumerate(tokens) if token in how.ends), len(tokens))
    whole = tokens[: end + 1]
    return whole + [PAD] * (CANVAS * how.canvases - len(whole))


class Chance:
    """Draws of given rows in place of torch's own, in the order in which generate() asks.

    steps: those that each row takes on each canvas; a row that is done waits for the others.
    """

    def __init__(self, seeds: Sequence[int], lengths: Sequence[int], steps: list[list[int]]):
        self.seeds, self.lengths, self.steps = seeds, lengths, steps
        self.canvas, self.step = -1, 0

    def _each(self, draw: Any) -> Tensor:
        rows = []
        for b, (seed, length) in enumerate(zip(self.seeds, self.lengths, strict=True)):
            step = sum(self.steps[b][: self.canvas]) + self.step
            rows.append(draw(b, seed, step, length + self.canvas * CANVAS))
        return torch.stack(rows)

    def begin(self) -> None:
        self.canvas, self.step = self.canvas + 1, 0

    def randint(self, *, low: int, high: int, size: tuple[int, int], device: Any) -> Tensor:
        assert (low, high, size) == (0, VOCAB, (len(self.seeds), CANVAS))
        return self._each(lambda b, seed, step, first: noise(seed, step, first))

    def multinomial(self, probabilities: Tensor, num_samples: int) -> Tensor:
        assert num_samples == 1
        logp = probabilities.log().view(len(self.seeds), CANVAS, VOCAB)
        drawn = self._each(lambda b, seed, step, first: draws(seed, step, first, logp[b]))
        self.step += 1
        return drawn.reshape(-1, 1)


def generated(
    monkeypatch: pytest.MonkeyPatch,
    net: Any,
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[int],
    steps: list[list[int]],
    how: Loop,
) -> list[list[int]]:
    """The new ids of each row by transformers' generate(), shorter prompts padded on the left.

    steps: those that each row takes on each canvas, which say which draws are the next.
    """
    from transformers.models.diffusion_gemma import generation_diffusion_gemma as theirs

    longest = max(map(len, prompts))
    ids = torch.tensor([[PAD] * (longest - len(p)) + list(p) for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    chance, net = Chance(seeds, list(map(len, prompts)), steps), copy.copy(net)
    config = theirs.DiffusionGemmaGenerationConfig(
        max_new_tokens=how.canvases * CANVAS, max_denoising_steps=how.steps,
        sampler_config=theirs.EntropyBoundSamplerConfig(entropy_bound=how.bound),
        t_min=how.t_min, t_max=how.t_max, stability_threshold=how.stability,
        confidence_threshold=how.confidence, pad_token_id=PAD,
        eos_token_id=list(how.ends) or [-1],
    )  # fmt: skip
    begin = type(net)._prepare_denoiser_inputs

    def beginning(self: Any, **given: Any) -> Any:
        chance.begin()
        return begin(self, **given)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "randint", chance.randint)
        patch.setattr(torch, "multinomial", chance.multinomial)
        patch.setattr(type(net), "_prepare_denoiser_inputs", beginning)
        out = net.generate(ids, attention_mask=mask, generation_config=config).sequences
    rest = [PAD] * (how.canvases * CANVAS)
    return [(row[longest:].tolist() + rest)[: len(rest)] for row in out]
