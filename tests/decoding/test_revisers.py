"""Revisers of one's own, which may name other positions than those of the package."""

from dataclasses import dataclass

import pytest
import torch
from tests.conformance.toys import MASK, Toy

import unmask
from unmask import Canvas, Groups, orders, presets, revise


@dataclass(frozen=True)
class Recent(revise.Remask):
    """Of the committed positions, only those of the step before compete again."""

    def eligible(self, state):
        return state.masked | (state.editable & (state.commit_step == state.step[:, None] - 1))


@dataclass(frozen=True)
class NoOthers(revise.Revise):
    """Unknown positions compete, as without a reviser that re-masks."""

    remasks = True


@dataclass(frozen=True)
class Settled(revise.Edit):
    """Only tokens that stood for two steps may be edited."""

    def watches(self, state):
        return super().watches(state) & (state.commit_step < state.step[:, None] - 1)


@dataclass(frozen=True)
class Evens(revise.Revise):
    """Positions of odd place wait until the last step."""

    def eligible(self, state):
        return state.masked & (torch.arange(state.tokens.shape[1]) % 2 == 0)


@dataclass(frozen=True)
class Everything(revise.Revise):
    """Names prompts and padding, too, and says that it takes nothing back."""

    def eligible(self, state):
        return torch.ones_like(state.masked)


OWN = [Recent(), NoOthers(), Settled(0.1), Settled(0.1, passes=2), Evens(), Everything()]


@pytest.mark.parametrize("groups", [None, Groups.blocks(4)], ids=["whole", "blocks"])
@pytest.mark.parametrize(
    "order",
    [orders.Probability("after"), orders.Random(), orders.Stored(), orders.Margin()],
    ids=repr,
)
@pytest.mark.parametrize("reviser", OWN, ids=repr)
def test_a_reviser_of_ones_own_is_counted_where_the_tokens_are(reviser, order, groups):
    flags = torch.ones(3, 8, dtype=torch.bool)
    flags[:, 1] = False
    canvas = Canvas.infill(torch.zeros(3, 8, dtype=torch.int64), flags)
    strategy = presets.confidence(5).but(revise=reviser, order=order, groups=groups)
    state = unmask.init(Toy(), canvas, strategy, [1, 2, 3])
    for _ in range(100):
        if unmask.done(state):
            break
        state = unmask.step(state, Toy(), strategy).state
        assert (state.rows.unknown == state.masked.sum(1).numpy()).all()
    found = unmask.finish(state)
    assert not (found.tokens == MASK).any()
    assert (found.tokens[:, 1] == 0).all()
