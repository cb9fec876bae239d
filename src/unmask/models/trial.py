"""The trial of a network when it is wrapped: which way of running it gives what it gives alone.

Some rows run alone, as the network's author would run them, and one of them again, padded, through
the adapter. What changes that row shows: padding that is not invisible, a head that is not all that
follows the trunk, positions derived from ids. Shapes: R rows, N positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor

from unmask.core.inference import evaluating, is_out_of_memory
from unmask.core.network import DenoiserSpec, Query
from unmask.errors import LogitsError, ModelError
from unmask.models.adapter import Adapter

T = TypeVar("T")
TRIED, PADDED = 3, 6  # positions of a row, and when it is padded


def settle(adapter: Adapter, special: int | None = None, avoided: int | None = None) -> None:
    """Leave the adapter in the first of its ways that gives what the network gives alone.

    special: an id that must be in the row, such as that of padding, which some networks look for
    themselves. avoided: one that must not. Rows go by length where positions do not change each
    other, as in networks whose layers begin at zero; where all logits are equal, the network is
    left in its last way. Where it runs only on longer rows, one of the longest is tried.
    Two passes of 6 positions, where the first way is right. Raises ModelError if none is, and
    LogitsError for an output that is no logits.
    """
    row = _row(adapter.spec, special, avoided)
    tokens = torch.tensor([row, [row[1], *row[1:]]], device=adapter.device or torch.device("cpu"))
    references: dict[bool, tuple[Tensor, bool] | Exception] = {}
    with evaluating(adapter), _own_randomness():
        for way in adapter.ways:
            adapter.way = way
            if way.always_masks not in references:
                references[way.always_masks] = _reference(adapter, tokens)
            reference = references[way.always_masks]
            if isinstance(reference, Exception):
                continue
            alone, apart = reference
            if bool((alone == alone[..., :1]).all()):
                adapter.way = adapter.ways[-1]
                return
            query = _padded(tokens[:1], adapter.example(1, PADDED))
            if (way.by_length or not apart) and _is_right(adapter, query, alone):
                return
        again = _reference(adapter, tokens)
        if isinstance(again, Exception):
            _settle_at_full_length(adapter, tokens[:1], again)
            return
    raise _wrong(again[0], alone)


def _reference(adapter: Adapter, tokens: Tensor) -> tuple[Tensor, bool] | Exception:
    """Return the first row's logits (N,V), and whether its last position ignores its first.

    tokens: two rows that differ in their first id. A position that ignores others ignores padding.
    What the network raised is returned. Raises ModelError for another vocabulary.
    """
    both = attempt(lambda: adapter.whole(tokens, adapter.example(2, TRIED)))
    if isinstance(both, Exception):
        return both
    first, other = both
    if first.shape[-1] != adapter.spec.vocab_size:
        raise ModelError(
            f"the network returned logits over {first.shape[-1]} ids; its vocabulary size is "
            f"{adapter.spec.vocab_size}: pass a network whose head has one logit an id"
        )
    return first, same(first[-1], other[-1], times=4)


def _settle_at_full_length(adapter: Adapter, start: Tensor, error: Exception) -> None:
    """The same for a network that raised on short rows; start (1,n) begins the longer one.

    Where that does not run either, the network is refused, or left in its last way if a condition
    may be missing.
    """
    adapter.way = adapter.ways[-1]
    length = adapter.spec.default_length or adapter.spec.max_length
    alone: Tensor | Exception = error
    if length is not None and length > PADDED:
        tokens = start.repeat(1, -(-length // TRIED))[:, :length]
        alone = attempt(lambda: adapter.whole(tokens, adapter.example(1, tokens.shape[1])))
    if isinstance(alone, Exception):
        if isinstance(error, LogitsError):
            raise error
        if adapter.knows_condition:
            raise ModelError(
                f"the network raised {type(error).__name__} on a row of {TRIED} ids: {error}. Pass "
                "one that runs, or try_network=False if it needs a condition"
            ) from error
        return
    query = Query.of(tokens, None, adapter.example(1, tokens.shape[1]))
    for way in (way for way in adapter.ways if way.by_length):
        adapter.way, adapter.full_length = way, length
        if _is_right(adapter, query, alone[0]):
            return
    raise _wrong(adapter.whole(tokens, query.condition), alone)


def attempt(run: Callable[[], T]) -> T | Exception:
    """Return the result, or what the network raised, unless memory ran out."""
    try:
        return run()
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return error


def _wrong(again: Tensor, alone: Tensor) -> ModelError:
    if bool(alone.isnan().any()):
        return ModelError("the network gives NaN on a row of ordinary ids: check its weights")
    if not same(again, alone):
        return ModelError(
            "the network gives other logits when it is run again on the same tokens, so no result "
            "could be reproduced: turn off what is random in it in evaluation mode"
        )
    return ModelError(
        "the network gives other logits through its adapter than by itself: pass a callable tokens "
        "(B,N) -> logits (B,N,V) instead, such as lambda tokens: net(input_ids=tokens).logits"
    )


def _row(spec: DenoiserSpec, special: int | None, avoided: int | None) -> list[int]:
    """Return three ids: an ordinary one, the mask id, and the special or another ordinary one."""
    ids = range(min(spec.vocab_size, 64))
    plain = [i for i in ids if i not in {spec.mask_id, special, avoided}] or [0]
    mask = plain[0] if spec.mask_id is None else spec.mask_id
    return [plain[-1], mask, plain[len(plain) // 2] if special is None else special]


def _padded(tokens: Tensor, condition: Any) -> Query:
    """Return a query of tokens (1,N), padded to PADDED positions by its first id."""
    padded = tokens[:, :1].repeat(1, PADDED)
    padded[:, : tokens.shape[1]] = tokens
    valid = torch.arange(PADDED, device=tokens.device).expand(1, PADDED) < tokens.shape[1]
    return Query.of(padded, valid, condition)


def _is_right(adapter: Adapter, query: Query, alone: Tensor) -> bool:
    """Return whether the one row of a query has the logits alone (N,V)."""
    logits = attempt(lambda: adapter.logits(adapter.forward(query, None)[0][0, : len(alone)]))
    return isinstance(logits, Tensor) and logits.shape == alone.shape and same(logits, alone)


def same(one: Tensor, other: Tensor, times: float = 1.0) -> bool:
    """Return whether two tensors are equal up to `times` the rounding of a network of their dtype.

    Infinite values are equal where they are the same. A few huge values, as of barred ids, do not
    excuse differences of others.
    """
    finite = one.isfinite() & other.isfinite()
    if not torch.equal(one.isfinite(), other.isfinite()) or not bool(finite.any()):
        return torch.equal(one, other)
    tolerance: float = times * torch.finfo(one.dtype).eps ** 0.75
    one, other = one[finite].double(), other[finite].double()
    usual = 4 * one.abs().quantile(0.25)  # about the largest of values that are normal
    usual = usual if usual > 0 else one.abs().max()
    return bool(((one - other).abs() <= tolerance * one.abs().maximum(usual)).all())


def padding_changes(judge: Callable[[Query], Tensor], device: torch.device | None) -> bool:
    """Return whether a critic's rows must go by length, because padding changes them.

    judge: what the critic says of each token (R,N,1). True also where all answers are equal; a
    critic that does not run on three ids alone, because it needs a condition, is believed.
    """
    tokens = torch.tensor([[2, 0, 1], [0, 0, 1]], device=device or torch.device("cpu"))

    def answers() -> Tensor:
        padded = judge(_padded(tokens[:1], None))[:, :TRIED]
        return torch.cat([judge(Query.of(tokens)), padded])

    with _own_randomness():
        found = attempt(answers)
    if isinstance(found, Exception):
        return False
    return bool((found == found[:1, :1]).all()) or not same(found[0], found[2])


@contextmanager
def _own_randomness() -> Iterator[None]:
    """Leave torch's global generator on the CPU as it was, whatever the network draws."""
    state = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(state)
