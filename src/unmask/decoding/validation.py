"""Parts of a strategy that are none, or contradict each other: what conflicts, and what to change.

A strategy is read here by its fields alone, so this module stands below it.
"""

from __future__ import annotations

from typing import Any

from unmask.commit import ByGroup, Commit
from unmask.constraints import Automaton, Constraint
from unmask.core.checks import is_integer
from unmask.core.part import check_needs
from unmask.errors import StrategyError
from unmask.groups import Groups
from unmask.growth import Growth
from unmask.guidance import ConstantWeight, Guidance, RatioWeight
from unmask.noise import MaskToken, Noise
from unmask.orders import Order, Probability
from unmask.revise import Never, Revise
from unmask.sampling import COLD, Sampling
from unmask.stopping import Stop

Parts = Any
"""The fields of a `decoding.strategy.Strategy`, whose module imports this one."""

_KINDS: dict[str, tuple[Any, str]] = {
    "commit": (Commit, "commit.TopK('cosine', 12)"),
    "order": (Order, "orders.Probability()"),
    "sampling": (Sampling, "Sampling(temperature=0.8, top_p=0.9)"),
    "revise": (Revise, "revise.Never()"),
    "noise": (Noise, "noise.MaskToken()"),
    "constraint": (Constraint, "Constraint(forbidden=[0])"),
    "groups": ((Groups, type(None)), "Groups.blocks(32)"),
    "guidance": ((Guidance, type(None)), "Guidance(weight=3.0)"),
    "growth": ((Growth, type(None)), "growth.EndConfidence()"),
}


def check_kinds(strategy: Parts) -> None:
    """Raise StrategyError for a part that is not of its axis."""
    for axis, (kind, example) in _KINDS.items():
        part = getattr(strategy, axis)
        if not isinstance(part, kind):
            wanted = kind.__name__ if isinstance(kind, type) else kind[0].__name__
            raise StrategyError(f"{axis}={part!r}: pass a {wanted}, such as {example}")
    for rule in strategy.stopping:
        if not isinstance(rule, Stop):
            raise StrategyError(
                f"stopping holds {rule!r}: pass a list of rules, such as "
                "[stopping.EndOfSequence(2), stopping.Budget(64)], or [] for none"
            )
    if not is_integer(strategy.alternatives, 0):
        raise StrategyError(
            f"alternatives={strategy.alternatives!r}: pass how many ids to tell of each position, "
            "an integer of 0 or more"
        )
    if not isinstance(strategy.name, str):
        raise StrategyError(f"name={strategy.name!r}: pass a string")


def check_together(strategy: Parts) -> None:
    """Raise StrategyError for parts that contradict each other."""
    for part in strategy.parts:
        check_needs(part)
    biasing = [_name(part) for part in strategy.parts if part.biases]
    if len(biasing) > 1:
        raise StrategyError(
            f"{' and '.join(biasing)} both change the logits that tokens are drawn from: leave one "
            "of them out"
        )
    if strategy.sampling.bias:
        _check_bias(strategy)
    _check_scores(strategy)
    _check_groups(strategy)
    _check_revision(strategy)
    _check_stopping(strategy)
    if strategy.growth is not None:
        _check_growth(strategy)


def _check_bias(strategy: Parts) -> None:
    """Raise StrategyError for parts that commit the model's likeliest ids, whatever the bias."""
    commit, revise = strategy.commit, strategy.revise
    deaf = [_name(commit)] if commit.likeliest else []
    deaf += [_name(revise)] if revise.edits else []
    deaf += ["Constraint(likeliest=True)"] if strategy.constraint.likeliest else []
    if deaf:
        raise StrategyError(
            f"{deaf[0]} commits the ids that the network itself finds likeliest, which "
            "Sampling(bias=) does not change: leave one of them out"
        )


_SCORES = {
    "probability": ("Probability()", "log-probabilities"),
    "entropy": ("Entropy()", "entropies"),
}


def _check_scores(strategy: Parts) -> None:
    compares = strategy.commit.compares
    if compares is not None and strategy.order.scores != compares:
        wanted, what = _SCORES[compares]
        raise StrategyError(
            f"{_name(strategy.commit)} compares {what} with its bound, and the order "
            f"{_name(strategy.order)} gives none: use order=orders.{wanted}"
        )
    drawn = isinstance(strategy.order, Probability) and strategy.order.of == "sampling"
    temperature = strategy.sampling.temperature
    if compares is not None and drawn and not callable(temperature) and temperature < COLD:
        raise StrategyError(
            f"{_name(strategy.commit)} compares the probability of the draw with its bound, and a "
            "greedy draw has probability 1: use order=orders.Probability(choose='after', "
            "of='kept'), or a temperature above 0"
        )


def _check_groups(strategy: Parts) -> None:
    groups, commit = strategy.groups, strategy.commit
    if groups is None and isinstance(commit.count_plan, ByGroup):
        raise StrategyError(
            "commit.ByGroup has a plan for each group, and there are none: pass groups=, such as "
            "Groups.levels(4), or one plan"
        )
    if groups is not None and groups.side_by_side and not commit.side_by_side:
        raise StrategyError(
            f"groups side by side have a plan each, which {_name(commit)} does not follow: use "
            "commit=commit.TopK(...), or groups in a row"
        )
    commit.check_groups(groups)


def _check_revision(strategy: Parts) -> None:
    amends = strategy.revise.amends
    if strategy.commit.takes_all_steps and (not strategy.revise.remasks or amends):
        raise StrategyError(
            f"{_name(strategy.commit)} takes all its steps because known positions become unknown "
            f"again, which revise={_name(strategy.revise)}() rules out or decides by itself: use "
            "revise=Remask()"
        )
    if strategy.commit.adaptive and strategy.revise.remasks:
        raise StrategyError(
            f"without a plan, revise={_name(strategy.revise)}() may take back all that a step "
            "commits: use a plan, or revise=Edit() or Verify()"
        )
    if strategy.constraint.feasible is not None and strategy.commit.likeliest:
        raise StrategyError(
            f"a feasibility hook draws tokens anew, and {_name(strategy.commit)} commits the "
            "likeliest: leave feasible= out"
        )
    if strategy.constraint.likeliest and any(part.biases for part in strategy.parts):
        raise StrategyError(
            "likeliest=True goes by the network's own probabilities, and "
            f"{_name(strategy.biasing)} changes them: leave one of them out"
        )
    if strategy.constraint.feasible is not None and strategy.revise.edits:
        raise StrategyError(
            f"a feasibility hook checks tokens as they are committed, and "
            f"{_name(strategy.revise)} changes them later: use revise=Never(), Remask(), "
            "Verify() or Doubt()"
        )


def _check_stopping(strategy: Parts) -> None:
    early = strategy.ends_early or strategy.groups is not None
    if strategy.commit.takes_all_steps and early:
        raise StrategyError(
            f"{_name(strategy.commit)} takes all its steps over the whole row: leave out groups=, "
            "and all but Budget of stopping="
        )
    ends = [rule.end_id for rule in strategy.stopping if rule.end_id is not None]
    if len(ends) > 1:
        raise StrategyError(f"stopping ends rows by the ids {ends}: pass one EndOfSequence")
    if strategy.end_id is None:
        return
    _check_filling(strategy)
    for end in (strategy.end_id, *strategy.end.also):
        if end in strategy.constraint.forbidden:
            raise StrategyError(
                f"EndOfSequence({end}): the id is forbidden, so it is never drawn: pass an id that "
                "may be drawn"
            )


def _check_filling(strategy: Parts) -> None:
    """Raise StrategyError where rows are filled behind their end and a hook may not allow that."""
    hook, end = strategy.constraint.feasible, strategy.end
    if hook is None:
        return
    fill = end.end_id if end.fill is None else end.fill
    if isinstance(hook, Automaton):
        if all(hook.closes(each, fill) for each in (end.end_id, *end.also)):
            return
        raise StrategyError(
            f"EndOfSequence({end.end_id}) fills rows with {fill} behind their end, which the "
            "automaton does not allow in every state: leave one of them out, or let the end lead "
            f"to an accepted state that keeps {fill}"
        )
    raise StrategyError(
        f"EndOfSequence({end.end_id}) fills rows behind their end, which feasible= may "
        "not allow: leave one of them out"
    )


def _check_growth(strategy: Parts) -> None:
    commit, groups, sampling = strategy.commit, strategy.groups, strategy.sampling
    weight = None if strategy.guidance is None else strategy.guidance.weight
    filling = [_name(rule) for rule in strategy.stopping if rule.fills_groups]
    wrong = [
        (not commit.grows, f"{_name(commit)} counts on positions or steps", "commit=Threshold()"),
        (
            groups is not None and (groups.kind != "blocks" or groups.side_by_side),
            "the groups are no blocks one after the other",
            "groups=Groups.blocks(32)",
        ),
        (
            not isinstance(strategy.revise, Never),
            f"{_name(strategy.revise)} revises",
            "revise=Never()",
        ),
        (
            not isinstance(strategy.noise, MaskToken),
            f"{_name(strategy.noise)} shows other tokens",
            "noise=MaskToken()",
        ),
        (
            bool(strategy.alternatives),
            "alternatives= are of positions before they move",
            "alternatives=0",
        ),
        (bool(filling), f"{filling} fill groups by their steps", "EndOfSequence or Budget alone"),
        (
            callable(sampling.temperature),
            "the temperature follows the progress",
            "a number as temperature",
        ),
        (
            not isinstance(weight, ConstantWeight | RatioWeight | None),
            "the weight of guidance follows the progress",
            "Guidance(a number)",
        ),
        (
            strategy.constraint.feasible is not None,
            "feasible= checks fixed positions",
            "no feasible=",
        ),
    ]
    for found, what, instead in wrong:
        if found:
            raise StrategyError(
                f"{_name(strategy.growth)} changes the number of positions while a row is "
                f"generated, and {what}: use {instead}, or leave growth= out"
            )


def _name(part: object) -> str:
    return type(part).__name__
