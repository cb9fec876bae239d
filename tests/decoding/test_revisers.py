"""Revisers of one's own, which may name other positions than those of the package."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch
from tests.conformance.toys import MASK, Toy

import unmask
from unmask import Canvas, Groups, orders, presets, revise, stopping
from unmask.core.state import NEVER, Change
from unmask.decoding.propose import nothing_proposed


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


@dataclass(frozen=True)
class Both(revise.Remask):
    """Re-masks by rank, and has the last word on the change."""

    amends = True


@pytest.mark.parametrize("groups", [None, Groups.blocks(4)], ids=["whole", "blocks"])
def test_a_reviser_that_remasks_and_amends_may_leave_the_change_as_it_is(groups):
    canvas = Canvas.ragged([[0] * 9, [0] * 5, [0] * 7])
    made = presets.annealed(4, keep=None).but(groups=groups, revise=revise.Remask())
    plain = unmask.run(Toy(), canvas, made, seeds=[1, 2, 3])
    both = unmask.run(Toy(), canvas, made.but(revise=Both()), seeds=[1, 2, 3])
    assert both.tokens.tolist() == plain.tokens.tolist()
    assert both.commit_step.tolist() == plain.commit_step.tolist()


@dataclass(frozen=True)
class Lingering(revise.Edit):
    """A full group stays for further passes, and nothing is edited there."""

    def amend(self, change, state, proposal, leave_one_out):
        return change


def test_a_group_at_rest_without_an_edit_goes_on():
    made = presets.confidence(2).but(revise=Lingering(passes=3))
    result = unmask.run(Toy(), Canvas.blank(2, 4), made, seeds=[1, 2])
    assert result.steps.tolist() == [3, 3]  # one pass over what is full, which changes nothing


def test_what_is_filled_behind_an_end_is_not_edited():
    strategy = presets.llada21().but(groups=None, revise=revise.Edit(0.01, passes=16))
    strategy, found = strategy.but(stopping=[stopping.EndOfSequence(3)]), 0
    for seed in range(20):
        trace = list(unmask.stream(Toy(), Canvas.blank(1, 9), strategy, seeds=[seed]))
        for before, info in pairwise(trace):
            behind = before.state.editable & ~before.state.masked
            behind &= before.state.commit_step == NEVER
            found += int(behind.sum())
            assert not bool((info.change.edit & behind).any())
    assert found > 20


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.9])
def test_a_bound_is_not_decided_by_rounding(threshold):
    """Log-probabilities that differ by rounding alone are edited, and verified, alike."""
    state = unmask.step(
        unmask.init(Toy(), Canvas.blank(1, 3), presets.random_order(3), [1]),
        Toy(),
        presets.random_order(3),
    ).state
    whole = replace(state, commit_step=torch.zeros_like(state.commit_step))
    whole = replace(whole, masked=torch.zeros_like(state.masked))
    near = torch.tensor([[math.log(threshold)]]) * (1 + torch.tensor([[-1e-6, 0.0, 1e-6]]))
    nothing = replace(nothing_proposed(whole), queried=torch.ones_like(whole.masked))
    proposal = replace(nothing, top_token=whole.tokens + 1, top_logprob=near.float())
    edited = revise.Edit(threshold).amend(Change(whole.masked), whole, proposal, None).edit
    assert not edited.any()
    surer = replace(proposal, top_logprob=near * 0.9)
    assert revise.Edit(threshold).amend(Change(whole.masked), whole, surer, None).edit.all()
    commits = Change(torch.ones_like(whole.masked))
    change = revise.Verify(threshold).amend(commits, whole, proposal, lambda asked: near.float())
    assert not change.remask.any()
