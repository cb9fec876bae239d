"""Parts of a strategy that contradict each other: what conflicts, and which part to change."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from unmask.errors import StrategyError
from unmask.ordering import needs_of
from unmask.pace import ByGroup, kind_of
from unmask.revision import Amends, Remask
from unmask.selection import Best, Spans

if TYPE_CHECKING:
    from unmask.decoding.strategy import Strategy

_SCORES = {
    "probability": ("Probability()", "log-probabilities"),
    "entropy": ("Entropy()", "entropies"),
}
_PACES = {
    "planned": "a plan, such as pace.Scheduled(schedules.cosine, 12)",
    "adaptive": "pace.Adaptive()",
    "whole": "pace.WholeLength(steps)",
}


def check_together(strategy: Strategy) -> None:
    """Raise StrategyError for parts that contradict each other."""
    for part in (strategy.order, strategy.select, strategy.revise, strategy.stop):
        needs_of(part)
    for check in _CHECKS:
        check(strategy)


def _scores(strategy: Strategy) -> None:
    reads = getattr(strategy.select, "reads", None)
    if reads is not None and getattr(strategy.order, "scores", None) != reads:
        wanted, what = _SCORES[reads]
        raise StrategyError(
            f"{_name(strategy.select)} compares {what} with its bound, and the order "
            f"{_name(strategy.order)} gives none: use order=ordering.{wanted}"
        )


def _paces(strategy: Strategy) -> None:
    wanted = getattr(strategy.select, "pace", None)
    kind = kind_of(strategy.pace)
    if wanted is not None and wanted != kind:
        raise StrategyError(
            f"{_name(strategy.select)} does not go with {_name(strategy.pace)}: it needs "
            f"pace={_PACES[wanted]}"
        )
    if isinstance(strategy.pace, ByGroup) and strategy.groups is None:
        raise StrategyError(
            "pace.ByGroup has a pace for each group, and there are none: pass groups=, such as "
            "Groups.levels(4), or one pace"
        )


def _groups(strategy: Strategy) -> None:
    groups, select = strategy.groups, strategy.select
    if groups is not None and groups.parallel and not isinstance(select, Best):
        raise StrategyError(
            f"groups side by side have a plan each, which {_name(select)} does not follow: use "
            "select=selection.Best(), or groups in a row"
        )
    if isinstance(select, Spans) and select.overlapping and select.levels > 1 and groups is None:
        raise StrategyError(
            "overlapping spans of several levels need groups=Groups.levels(levels): their plan is "
            "of one level at a time"
        )


def _revision(strategy: Strategy) -> None:
    adaptive = kind_of(strategy.pace) == "adaptive"
    if adaptive and isinstance(strategy.revise, Remask):
        raise StrategyError(
            "without a plan, revise=Remask() may take back all that a step commits: use a plan, or "
            "revise=Edit() or Verify()"
        )
    if strategy.constraint.feasible is not None and isinstance(strategy.revise, Amends):
        raise StrategyError(
            f"a feasibility hook checks tokens as they are committed, and "
            f"{_name(strategy.revise)} changes them later: use revise=Never() or Remask()"
        )


def _ends(strategy: Strategy) -> None:
    whole = kind_of(strategy.pace) == "whole"
    if whole and (strategy.ends or strategy.groups is not None):
        raise StrategyError(
            f"{_name(strategy.pace)} takes all its steps over the whole row: leave out groups=, "
            "stop= and end_id="
        )
    if strategy.end_id is None:
        return
    constraint = strategy.constraint
    parts = {name: getattr(constraint, name) for name in ("legal", "required", "feasible")}
    bound = [name for name, part in parts.items() if part is not None]
    if bound:
        raise StrategyError(
            f"end_id={strategy.end_id} fills rows behind their end, which {bound[0]}= may not "
            "allow: leave one of them out"
        )
    if isinstance(strategy.end_id, bool) or strategy.end_id in constraint.forbidden:
        raise StrategyError(f"end_id={strategy.end_id}: pass an id that may be drawn")


_CHECKS: tuple[Callable[[Strategy], None], ...] = (_scores, _paces, _groups, _revision, _ends)


def _name(part: object) -> str:
    return type(part).__name__
