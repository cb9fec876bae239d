"""Naive loops that return the authors' tokens exactly: what each option of theirs means.

Greedy throughout. Each is the rule of one published loop, for one row, written from what it does;
`test_presets` holds the presets against the same runs.
"""

from __future__ import annotations

import pytest
import torch
from tests.families.networks import FAMILIES, MASK, network
from torch import Tensor

RUNS = [(name, i) for name in FAMILIES for i in range(len(FAMILIES[name].runs))]

# Dream's loop takes top_k from transformers' generation config where nobody names one.
DREAM_TOP_K = 50

# With top_k = 1 all confidences of SDAR's runs are 1, and it is torch.topk that decides: of a block
# of four it took these places in turn, by how many it was asked for.
TIES = {1: [2, 1, 3, 0], 2: [2, 3, 1, 0]}


def shares(whole: int, parts: int) -> list[int]:
    """`whole` in so many parts, the remainder at the first ones: 8 in 3 is 3, 3, 2."""
    return [whole // parts + (i < whole % parts) for i in range(parts)]


def likeliest(logits: Tensor, top_k: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """(N,V) -> the likeliest id of each position, its probability, and all of them, float64.

    Probabilities are among the top_k likeliest ids.
    """
    if top_k is not None:
        least = logits.topk(top_k).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    every = logits.double().softmax(-1)
    probability, token = every.max(-1)
    return token, probability, every


def llada(net, prompt, gen_length, block_length, steps, cfg_scale=0.0) -> Tensor:
    """LLaDA and LLaDA-MoE: blocks from the end of the prompt, steps shared among the blocks.

    With guidance, the other side is shown the prompt as unknown: u + (1 + cfg_scale)·(c − u).
    """
    start, blocks = len(prompt), gen_length // block_length
    x = torch.cat([prompt, torch.full((gen_length,), MASK)])
    for begin in range(start, len(x), block_length):
        for count in shares(block_length, steps // blocks):
            logits = net(x[None])[0]
            if cfg_scale:
                untold = net(x.index_fill(0, torch.arange(start), MASK)[None])[0]
                logits = untold + (1 + cfg_scale) * (logits - untold)
            token, score, _ = likeliest(logits)
            score[x != MASK] = -1
            score[begin + block_length :] = -1
            chosen = score.topk(count).indices
            x[chosen] = token[chosen]
    return x


def dream(net, prompt, max_new_tokens, steps, alg, top_k=DREAM_TOP_K) -> Tensor:
    """Dream: no blocks; int(n·(1 − s/t)) of the n unknown at a step, and all at the last.

    All three scores are of the distribution that is drawn from, after the filters.
    """
    x = torch.cat([prompt, torch.full((max_new_tokens,), MASK)])
    times = torch.linspace(1, 1e-3, steps + 1)
    for i in range(steps):
        logits = net(x[None])[0]
        logits = torch.cat([logits[:1], logits[:-1]])  # the network speaks of the next position
        token, score, every = likeliest(logits, top_k)
        if alg == "topk_margin":
            score = every.topk(2).values.diff(dim=-1)[:, 0].neg()
        elif alg == "entropy":
            score = (every * (every + 1e-10).log()).sum(-1)
        unknown = (x == MASK).nonzero()[:, 0]
        count = int(len(unknown) * (1 - times[i + 1] / times[i]))
        count = len(unknown) if i == steps - 1 else count
        chosen = unknown[score[unknown].topk(count).indices]
        x[chosen] = token[chosen]
    return x


def in_whole_blocks(net, prompt, gen_length, block_length, steps, threshold, take) -> Tensor:
    """SDAR and LLaDA2: blocks from 0, the last one whole, each position sees what came before.

    A step commits what is strictly above the threshold, or else its share of a whole block, where
    that is more, however little of the prompt's last block is unknown. take: (logits, unknown,
    share) -> the ids, the confidences, and the best places.
    """
    length = -(-(len(prompt) + gen_length) // block_length) * block_length
    x = torch.full((length,), MASK)
    x[: len(prompt)] = prompt
    for begin in range(len(prompt) // block_length * block_length, length, block_length):
        block = x[begin : begin + block_length]
        for share in shares(block_length, steps):
            unknown = block == MASK
            if not unknown.any():
                break
            logits = net(x[None, : begin + block_length])[0, begin:]
            token, confidence, best = take(logits, unknown, share)
            chosen = (unknown & (confidence > threshold)).nonzero()[:, 0]
            chosen = chosen if len(chosen) >= share else best
            block[chosen] = token[chosen]
    return x


def sdar(net, prompt, options) -> Tensor:
    """SDAR returns prompt and whole blocks, and writes over the prompt to make up a share."""

    def take(logits, unknown, share):
        token, confidence, _ = likeliest(logits, options["top_k"])
        assert (confidence == 1).all()
        ties = torch.tensor(TIES[share])
        known = ~unknown[ties]
        return token, confidence, ties[known.long().argsort(stable=True)][:share]

    static = options["remasking_strategy"] == "low_confidence_static"
    threshold = 1.0 if static else options["confidence_threshold"]
    names = "gen_length", "block_length", "denoising_steps"
    return in_whole_blocks(net, prompt, *(options[name] for name in names), threshold, take)


def llada2(net, prompt, options) -> Tensor:
    """LLaDA2 returns what was asked for, without the prompt, and takes at most what is unknown."""

    def take(logits, unknown, share):
        token, confidence, _ = likeliest(logits)
        score = confidence.masked_fill(~unknown, -1)
        return token, confidence, score.topk(min(share, int(unknown.sum()))).indices

    names = "gen_length", "block_length", "steps", "threshold"
    x = in_whole_blocks(net, prompt, *(options[name] for name in names), take)
    return x[len(prompt) :][: options["gen_length"]]


def returned(name: str, options: dict, prompt: Tensor) -> Tensor:
    """What the family's loop returns."""
    net = network(name)
    if name in ("sdar", "llada2_moe"):
        return {"sdar": sdar, "llada2_moe": llada2}[name](net, prompt, options)
    own = {name: value for name, value in options.items() if name not in ("index", "prompt")}
    return (dream if name == "dream" else llada)(net, prompt, **own)


@pytest.mark.parametrize(("name", "i"), RUNS)
def test_the_rule_returns_the_authors_tokens(name, i):
    run = FAMILIES[name].runs[i]
    assert returned(name, run.options, run.prompt).tolist() == run.output.tolist()


def test_dream_s_entropy_is_of_what_is_drawn_from():
    """The control: of the model's own distribution, which has all ids, it ranks otherwise."""
    run = FAMILIES["dream"].runs[1]
    assert run.options["alg"] == "entropy"
    own = {name: run.options[name] for name in ("max_new_tokens", "steps", "alg")}
    assert dream(network("dream"), run.prompt, **own, top_k=None).tolist() != run.output.tolist()


def test_sdar_writes_over_a_given_token():
    """Seven given, so that one of the block's four is unknown and the share is two."""
    run = FAMILIES["sdar"].runs[2]
    changed = (run.output[: len(run.prompt)] != run.prompt).nonzero()[:, 0]
    assert changed.tolist() == [6]
