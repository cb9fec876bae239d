"""Buffers that no file of weights holds, such as rotary frequencies: dtypes that a card says.

A network makes them anew when it is opened, in float32. One that was cast as a whole, by
`net.to(torch.bfloat16)`, has them rounded, and its logits are others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from unmask.errors import CheckpointError

DTYPES = {str(each).removeprefix("torch."): each for each in (torch.bfloat16, torch.float16,
                                                             torch.float64)}  # fmt: skip


def buffers_apart(adapter: Any) -> dict[str, str]:
    """Return the dtype of each buffer that is in no file and not of float32."""
    net = _network(adapter)
    stored = net.state_dict().keys()
    found = {name: str(each.dtype).removeprefix("torch.") for name, each in net.named_buffers()}
    return {name: kind for name, kind in found.items() if name not in stored and kind in DTYPES}


def cast_buffers(adapter: Any, kinds: Mapping[str, str], where: object) -> None:
    """Give buffers the dtypes of `buffers_apart`. Raises CheckpointError for those of no network.

    where: the card.
    """
    net = _network(adapter)
    own: dict[str, Tensor] = dict(net.named_buffers())
    for name, kind in kinds.items():
        if name not in own or kind not in DTYPES:
            raise CheckpointError(f"{where} has buffers={{{name!r}: {kind!r}}}: no such buffer")
        own[name].data = own[name].data.to(DTYPES[kind])


def _network(adapter: Any) -> nn.Module:
    net: nn.Module = getattr(adapter, "backbone", adapter.net)
    return net
