"""What a preset is held against: a law, from the rule of its paper, and what the library draws."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from tests.laws.world import JOINT, UNKNOWN, UNTOLD, Rule, Turn, finished, laws_of
from tests.reference.network import Network
from tests.reference.oracles import JointOracle

import unmask
from unmask import Strategy

ORACLE, UNTOLD_ORACLE = JointOracle(JOINT), JointOracle(UNTOLD)
ROWS = 20_000
SIMULATED = 20  # times as many rows where a law is simulated
SEED = 0


@dataclass(frozen=True)
class Case:
    """A strategy of the library beside the rule and the plan of its paper.

    exact: the law is the truth, and the rule is not asked. simulated: (rows, generator) -> counts
    of each step, for a law that has no closed form. in_step: whether a step of the plan is one of
    the library, which does not take those that reveal nothing.
    """

    strategy: Strategy
    rule: Rule | None = None
    plan: list[Turn] = field(default_factory=list)
    memory: tuple = ()
    whole: bool = False
    exact: bool = False
    in_step: bool = True
    rows: int = ROWS
    simulated: Callable[..., list[np.ndarray]] | None = None

    @cached_property
    def law(self):
        """(3,3,3,3) float64."""
        return JOINT if self.exact else finished(self.laws[-1])

    @cached_property
    def laws(self):
        """(4,4,4,4) float64 for each step: of the canvas after it."""
        if self.simulated is not None:
            every = self.simulated(SIMULATED * ROWS, np.random.default_rng(1))
            return [counts / counts.sum() for counts in every]
        return list(laws_of(self.rule, self.plan, memory=self.memory, whole=self.whole))

    @cached_property
    def seen(self):
        """(4,4,4,4) for each step of the library: how often it leaves each canvas."""
        return canvases(self.strategy, rows=self.rows)

    @cached_property
    def counts(self):
        """(3,3,3,3) how often the library generates each sequence."""
        return finished(self.seen[-1])


def exact(strategy):
    return Case(strategy, exact=True)


class Told(Network):
    """A denoiser that is told a class, or by -1 that there is none."""

    vocab_size, mask_id = 4, UNKNOWN

    def hidden(self, tokens, *, valid, condition=None):
        tokens = tokens.masked_fill(~valid, UNKNOWN)  # of what is not there, nothing is known
        out = ORACLE(tokens)
        if condition is not None:
            out[condition < 0] = UNTOLD_ORACLE(tokens[condition < 0])
        return out


def canvases(strategy, seed=SEED, rows=ROWS):
    """(4,4,4,4) for each step: counts of the canvases after it."""
    told = None if strategy.guidance is None else torch.zeros(rows, dtype=torch.int64)
    canvas = unmask.Canvas.blank(rows, 4, condition=told)
    seen = []
    for info in unmask.stream(Told(), canvas, strategy, seed=seed):
        known = info.tokens[~info.masked]
        assert not len(known) or int(known.max()) < UNKNOWN, "the mask id was drawn"
        seen.append(counted(info.tokens.masked_fill(info.masked, UNKNOWN)))
    return seen


def generated(strategy, seed=SEED, rows=ROWS):
    """(3,3,3,3) counts of generated rows."""
    return finished(canvases(strategy, seed, rows)[-1])


def counted(tokens):
    """(rows,4) with 3 where unknown -> (4,4,4,4)."""
    place = torch.tensor([64, 16, 4, 1])
    return torch.bincount((tokens * place).sum(1), minlength=256).view(4, 4, 4, 4).numpy()
