"""Adapters of peft merged into the weights that are written, while the network stays as it is."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn

from unmask.models.outputs import has_base

ROWS = "TrainableTokensWrapper"
"""peft's part around an embedding of which some rows are trained, and around a head tied to it."""


def merged(net: Any) -> tuple[nn.Module, dict[str, Any]]:
    """Return the network within a peft model, and arguments by which its merged weights are saved.

    Layers are merged one at a time and kept on the CPU: only weights that have adapters, or rows
    that are trained, are in memory twice. Networks with other parts of peft's are copied as a
    whole.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    inner = net.get_base_model()
    rows = {n: each for n, each in inner.named_modules() if has_base(each, "peft.", ROWS)}
    layers = {
        n: each
        for n, each in inner.named_modules()
        if isinstance(each, BaseTunerLayer) and not _is_within(n, rows)
    }
    plain = all(isinstance(each.get_base_layer(), nn.Module) for each in layers.values())
    within = any(n.startswith(f"{other}.") for n in layers for other in layers)
    others = any(
        has_base(each, "peft.", "*Wrapper") and n not in rows for n, each in inner.named_modules()
    )
    if within or others or not plain:
        whole: nn.Module = copy.deepcopy(net).merge_and_unload()
        return whole, {}
    weights: dict[str, Tensor] = {
        name: weight
        for name, weight in inner.state_dict().items()
        if not _is_within(name, {**layers, **rows})
    }
    for name, layer in layers.items():
        one = copy.deepcopy(layer)
        one.merge()
        found = one.get_base_layer().state_dict().items()
        weights |= {f"{name}.{key}": weight.cpu() for key, weight in found}
    once = dict[int, Tensor]()  # a head that is tied has the same rows
    for name, wrapper in rows.items():
        base = wrapper.original_module
        weights |= {f"{name}.{key}": weight for key, weight in base.state_dict().items()}
        weights[f"{name}.weight"] = once.setdefault(id(base.weight), wrapper.weight.detach().cpu())
    return inner, {"state_dict": weights}


def _is_within(name: str, layers: dict[str, Any]) -> bool:
    """Whether a weight is in one of the layers, by its name."""
    parts = name.split(".")
    return any(".".join(parts[:n]) in layers for n in range(1, len(parts)))
