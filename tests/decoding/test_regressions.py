"""Combinations of axes that a review found to go wrong, each as it should be."""

import numpy as np
import pytest
import torch
from tests.conformance.toys import FORBIDDEN, MASK, VOCAB, Toy
from tests.reference.network import Network

import unmask
from unmask import (
    Canvas,
    Constraint,
    Groups,
    Strategy,
    commit,
    orders,
    presets,
    revise,
    schedules,
)
from unmask.commit import AllSteps, ByGroup, Even, NoPlan, Scheduled, TopK
from unmask.constraints import Listed
from unmask.core.network import Query
from unmask.core.state import State
from unmask.errors import CanvasError, StrategyError
from unmask.guidance import HidePrompt
from unmask.noise import PreviousSample
from unmask.scoring import Ordered
from unmask.stopping import Budget, EndOfSequence, StableAndConfident


class MaskIsZero(Toy):
    """The same with id 0 as the mask, so that a token never looked at would come out as one."""

    mask_id, forbidden = 0, (FORBIDDEN, MASK)


@pytest.mark.parametrize("order", [orders.Random(), orders.LeftToRight()])
def test_edits_under_a_blind_order_are_made_where_the_head_was_asked(order):
    strategy = presets.random_order(4).but(order=order, revise=revise.Edit(0.5))
    edits = 0
    for info in unmask.stream(MaskIsZero(), Canvas.blank(4, 8), strategy, seeds=range(4)):
        assert not (info.tokens == 0)[~info.masked].any()
        assert (info.proposal.queried | ~info.edited).all()
        edits += int(info.edited.sum())
    assert edits


def test_the_last_draw_does_not_show_what_the_canvas_holds_where_it_is_to_be_written():
    for strategy in (presets.llada(2, 4), presets.random_order(4)):
        rows = []
        for garbage in (0, 3, -7):
            tokens = torch.full((2, 8), garbage)
            canvas = Canvas.infill(tokens, torch.ones(2, 8, dtype=torch.bool))
            network = unmask.wrap(
                lambda t: Toy().forward(Query.of(t), None)[0],
                mask_id=MASK,
                vocab_size=VOCAB,
            )
            rows.append(
                unmask.generate(network, canvas, strategy.but(noise=PreviousSample()), seed=1)
            )
        assert torch.equal(rows[0], rows[1])
        assert torch.equal(rows[0], rows[2])


def test_a_position_that_is_verified_does_not_see_itself():
    """Canvases of verification passes hold the mask id at one committed position."""
    shown = []

    class Spy(Toy):
        def forward(self, query, cache):
            shown.append(query.tokens.clone())
            return super().forward(query, cache)

    strategy = presets.wino(fill=0.5, block=None).but(noise=PreviousSample())
    before, checked = torch.zeros(1, 12, dtype=torch.bool), 0
    state = unmask.init(Spy(), Canvas.blank(1, 12), strategy, torch.tensor([1]))
    while not unmask.done(state):
        before = ~state.masked[0]
        state = unmask.step(state, Spy(), strategy).state
        for rows in shown[1:]:
            for tokens in rows:
                assert int((tokens == MASK)[before].sum()) == 1
                checked += 1
        shown.clear()
    assert checked


def test_the_likelihood_of_an_order_does_not_show_the_truth():
    with pytest.raises(
        StrategyError, match=r"shows the network the tokens drawn before.*MaskToken"
    ):
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


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: TopK(NoPlan()), r"plan=NoPlan\(\) gives no counts"),
        (lambda: TopK(AllSteps(4)), r"plan=AllSteps\(steps=4\) gives no counts"),
        (lambda: commit.ReMDM(Scheduled(schedules.linear, 4), 4), r"schedule=Scheduled"),
        (lambda: presets.remdm(4).but(groups=Groups.blocks(4)), r"over the whole row: leave out"),
        (lambda: presets.remdm(4).but(stopping=[EndOfSequence(3)]), r"over the whole row: leave"),
        (lambda: presets.remdm(4).but(stopping=[StableAndConfident()]), r"over the whole row"),
        (lambda: presets.remdm(8).but(revise=revise.Edit(0.2, passes=2)), r"Edit.*use.*Remask\(\)"),
        (lambda: presets.remdm(8).but(revise=revise.Verify(0.9)), r"Verify.*use.*Remask\(\)"),
        (
            lambda: presets.remdm(8).but(revise=revise.Never(), order=orders.Margin()),
            r"ReMDM takes all its steps because known.*Never.*use.*revise=Remask\(\)",
        ),
        (lambda: presets.threshold().but(revise=revise.Remask()), r"may take back all"),
        (
            lambda: presets.threshold().but(groups=Groups.blocks(4, side_by_side=True)),
            r"side by side have a plan each, which Threshold does not follow",
        ),
        (
            lambda: Strategy(
                commit.TopSpans(Scheduled(schedules.linear, 4), 2, 2, True), orders.Random()
            ),
            r"overlapping spans of several levels need groups",
        ),
        (lambda: presets.soundstorm().but(groups=None), r"ByGroup.*there are none"),
        (
            lambda: presets.dream(algorithm="origin", choice_temperature=0.5),
            r"does not rank positions",
        ),
        (lambda: presets.dplm(tracks=0), r"tracks=0"),
        (lambda: presets.esm3(tracks=-1), r"tracks=-1"),
        (
            lambda: presets.maskgit().but(stopping=[StableAndConfident]),
            r"stopping holds .*: pass a list of rules, such as",
        ),
        (lambda: presets.maskgit().but(stopping=[Budget(True)]), r"Budget\(True\): pass 1 or more"),
        (
            lambda: presets.maskgit().but(
                stopping=[EndOfSequence(1)], constraint=Constraint(forbidden=[1])
            ),
            r"EndOfSequence\(1\).*an id that may be drawn",
        ),
    ],
)
def test_parts_that_would_be_ignored_or_go_wrong_are_refused(make, words):
    with pytest.raises(StrategyError, match=words):
        make()


MADE_FOR_NINE = {
    "a grid": presets.halton(3, 3, 4),
    "a grid with noise": presets.random_order(4).but(
        order=orders.ChoiceNoise(orders.Halton(3, 3), 1.0)
    ),
    "listed groups": presets.random_order(2).but(groups=Groups.listed([0] * 4 + [1] * 5)),
}


@pytest.mark.parametrize("what", MADE_FOR_NINE)
def test_what_is_made_for_a_length_takes_rows_of_that_length_beside_any_padding(what):
    strategy = MADE_FOR_NINE[what]
    with pytest.raises(StrategyError, match=r"9 positions (but|and) row 1 has 4: pass"):
        unmask.init(Toy(), Canvas.ragged([[0] * 9, [0] * 4]), strategy, [1, 2])
    alone = unmask.run(Toy(), Canvas.blank(1, 9), strategy, seeds=[1])
    given = [[True] * 9, [False] * 12]
    beside = unmask.run(Toy(), Canvas.ragged([[0] * 9, [0] * 12], given), strategy, seeds=[1, 2])
    assert beside.tokens[0, :9].tolist() == alone.tokens[0].tolist()


def test_listed_sequences_take_rows_of_their_length_beside_any_padding():
    hook = Listed(torch.tensor([[0, 1, 3], [3, 0, 1]]), VOCAB)
    strategy = presets.random_order(3).but(constraint=Constraint(feasible=hook))
    given = [[True] * 3, [False] * 5]
    made = unmask.generate(Toy(), Canvas.ragged([[0] * 3, [0] * 5], given), strategy, seeds=[1, 2])
    assert made[0, :3].tolist() in ([0, 1, 3], [3, 0, 1])
    with pytest.raises(StrategyError, match=r"rows have 2 positions and the listed sequences 3"):
        unmask.generate(Toy(), Canvas.ragged([[0] * 3, [0] * 2]), strategy, seeds=[1, 2])


def test_a_required_id_is_that_of_the_prompt():
    required = torch.tensor([3, -1])
    given = torch.tensor([[False, True], [False, True]])
    with pytest.raises(CanvasError, match=r"id 3 at row 1, position 0, where id 0 is given: make"):
        Canvas.infill(torch.tensor([[3, 0], [0, 0]]), given, required=required)
    Canvas.infill(torch.tensor([[3, 0], [3, 0]]), given, required=required)


def test_an_end_does_not_go_with_ids_that_must_be_written():
    canvas = Canvas.blank(1, 2, required=torch.tensor([3, -1]))
    strategy = presets.maskgit(2).but(stopping=[EndOfSequence(1)])
    with pytest.raises(StrategyError, match=r"fills rows behind their end, which required="):
        unmask.generate(Toy(), canvas, strategy, seed=0)


@pytest.mark.parametrize("end", [999, MASK, FORBIDDEN])
def test_an_end_that_is_never_drawn_is_refused(end):
    with pytest.raises(StrategyError, match=rf"EndOfSequence\({end}\).*is never drawn"):
        unmask.generate(
            Toy(), Canvas.blank(1, 4), presets.maskgit(2).but(stopping=[EndOfSequence(end)]), seed=0
        )


@pytest.mark.parametrize("end", [-1, True, 2.0, None])
def test_an_end_that_is_no_id_is_refused(end):
    with pytest.raises(StrategyError, match=r"EndOfSequence\(.*\): pass the id that ends"):
        EndOfSequence(end)


def test_a_budget_below_the_cost_of_a_step_is_refused():
    class Guidable(Network):
        vocab_size, mask_id = VOCAB, MASK

        def hidden(self, tokens, *, valid, condition):
            return torch.zeros(*tokens.shape, VOCAB)

    canvas = Canvas.blank(2, 4, condition=torch.tensor([0, 1]))
    strategy = presets.muse(2, guidance=3.0).but(stopping=[Budget(1)])
    with pytest.raises(StrategyError, match=r"Budget\(1\).* a step of this strategy takes 2"):
        unmask.generate(Guidable(), canvas, strategy, seed=0)


@pytest.mark.parametrize(
    ("groups", "strategies"),
    [
        (Groups.levels(2, side_by_side=True), [presets.maskgit(2)]),
        (Groups.levels(2), [presets.maskgit(2).but(stopping=[EndOfSequence(3)])]),
    ],
)
def test_stages_that_could_not_do_what_is_asked(groups, strategies):
    with pytest.raises(StrategyError, match=r"stages come one after the other"):
        unmask.run_stages(Toy(), Canvas.blank(1, 4), groups, strategies, seed=1)


def test_groups_side_by_side_with_plans_of_their_own():
    plan = ByGroup([Even(1), Even(4)])
    strategy = Strategy(TopK(plan), orders.Random(), groups=Groups.blocks(4, side_by_side=True))
    trace = list(unmask.stream(Toy(), Canvas.blank(1, 8), strategy, seeds=[1]))
    assert [int(info.committed.sum()) for info in trace] == [5, 1, 1, 1]


def test_adaptive_needs_no_plan():
    assert NoPlan()(np.array([3]))[1].tolist() == [3]


def _doubted(tokens):
    """(B,N) ids -> (B,N,V) logits so flat that verification doubts every token."""
    return torch.sin(tokens.sum(1, keepdim=True)[..., None] + torch.arange(6.0)).expand(
        *tokens.shape, 6
    )


def test_a_group_is_filled_at_its_last_step_whatever_is_taken_back_before():
    network = unmask.wrap(_doubted, mask_id=5, vocab_size=6)
    strategy = Strategy(
        commit=TopK(Even(2)),
        order=orders.Probability(choose="after"),
        revise=revise.Verify(0.999),
        groups=Groups.blocks(4),
    )
    group, remasks = torch.arange(16) // 4, 0
    for number, info in enumerate(
        unmask.stream(network, Canvas.blank(2, 16), strategy, seeds=[0, 1])
    ):
        assert (group.expand(2, 16)[info.committed] == number // 2).all()
        assert not info.masked[:, group < (number + 1) // 2].any()
        remasks += int(info.remasked.sum())
    assert number == 7
    adaptive = strategy.but(commit=commit.Threshold(0.3))
    infos = list(unmask.stream(network, Canvas.blank(2, 16), adaptive, seeds=[0, 1]))
    assert sum(int(info.remasked.sum()) for info in infos) > 0
    for info in infos:
        open_group = group.expand(2, 16).where(info.committed, 99).amin(1, keepdim=True)
        assert (
            group.expand(2, 16)[info.committed] == open_group.expand(2, 16)[info.committed]
        ).all()


def test_a_full_group_is_edited_at_the_progress_of_its_last_step():
    def undecided(tokens):
        return torch.nn.functional.one_hot((tokens + 1) % 5, 6).float() * 9

    network = unmask.wrap(undecided, mask_id=5, vocab_size=6)
    strategy = presets.llada21(block=4, fill=0.0, edit=0.0, passes=8)
    canvas = Canvas.blank(1, 8)
    state, rests = unmask.init(network, canvas, strategy, [0]), 0
    while not unmask.done(state):
        if state.rows.at_rest[0]:
            rests += 1
            assert state.rows.now.progress[0] == 1
            assert state.rows.now.group_steps[0] == 4
        state = unmask.step(state, network, strategy).state
    assert rests == 16


def test_rows_of_a_canvas_share_what_is_legal_and_required_however_many_they_are():
    legal = torch.arange(VOCAB).expand(4, VOCAB) != 1
    canvas = Canvas.blank(10, 4, legal=legal, required=torch.tensor([-1, 4, -1, -1]))
    taken = canvas.take(torch.tensor([9, 9, 0]))
    assert torch.equal(taken.legal, canvas.legal)
    assert torch.equal(taken.required, canvas.required)
    best = unmask.best_of(Toy(), canvas, presets.random_order(2), n=2, seed=0).best
    assert (best.tokens[:, 1] == 4).all()
    assert not (best.tokens == 1).any()


def test_stopping_rules_may_come_from_an_iterator():
    strategy = presets.random_order(8).but(stopping=map(Budget, [2]))
    assert strategy.stopping == (Budget(2),)
    assert strategy.budget == 2


def test_a_previous_sample_of_all_positions_is_drawn_under_a_blind_order_too():
    strategy = presets.random_order(4).but(noise=PreviousSample())
    drawn = 0
    for info in unmask.stream(Toy(), Canvas.blank(2, 8), strategy, seeds=[1, 2]):
        assert (info.proposal.queried == (info.masked | info.committed)).all()
        drawn += int((info.proposal.queried & info.masked).sum())
    assert drawn


def test_a_state_does_not_go_on_with_a_network_of_other_ids():
    def network(vocab):
        return unmask.wrap(lambda t: torch.zeros(*t.shape, vocab), mask_id=vocab - 1)

    strategy = presets.random_order(2)
    state = unmask.init(network(6), Canvas.blank(1, 4), strategy, [0])
    for go_on in (
        lambda: unmask.step(state, network(9), strategy),
        lambda: unmask.Engine(network(9)).adopt(state, strategy),
    ):
        with pytest.raises(StrategyError, match=r"vocab_size=6, and this one has vocab_size=9"):
            go_on()


def test_guidance_that_a_state_cannot_have_is_refused_between_steps():
    network = unmask.wrap(lambda t: torch.zeros(*t.shape, 6), mask_id=5)
    hiding = presets.random_order(2).but(guidance=unmask.Guidance(2.0, null=HidePrompt()))
    state = unmask.init(network, Canvas.blank(1, 4), hiding, [0])
    with pytest.raises(CanvasError, match=r"guidance needs a condition"):
        unmask.step(state, network, hiding.but(guidance=unmask.Guidance(2.0)))


@pytest.mark.parametrize(
    ("spans", "groups"),
    [
        (commit.TopSpans(Scheduled("cosine", 4), 3, levels=2, overlapping=True), Groups.blocks(8)),
        (commit.TopSpans(Scheduled("cosine", 4), 3), Groups.levels(4)),
    ],
)
def test_spans_of_levels_that_the_groups_do_not_have_are_refused(spans, groups):
    with pytest.raises(StrategyError, match=r"pass groups=Groups\.levels\(\d\)"):
        Strategy(commit=spans, order=orders.Probability(), groups=groups)


def test_a_temperature_that_draws_greedily_is_greedy_for_bounds_too():
    with pytest.raises(StrategyError, match=r"a greedy draw has probability 1"):
        presets.sdar(temperature=1e-7)


@pytest.mark.parametrize("null", [True, float("nan")])
def test_a_null_condition_that_is_no_number_is_refused(null):
    with pytest.raises(StrategyError, match=r"pass a number, a tree"):
        unmask.Guidance(2.0, null=null)


def test_a_null_condition_is_not_cut_to_a_whole_number():
    strategy = presets.random_order(2).but(guidance=unmask.Guidance(2.0, null=0.5))
    network = unmask.wrap(lambda t: torch.zeros(*t.shape, 6), mask_id=5)
    canvas = Canvas.blank(2, 4, condition=torch.tensor([1, 2]))
    with pytest.raises(CanvasError, match=r"null=0\.5 for a condition of torch\.int64"):
        unmask.generate(network, canvas, strategy, seed=0)


def test_a_weight_of_zero_gives_a_dropped_token_a_score():
    order = orders.Weighted(orders.Probability("after", "kept"), 0.0)
    strategy = presets.p2(8).but(order=order, sampling=unmask.Sampling(top_k=1))
    tokens = unmask.generate(Toy(), Canvas.blank(4, 8), strategy, seed=0)
    assert not (tokens == MASK).any()


@pytest.mark.parametrize(("temperature", "asked"), [(0.0, 0), (1.0, 4)])
def test_a_step_whose_draws_are_all_greedy_makes_no_uniforms(monkeypatch, temperature, asked):
    made, uniforms_at = [], State.uniforms_at
    monkeypatch.setattr(
        State, "uniforms_at", lambda *given: made.append(given) or uniforms_at(*given)
    )
    canvas = Canvas.blank(2, 8)
    unmask.generate(Toy(), canvas, presets.confidence(4, temperature=temperature), seed=0)
    assert len(made) == asked
