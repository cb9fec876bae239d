"""What foreign networks return, and what stands around them.

Shapes: B rows, N positions, V vocabulary, D width.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from torch import Tensor, nn

from unmask.core.inference import likeness
from unmask.errors import LogitsError

_WRAPPERS = {"OptimizedModule": "_orig_mod", "DataParallel": "module"} | {
    "DistributedDataParallel": "module",
}
"""torch's wrappers that run a network in another way, and where they keep it."""


def inside(net: Any) -> Any:
    """Return the network in wrappers such as those of torch.compile, or the network itself."""
    while isinstance(net, nn.Module) and type(net).__name__ in _WRAPPERS:
        net = getattr(net, _WRAPPERS[type(net).__name__])
    return net


def has_base(net: object, library: str, name: str) -> bool:
    """Return whether a class of this name (`*` is any part of it) in a library is the network's.

    The library is not imported.
    """
    kind: Any = type(net)
    return _derives(kind, library, name)


@lru_cache(maxsize=256)
def _derives(kind: type, library: str, name: str) -> bool:
    return any(
        base.__module__.startswith(library) and fnmatchcase(base.__name__, name)
        for base in kind.__mro__
    )


def _parameters(net: Any) -> Mapping[str, inspect.Parameter]:
    net = inside(net)
    try:
        return inspect.signature(net.forward if isinstance(net, nn.Module) else net).parameters
    except (TypeError, ValueError):
        return {}


def arguments(net: Any) -> set[str]:
    """Return the names of a callable's arguments; none where they cannot be told."""
    return set(_parameters(net))


def accepted(net: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the given arguments that a callable takes, by name or as any others."""
    known = _parameters(net)
    anything = any(p.kind is p.VAR_KEYWORD for p in known.values())
    return {name: value for name, value in given.items() if anything or name in known}


def padding_argument(net: Any) -> str | None:
    """Return the name of a callable's argument for padding, (B,N) bool; None if it has none."""
    return next((name for name in ("valid", "attention_mask") if name in arguments(net)), None)


def logits_of(output: Any, tokens: Tensor) -> Tensor:
    """Return the logits (B,N,V) in an output: a tensor, `logits` of it, or the first of a tuple.

    Raises LogitsError where there are none of that shape.
    """
    return _found(output, "logits", tokens)


def states_of(output: Any, tokens: Tensor) -> Tensor:
    """Return the last hidden states (B,N,D) in the output of a trunk."""
    return _found(output, "last_hidden_state", tokens)


def _found(output: Any, name: str, tokens: Tensor) -> Tensor:
    found, several = output, False
    if isinstance(output, Mapping):
        found = output.get(name)
    elif isinstance(output, tuple) and not hasattr(output, name):
        found = output[0] if output else None
        several = len(output) > 1 and _alike(*output[:2])
    elif not isinstance(output, Tensor):
        found = getattr(output, name, None)
    fits = isinstance(found, Tensor) and found.dim() == 3 and found.shape[:2] == tokens.shape
    fits = fits and found.is_floating_point()
    if isinstance(found, Tensor) and fits and not several:
        return found
    shown = f"{len(output)} outputs of one shape" if several else _described(output, found)
    raise LogitsError(
        f"the network returned {shown} for tokens of shape {tuple(tokens.shape)}"
        f"{likeness(found, tokens.shape)}: return logits as one tensor (B, N, vocabulary), or as "
        "`logits` of an output"
    )


def _alike(one: Any, other: Any) -> bool:
    """Return whether both are tensors of one shape, so that none is the logits by its place."""
    return isinstance(one, Tensor) and isinstance(other, Tensor) and one.shape == other.shape


def _described(output: Any, found: Any) -> str:
    if isinstance(found, Tensor):
        kind = "" if found.dim() < 3 or found.is_floating_point() else f" {found.dtype}"
        return f"{tuple(found.shape)}{kind}"
    if isinstance(output, Mapping):
        return f"{type(output).__name__} of {', '.join(map(str, output))}"
    return type(output).__name__
