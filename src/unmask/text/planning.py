"""The strategy of a call: what it never draws, and where its rows end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from unmask.decoding import Strategy
from unmask.errors import StrategyError
from unmask.presets.by_name import ending


def planned(
    chosen: Strategy, never: Sequence[int], end_ids: Sequence[int], *, closed: bool
) -> Strategy:
    """Return a strategy for texts. never: ids that are no text. end_ids: those that end one.

    closed: whether the number of tokens is given, so that rows neither end nor grow. Raises
    StrategyError for a strategy whose rows grow, if so.
    """
    if closed and chosen.growth is not None:
        raise StrategyError(
            f"{type(chosen.growth).__name__} makes rows longer at their end, and here the number "
            "of tokens is given: pass another preset, or leave growth= out, as in "
            "strategy.but(growth=None)"
        )
    grows = None if chosen.growth is None else chosen.growth.end_id
    ends = set() if closed else {*end_ids, chosen.end_id, grows}
    forbidden = {*chosen.constraint.forbidden, *never, *end_ids} - {*ends}
    constraint = replace(chosen.constraint, forbidden=tuple(forbidden))
    if not closed:
        return ending(chosen.but(constraint=constraint), next(iter(end_ids), None), end_ids[1:])
    stopping = tuple(each for each in chosen.stopping if each.end_id is None)
    return chosen.but(constraint=constraint, stopping=stopping)
