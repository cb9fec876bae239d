"""Running networks for their answers: no gradients, no dropout, nothing left changed behind."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from unmask.errors import LogitsError

# Of the CPU's allocator on Linux and Windows, of MPS, and of CUDA where no class says so.
_NO_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


@contextmanager
def evaluating(*networks: object) -> Iterator[None]:
    """No gradients, and evaluation mode for those of the networks that are modules.

    Every submodule gets back the mode it had, frozen parts included.
    """
    training = _training(network for network in networks if isinstance(network, nn.Module))
    for module in training:
        module.training = False
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


def _training(roots: Iterable[nn.Module]) -> list[nn.Module]:
    """Return the modules in training; a shared one may come twice.

    `nn.Module.modules` also makes the names of all modules, at every step.
    """
    found, every = [], list[nn.Module | None](roots)
    for module in every:  # grows meanwhile
        if module is not None:
            every += module._modules.values()
            if module.training:
                found.append(module)
    return found


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether this error, or what caused it, is that memory ran out, on whatever device."""
    while error is not None:
        if isinstance(error, MemoryError | torch.OutOfMemoryError):
            return True
        if isinstance(error, RuntimeError) and any(text in str(error) for text in _NO_MEMORY):
            return True
        error = error.__cause__
    return False


def release_memory(device: torch.device | None) -> None:
    """Give back what a failed step held, so that the next one finds it."""
    gc.collect()
    if device is not None and device.type == "cuda":
        torch.cuda.empty_cache()


def likeness(output: object, tokens: torch.Size) -> str:
    """Return what an output looks like that is not one row of numbers a token; tokens (B,N)."""
    if not isinstance(output, Tensor):
        return ""
    rows, length = tokens
    shape = tuple(output.shape)
    if shape[:2] == (rows, length + 1):
        return ", as with a class token: leave the first position out"
    if len(shape) == 3 and (shape[0], shape[2]) == (rows, length):
        return ", as with positions last: transpose the last two dimensions"
    if len(shape) == 2 and shape[0] == rows:
        return ", as of one answer for a row: do not pool over positions"
    if len(shape) == 2 and shape[0] == rows * length:
        return ", as of rows laid end to end: give them back their batch"
    return ""


def logit_per_token(wrong: Tensor, tokens: Tensor) -> Tensor:
    """Return a critic's logits for tokens (B,N) as (B,N). LogitsError for another shape."""
    if wrong.shape == (*tokens.shape, 1):
        wrong = wrong.squeeze(-1)
    if wrong.shape != tokens.shape:
        raise LogitsError(
            f"the critic returned shape {tuple(wrong.shape)} for tokens of shape "
            f"{tuple(tokens.shape)}{likeness(wrong, tokens.shape)}: return one logit per token, "
            "(B,N) or (B,N,1)"
        )
    return wrong
