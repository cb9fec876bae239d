"""A strategy binds one member of each axis; a published method is such a binding (`presets`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

from unmask.commit import Commit
from unmask.constraints import Constraint
from unmask.core.part import Part
from unmask.core.rows import UNLIMITED
from unmask.decoding.serialize import decode, encode
from unmask.decoding.validation import check_kinds, check_together
from unmask.errors import StrategyError, nearest
from unmask.groups import Groups
from unmask.growth import Growth
from unmask.guidance import Guidance
from unmask.noise import MaskToken, Noise
from unmask.orders import Order, as_order
from unmask.revise import Never, Revise
from unmask.sampling import Sampling
from unmask.stopping import Stop


@dataclass(frozen=True)
class Strategy:
    """How positions are drawn, ranked, committed and revised. Each field up to growth is one axis.

    A strategy is data: equal to itself made anew, hashable, and can be pickled. Change a part with
    `but`. Raises StrategyError for parts that contradict each other.

    alternatives: as many of the likeliest ids are told of each queried position
    (`Proposal.alternatives`); the tokens are the same with any number.
    """

    commit: Commit
    order: Order
    sampling: Sampling = Sampling()
    revise: Revise = Never()
    noise: Noise = MaskToken()
    groups: Groups | None = None
    guidance: Guidance | None = None
    constraint: Constraint = Constraint()
    stopping: tuple[Stop, ...] = ()
    growth: Growth | None = None
    alternatives: int = 0
    name: str = field(default="custom", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", as_order(self.order))
        rules = self.stopping if isinstance(self.stopping, Iterable) else (self.stopping,)
        object.__setattr__(self, "stopping", tuple(rules))
        check_kinds(self)
        check_together(self)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The parts that read proposals and may keep a history."""
        grows = () if self.growth is None else (self.growth,)
        return (self.order, self.commit, self.revise, self.noise, *self.stopping, *grows)

    @cached_property
    def carriers(self) -> dict[str, Part]:
        """The parts that keep a history, by its name."""
        return {part.carry: part for part in self.parts if part.carry is not None}

    @cached_property
    def needs(self) -> frozenset[str]:
        """The optional statistics of `Proposal` that some part reads."""
        return frozenset().union(*(frozenset(part.needs) for part in self.parts))

    @cached_property
    def biasing(self) -> Part | None:
        """The part that changes the logits which tokens are drawn from."""
        return next((part for part in self.parts if part.biases), None)

    @cached_property
    def blind(self) -> bool:
        """Whether positions are chosen before the network is asked, and it is asked there alone."""
        reads = (
            self.commit.needs
            or self.revise.amends
            or self.noise.keeps_sample  # of every unknown position
            or self.noise.needs
            or any(rule.fills_groups for rule in self.stopping)
            or self.growth is not None
        )
        return self.order.blind and not reads

    @cached_property
    def ends_early(self) -> bool:
        """Whether some stopping rule may end a row before its plan and its budget do."""
        return self.end_id is not None or any(rule.fills_groups for rule in self.stopping)

    @cached_property
    def exact_counts(self) -> bool:
        """Whether the plan alone decides how many positions each step commits and queries."""
        coins = self.blind and self.revise.remasks
        planned = self.commit.exact_counts and self.revise.exact_counts and self.revise.counted
        return planned and not (self.ends_early or coins)

    @cached_property
    def budget(self) -> int:
        """Network passes a row may spend."""
        return min((r.forwards for r in self.stopping if r.forwards is not None), default=UNLIMITED)

    @cached_property
    def end(self) -> Stop | None:
        """The rule by which an id ends a sequence, None where there is none."""
        return next((rule for rule in self.stopping if rule.end_id is not None), None)

    @property
    def end_id(self) -> int | None:
        """The id that ends a sequence, None where there is none."""
        return None if self.end is None else self.end.end_id

    @cached_property
    def readings(self) -> int:
        """Rows of the network for each row of the canvas."""
        return 1 if self.guidance is None else 2

    @cached_property
    def basis(self) -> dict[str, object]:
        """What `init` works into a state, by name: it is equal where a state may change hands."""
        commit = self.commit
        units = None if type(commit).count is Commit.count else commit
        return {
            "plan": commit.count_plan if units is None else units,
            "groups": self.groups,
            "budget": self.budget,
            "end_id": self.end_id,
            "end": self.end,
            "exact_counts": self.exact_counts,
            "readings": self.readings,
            "histories": sorted(self.carriers),
            "keeps_sample": self.noise.keeps_sample,
            "growth": self.growth,
        }

    def __repr__(self) -> str:
        """The parts that differ from the defaults."""
        made = [f for f in fields(self) if getattr(self, f.name) != f.default]
        return f"Strategy({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in made)})"

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone, without what was worked out of them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def but(self, **parts: Any) -> Strategy:
        """The same strategy with parts replaced, as in `but(sampling=Sampling(top_p=.9))`."""
        _check_names(parts)
        return replace(self, **parts)

    def to_dict(self) -> dict[str, Any]:
        """The strategy as plain JSON. StrategyError names a part that is the user's own."""
        return {field.name: encode(getattr(self, field.name), field.name) for field in fields(self)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Strategy:
        """Return the strategy that `to_dict` wrote. StrategyError for anything else."""
        if not isinstance(data, Mapping):
            raise StrategyError(f"{data!r} is not a dict: pass what Strategy.to_dict() returns")
        _check_names(data)
        missing = [name for name in ("commit", "order") if name not in data]
        if missing:
            raise StrategyError(f"{missing[0]!r} is missing: pass what Strategy.to_dict() returns")
        return cls(**{name: decode(value, name) for name, value in data.items()})


def _check_names(parts: Iterable[str]) -> None:
    """Raise StrategyError for a name that no part of a strategy has."""
    known = [field.name for field in fields(Strategy)]
    for name in parts:
        if name not in known:
            raise StrategyError(f"a strategy has no part {name!r}: {nearest(name, known)}")
