"""Rows that end at an id before their plan does. Shapes: B rows, N positions."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from unmask.core.state import NEVER, State
from unmask.stopping import Stop


def ends(state: State, rule: Stop) -> Tensor:
    """(B,N) bool: generated ends with nothing unknown before them."""
    contiguous = state.masked.long().cumsum(1) == 0
    is_end: Tensor = state.tokens == rule.end_id  # type: ignore[assignment]
    for other in rule.also:
        is_end = is_end | (state.tokens == other)
    return contiguous & state.editable & is_end


def fill_after_end(state: State, rule: Stop) -> State:
    """Rows in which an end stands with nothing unknown before it: what follows is filled."""
    assert rule.end_id is not None
    filling = rule.end_id if rule.fill is None else rule.fill
    end = ends(state, rule)
    after = (end.long().cumsum(1) - end.long() > 0) & state.editable
    return replace(
        state,
        tokens=state.tokens.masked_fill(after, filling),
        masked=state.masked & ~after,
        logprob=state.logprob.masked_fill(after, 0.0),
        sampling_logprob=state.sampling_logprob.masked_fill(after, 0.0),
        commit_step=state.commit_step.masked_fill(after, NEVER),
    )
