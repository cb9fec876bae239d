"""Presets return the tokens of the authors' own loops, the network given as a callable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from tests.families.networks import FAMILIES, MASK, VOCAB, Run, network
from tests.families.test_references import DREAM_TOP_K, TIES
from torch import Tensor

import unmask
from unmask import Canvas, Guidance, Strategy, presets
from unmask.groups import Groups
from unmask.guidance import HidePrompt
from unmask.orders import Order


def continued(name: str, prompt: Tensor, length: int, strategy: Strategy) -> unmask.Generation:
    """One row of `length` new positions after a prompt (P,), whose tokens must stay."""
    denoiser = unmask.wrap(
        network(name), mask_id=MASK, vocab_size=VOCAB, logit_shift=FAMILIES[name].shift
    )
    tokens = torch.cat([prompt, torch.zeros(length, dtype=torch.int64)])[None]
    editable = torch.arange(tokens.shape[1])[None] >= len(prompt)
    record = unmask.run(denoiser, Canvas.infill(tokens, editable), strategy, seed=0)
    assert record.tokens[0, : len(prompt)].tolist() == prompt.tolist()
    return record


# LLaDA: blocks from the end of the prompt, steps of each block.


def llada(options: dict[str, Any]) -> Strategy:
    """The preset with the authors' options: their steps are shared among the blocks.

    With guidance, the other reading has the prompt hidden: u + (1 + cfg_scale)·(c − u).
    """
    blocks = options["gen_length"] // options["block_length"]
    strategy = presets.llada(steps=options["steps"] // blocks, block=options["block_length"])
    scale = options.get("cfg_scale", 0.0)
    guidance = Guidance(1 + scale, null=HidePrompt()) if scale else None
    return strategy.but(guidance=guidance)


LLADA = [(name, i) for name in ("llada", "llada_moe") for i in range(len(FAMILIES[name].runs))]


@pytest.mark.parametrize(("name", "i"), LLADA)
def test_llada(name, i):
    run = FAMILIES[name].runs[i]
    strategy = llada(run.options)
    record = continued(name, run.prompt, run.options["gen_length"], strategy)
    assert record.tokens[0].tolist() == run.output.tolist()
    assert record.forwards.tolist() == [run.options["steps"] * strategy.readings]


def test_llada_s_blocks_begin_where_the_prompt_ends():
    """The control: counted from position 0 they are others."""
    run = FAMILIES["llada"].runs[1]
    block, length = run.options["block_length"], run.options["gen_length"]
    assert len(run.prompt) % block
    theirs = llada(run.options)
    absolute = theirs.but(groups=Groups.blocks(block))
    first, second = (
        continued("llada", run.prompt, length, s).commit_step[0] for s in (theirs, absolute)
    )
    assert first.tolist() != second.tolist()


def test_some_run_is_guided():
    assert any(FAMILIES[name].runs[i].options.get("cfg_scale") for name, i in LLADA)


# Dream: counts of what is left, and scores of what is drawn from.


def dream(options: dict[str, Any], **more: Any) -> Strategy:
    """The preset with the authors' options."""
    return presets.dream(options["steps"], options["alg"], top_k=DREAM_TOP_K, **more)


@pytest.mark.parametrize("i", range(4))
def test_dream(i):
    run = FAMILIES["dream"].runs[i]
    length, steps = run.options["max_new_tokens"], run.options["steps"]
    record = continued("dream", run.prompt, length, dream(run.options))
    assert record.tokens[0].tolist() == run.output.tolist()
    # One step a position: the first would commit int(0.999) = 0, which is not taken.
    assert record.forwards.tolist() == [steps - (steps == length)]


def test_dream_ranks_by_what_is_drawn_from():
    """The control: by the model's own entropy it commits in another order."""
    run = FAMILIES["dream"].runs[1]
    assert run.options["alg"] == "entropy"
    length, strategy = run.options["max_new_tokens"], dream(run.options)
    own = strategy.but(order=unmask.orders.Entropy())
    ranked = [continued("dream", run.prompt, length, s).tokens.tolist() for s in (strategy, own)]
    assert ranked[0] != ranked[1]


def test_dream_s_algorithm_is_origin_unless_told():
    assert presets.dream() == presets.dream(algorithm="origin")


# LLaDA2 and SDAR: blocks from 0, the last one whole, p strictly above the threshold.


def whole_blocks(run: Run) -> int:
    """New positions up to the end of the last block."""
    block = run.options["block_length"]
    asked = len(run.prompt) + run.options["gen_length"]
    return -(-asked // block) * block - len(run.prompt)


def llada2(run: Run, length: int) -> list[int]:
    """The new tokens that were asked for, as the authors' loop returns them."""
    options = run.options
    strategy = presets.llada2(options["threshold"], options["block_length"], options["steps"])
    record = continued("llada2_moe", run.prompt, length, strategy)
    return record.tokens[0, len(run.prompt) :][: options["gen_length"]].tolist()


@pytest.mark.parametrize("i", range(2))
def test_llada2(i):
    run = FAMILIES["llada2_moe"].runs[i]
    assert llada2(run, whole_blocks(run)) == run.output.tolist()


def test_the_last_block_must_be_whole():
    """The control: the network sees all of a block, so what is cut off changes the rest of it."""
    run = FAMILIES["llada2_moe"].runs[1]
    tokens = llada2(run, run.options["gen_length"])
    assert tokens[:19] == run.output[:19].tolist()  # up to position 32, where the last one begins
    assert tokens != run.output.tolist()


@dataclass(frozen=True)
class Ties(Order):
    """The order of equal scores in SDAR's static runs, instead of the lower position first."""

    steps: int
    blind = True

    def __call__(self, state: Any, proposal: Any) -> Tensor:
        """(B,N): minus the place of each position in its block's order."""
        places = torch.tensor(TIES[4 // self.steps]).argsort()
        length = state.tokens.shape[1]
        return -places[torch.arange(length) % 4].float().expand(state.tokens.shape)


def sdar_prompt(run: Run) -> Tensor:
    """The prompt, and in run 2 the whole block in which the authors' loop writes over it."""
    given = run.output[: len(run.prompt)]
    return run.prompt if given.equal(run.prompt) else run.output[:8]


def sdar(run: Run, threshold: float | None) -> Strategy:
    """The preset with the authors' options."""
    options = run.options
    steps, block = options["denoising_steps"], options["block_length"]
    return presets.sdar(threshold, block, steps, top_k=options["top_k"])


def test_sdar_dynamic():
    """Only the best id is kept, so that every confidence is 1 and a block takes one pass."""
    run = FAMILIES["sdar"].runs[1]
    strategy = sdar(run, run.options["confidence_threshold"])
    record = continued("sdar", run.prompt, whole_blocks(run), strategy)
    assert record.tokens[0].tolist() == run.output.tolist()
    assert record.forwards.tolist() == [5]


@pytest.mark.parametrize("i", [0, 2])
def test_sdar_static(i):
    """threshold=None: the share of each step and no more."""
    run = FAMILIES["sdar"].runs[i]
    prompt = sdar_prompt(run)
    strategy = sdar(run, None).but(order=Ties(run.options["denoising_steps"]))
    record = continued("sdar", prompt, len(run.output) - len(prompt), strategy)
    assert record.tokens[0].tolist() == run.output.tolist()
