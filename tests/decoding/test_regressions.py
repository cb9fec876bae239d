"""Combinations of axes that a review found to go wrong, each as it should be."""

import pytest
import torch
from tests.conformance.toys import FORBIDDEN, MASK, VOCAB, Toy

import unmask
from unmask import (
    Canvas,
    Constraint,
    Groups,
    PreviousSample,
    StableAndConfident,
    Strategy,
    commit,
    orders,
    presets,
    revise,
    schedules,
)
from unmask.errors import StrategyError
from unmask.commit import AllSteps, ByGroup, Even, NoPlan, Scheduled
from unmask.scoring import Ordered


class MaskIsZero(Toy):
    """The same with id 0 as the mask, so that a token never looked at would come out as one."""

    mask_id, forbidden = 0, (FORBIDDEN, MASK)


@pytest.mark.parametrize("order", [orders.Random(), orders.LeftToRight()])
def test_edits_under_a_blind_order_are_made_where_the_head_was_asked(order):
    strategy = presets.random_order(4).but(order=order, revise=revise.Edit(0.5))
    edits = 0
    for info in unmask.stream(MaskIsZero(), Canvas.blank(4, 8), strategy, seeds=range(4)):
        assert not (info.tokens == 0)[~info.masked].any()
        assert (info.proposal.looked | ~info.edited).all()
        edits += int(info.edited.sum())
    assert edits


def test_the_last_draw_does_not_show_what_the_canvas_holds_where_it_is_to_be_written():
    for strategy in (presets.llada(2, 4), presets.random_order(4)):
        rows = []
        for garbage in (0, 3, -7):
            tokens = torch.full((2, 8), garbage)
            canvas = Canvas.infill(tokens, torch.ones(2, 8, dtype=torch.bool))
            network = unmask.wrap(
                lambda t: Toy().hidden(t, valid=torch.ones_like(t, dtype=torch.bool), memory=None)[
                    0
                ],
                mask_id=MASK,
                vocab_size=VOCAB,
            )
            rows.append(unmask.generate(network, canvas, strategy.but(noise=PreviousSample()), seed=1))
        assert torch.equal(rows[0], rows[1])
        assert torch.equal(rows[0], rows[2])


def test_a_position_that_is_verified_does_not_see_itself():
    """Canvases of verification passes hold the mask id at one committed position."""
    shown = []

    class Spy(Toy):
        def hidden(self, tokens, *, valid, memory):
            shown.append(tokens.clone())
            return super().hidden(tokens, valid=valid, memory=memory)

    strategy = presets.wino(fill=0.5, block=None).but(noise=PreviousSample())
    before, checked = torch.zeros(1, 12, dtype=torch.bool), 0
    state = unmask.init(Spy(), Canvas.blank(1, 12), strategy, torch.tensor([1]))
    while not unmask.done(state):
        before = ~state.masked[0]
        state = unmask.step(state, Spy(), strategy)
        for rows in shown[1:]:
            for tokens in rows:
                assert int((tokens == MASK)[before].sum()) == 1
                checked += 1
        shown.clear()
    assert checked


def test_the_likelihood_of_an_order_does_not_show_the_truth():
    with pytest.raises(StrategyError, match=r"shows the network what it drew.*MaskId"):
        Ordered(presets.confidence(3).but(noise=PreviousSample()))


def test_seeds_of_stages_are_those_of_all_bits():
    canvas = Canvas.blank(2, 4)
    strategies = [presets.random_order(2)]
    far = unmask.run_stages(Toy(), canvas, Groups.blocks(2), strategies, seeds=[1, 1 + 2**32])
    near = unmask.run_stages(Toy(), canvas, Groups.blocks(2), strategies, seeds=[1, 2])
    assert torch.equal(far.tokens[0], near.tokens[0])
    assert not torch.equal(far.sampling_logprob[0], far.sampling_logprob[1])


@pytest.mark.parametrize("name", ["llada", "threshold", "soundstorm", "wino", "random_order"])
def test_a_batch_of_no_rows(name):
    nothing = torch.zeros(0, 6)
    canvas = Canvas.infill(nothing.long(), nothing > 0)
    assert unmask.generate(Toy(), canvas, getattr(presets, name)(), seeds=[]).shape == (0, 6)


def plan(steps=4):
    return Scheduled(schedules.linear, steps)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: presets.threshold().but(select=commit.Best()), r"Best does not go.*a plan"),
        (
            lambda: presets.llada().but(select=commit.Threshold()),
            r"Threshold.*pace.Adaptive\(\)",
        ),
        (lambda: presets.remdm(4).but(pace=plan()), r"Remasking.*pace.WholeLength"),
        (
            lambda: presets.top_margin().but(pace=AllSteps(4)),
            r"Best does not go with WholeLength",
        ),
        (lambda: presets.remdm(4).but(groups=Groups.blocks(4)), r"over the whole row: leave out"),
        (lambda: presets.remdm(4).but(end_id=3), r"over the whole row: leave out"),
        (lambda: presets.remdm(4).but(stop=StableAndConfident()), r"over the whole row"),
        (lambda: presets.threshold().but(revise=revise.Remask()), r"may take back all"),
        (
            lambda: presets.threshold().but(groups=Groups.blocks(4, side_by_side=True)),
            r"side by side have a plan each, which Threshold does not follow",
        ),
        (
            lambda: Strategy(plan(), orders.Random(), select=commit.Spans(2, 2, True)),
            r"overlapping spans of several levels need groups",
        ),
        (lambda: presets.soundstorm().but(groups=None), r"ByGroup.*there are none"),
        (lambda: presets.dream(algorithm="origin", choice_temperature=0.5), r"ranks nothing"),
        (lambda: presets.dplm(tracks=0), r"count=0"),
        (lambda: presets.esm3(tracks=-1), r"count=-1"),
        (lambda: presets.maskgit().but(stop=StableAndConfident), r"stop=.*pass an instance"),
        (lambda: presets.maskgit().but(budget=True), r"budget=True"),
        (
            lambda: presets.maskgit().but(
                end_id=1, constraint=Constraint(required=torch.tensor([3, -1]))
            ),
            r"end_id=1 fills rows behind their end, which required= may not",
        ),
        (
            lambda: presets.maskgit().but(end_id=1, constraint=Constraint(forbidden=[1])),
            r"end_id=1: pass an id that may be drawn",
        ),
    ],
)
def test_parts_that_would_be_ignored_or_go_wrong_are_refused(make, words):
    with pytest.raises(StrategyError, match=words):
        make()


@pytest.mark.parametrize("end", [999, -1, MASK, FORBIDDEN])
def test_an_end_that_is_never_drawn_is_refused(end):
    with pytest.raises(StrategyError, match=rf"end_id={end} is never drawn"):
        unmask.generate(Toy(), Canvas.blank(1, 4), presets.maskgit().but(end_id=end), seed=0)


def test_a_budget_below_the_cost_of_a_step_is_refused():
    class Guidable(Toy):
        def hidden(self, tokens, *, valid, memory, condition=None):
            return super().hidden(tokens, valid=valid, memory=None)[0], None

    canvas = Canvas.blank(2, 4, condition=torch.tensor([0, 1]))
    with pytest.raises(StrategyError, match=r"budget=1: a step of this strategy takes 2"):
        unmask.generate(Guidable(), canvas, presets.muse(guidance=3.0).but(budget=1), seed=0)


@pytest.mark.parametrize(
    ("groups", "strategies"),
    [
        (Groups.levels(2, side_by_side=True), [presets.maskgit(2)]),
        (Groups.levels(2), [presets.maskgit(2).but(end_id=3)]),
    ],
)
def test_stages_that_could_not_do_what_is_asked(groups, strategies):
    with pytest.raises(StrategyError, match=r"stages come one after the other"):
        unmask.run_stages(Toy(), Canvas.blank(1, 4), groups, strategies, seed=1)


def test_groups_side_by_side_with_paces_of_their_own():
    pace = ByGroup([Even(1), Even(4)])
    strategy = Strategy(pace, orders.Random(), groups=Groups.blocks(4, side_by_side=True))
    trace = list(unmask.stream(Toy(), Canvas.blank(1, 8), strategy, seeds=[1]))
    assert [int(info.committed.sum()) for info in trace] == [5, 1, 1, 1]


def test_adaptive_needs_no_plan():
    assert NoPlan()(torch.tensor([3]))[1].tolist() == [3]
