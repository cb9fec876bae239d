"""What a preset is held against: a law, from the rule of its paper, and what the library draws."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from tests.laws.world import JOINT, UNKNOWN, UNTOLD, Rule, Turn, law_of
from tests.reference.oracles import JointOracle

import unmask
from unmask import Strategy

ORACLE, UNTOLD_ORACLE = JointOracle(JOINT), JointOracle(UNTOLD)
ROWS = 20_000
SEED = 0


@dataclass(frozen=True)
class Case:
    """A strategy of the library beside the rule and the plan of its paper.

    exact: the law is the truth, and the rule is not asked. simulated: (rows, generator) -> counts,
    for a law that has no closed form.
    """

    strategy: Strategy
    rule: Rule | None = None
    plan: list[Turn] = field(default_factory=list)
    memory: tuple = ()
    whole: bool = False
    exact: bool = False
    simulated: Callable[..., np.ndarray] | None = None

    @cached_property
    def law(self):
        """(3,3,3,3) float64."""
        if self.exact:
            return JOINT
        if self.simulated is not None:
            counts = self.simulated(20 * ROWS, np.random.default_rng(1))
            return counts / counts.sum()
        return law_of(self.rule, self.plan, memory=self.memory, whole=self.whole)

    @cached_property
    def counts(self):
        """(3,3,3,3) how often the library generates each sequence."""
        return generated(self.strategy)


def exact(strategy):
    return Case(strategy, exact=True)


class Told:
    """A denoiser that is told a class, or by -1 that there is none."""

    vocab_size, mask_id = 4, UNKNOWN

    def hidden(self, tokens, *, valid, memory, condition=None):
        out = ORACLE(tokens)
        if condition is not None:
            out[condition < 0] = UNTOLD_ORACLE(tokens[condition < 0])
        return out, memory

    def logits(self, hidden):
        return hidden


def generated(strategy, seed=SEED, rows=ROWS):
    """(3,3,3,3) counts of generated rows."""
    told = None if strategy.guidance is None else torch.zeros(rows, dtype=torch.int64)
    canvas = unmask.Canvas.blank(rows, 4, condition=told)
    tokens = unmask.generate(Told(), canvas, strategy, seed=seed)
    assert int(tokens.max()) < UNKNOWN, "the mask id was drawn"
    return counted(tokens)


def counted(tokens):
    """(rows,4) -> (3,3,3,3)."""
    place = torch.tensor([27, 9, 3, 1])
    return torch.bincount((tokens * place).sum(1), minlength=81).view(3, 3, 3, 3).numpy()
