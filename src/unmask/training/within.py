"""The network within a denoiser: its adapter, its weights that are trained, and its checkpoints."""

from __future__ import annotations

from typing import Any

from torch import nn

from unmask.models.forwarding import Forwarding
from unmask.models.hf import backbone_of, is_adapted, is_transformers

PLAIN = {"use_reentrant": False}  # the kind of torch's checkpoints that works with frozen weights


def adapter_within(denoiser: Any) -> Any:
    """Return the adapter of a network within the wrappers of a denoiser."""
    while isinstance(denoiser, Forwarding):
        denoiser = denoiser.inner
    return denoiser


def trained_weights(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return the weights that are trained, each once, by name."""
    return {name: each for name, each in module.named_parameters() if each.requires_grad}


def has_adapters(denoiser: Any) -> bool:
    """Whether a denoiser's network has adapters, beside which its own weights do not change."""
    return any(is_adapted(module) for module in denoiser.modules())


def checkpoint_layers(denoiser: Any, **given: Any) -> None:
    """Let the layers of a transformers network be computed again for the gradient.

    given: arguments of transformers' `activation_checkpointing_enable`, or of its older name.
    """
    given = {k: {**(v or {}), **PLAIN} if k.endswith("_kwargs") else v for k, v in given.items()}
    net = backbone_of(adapter_within(denoiser).net)
    newer = getattr(net, "activation_checkpointing_enable", None)
    (newer or net.gradient_checkpointing_enable)(**given)
    # A hook for the older kind of checkpoint, which would keep the head from running apart.
    net.disable_input_require_grads()


def can_checkpoint(denoiser: Any) -> bool:
    """Whether the network of a denoiser is one of transformers that can do so."""
    net = getattr(adapter_within(denoiser), "net", None)
    return is_transformers(net) and bool(
        getattr(backbone_of(net), "supports_gradient_checkpointing", False)
    )
