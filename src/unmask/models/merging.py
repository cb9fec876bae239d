"""Adapters of peft merged into the weights that are written, while the network stays as it is."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn

from unmask.models.outputs import has_base


def merged(net: Any) -> tuple[nn.Module, dict[str, Any]]:
    """Return the network within a peft model, and arguments by which its merged weights are saved.

    Layers are merged one at a time and kept on the CPU: only weights that have adapters are in
    memory twice. Networks with other parts of peft's are copied as a whole.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    inner = net.get_base_model()
    layers = {n: each for n, each in inner.named_modules() if isinstance(each, BaseTunerLayer)}
    plain = all(isinstance(each.get_base_layer(), nn.Module) for each in layers.values())
    within = any(n.startswith(f"{other}.") for n in layers for other in layers)
    others = any(has_base(each, "peft.", "*Wrapper") for each in inner.modules())
    if within or others or not plain:
        whole: nn.Module = copy.deepcopy(net).merge_and_unload()
        return whole, {}
    weights: dict[str, Tensor] = {
        name: weight for name, weight in inner.state_dict().items() if not _is_within(name, layers)
    }
    for name, layer in layers.items():
        one = copy.deepcopy(layer)
        one.merge()
        found = one.get_base_layer().state_dict().items()
        weights |= {f"{name}.{key}": weight.cpu() for key, weight in found}
    return inner, {"state_dict": weights}


def _is_within(name: str, layers: dict[str, Any]) -> bool:
    """Whether a weight is in one of the layers, by its name."""
    parts = name.split(".")
    return any(".".join(parts[:n]) in layers for n in range(1, len(parts)))
