"""LoRA adapters (2106.09685) in the network of a denoiser, by peft."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from unmask.core.optional import library
from unmask.errors import StrategyError, nearest
from unmask.models.hf import is_transformers
from unmask.training.recipe import LoraOptions
from unmask.training.within import adapter_within, trained_weights


def add_adapters(
    denoiser: nn.Module, options: LoraOptions, seed: int, rows: Sequence[int] = ()
) -> None:
    """Put adapters into the network of a denoiser; only they are trained from then on.

    rows: ids whose rows of the embedding are trained, too, as those of new tokens must be.
    Their weights are drawn from the seed, and change nothing of the network at first. Raises
    StrategyError for a network that is not transformers', and for targets that are no linear layers
    of it; MissingExtraError without peft.
    """
    peft = library("peft", "train", "adapters (lora) need peft: pip install peft")
    within = adapter_within(denoiser)
    net = within.net
    if not is_transformers(net):
        raise StrategyError(
            f"lora.rank={options.rank}: peft puts adapters into networks of transformers, and this "
            f"is a {type(net).__name__}; leave lora out"
        )
    if options.targets:
        check_targets(net, options.targets)
    config = peft.LoraConfig(
        r=options.rank,
        lora_alpha=2 * options.rank if options.alpha is None else options.alpha,
        lora_dropout=options.dropout,
        target_modules=list(options.targets) or "all-linear",
        trainable_token_indices=list(rows) or None,
    )
    with torch.random.fork_rng(), warnings.catch_warnings():
        torch.manual_seed(seed)
        # peft asks transformers by a name that is going to change.
        warnings.filterwarnings("ignore", ".is_gradient_checkpointing", FutureWarning)
        # Of GPT-2's layers it finds the order of weights by itself, and says so.
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to False", UserWarning)
        # Of experts in one tensor it makes patterns, and then tells that they match nothing.
        warnings.filterwarnings("ignore", ".*_pattern keys did not match", RuntimeWarning)
        within.net = peft.get_peft_model(net, config)
    for weight in trained_weights(denoiser).values():
        weight.data = weight.data.float()  # as peft does, but not for rows


def check_targets(net: Any, targets: Iterable[str]) -> None:
    """Raise StrategyError for a target that names no linear layer of the network."""
    head = net.get_output_embeddings()
    names = [
        name
        for name, module in net.named_modules()
        if isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"
        if module is not head
    ]
    known = list(dict.fromkeys(name.rpartition(".")[2] for name in names))
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            raise StrategyError(
                f"lora.targets has {target!r}, which is no linear layer of {type(net).__name__}: "
                f"{nearest(target, known)}"
            )
