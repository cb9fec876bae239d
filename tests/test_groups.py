"""Groups: one after the other with their own plans, or side by side with their own budgets."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.conformance.toys import MASK, VOCAB, Toy, flat

import unmask
from unmask import Canvas, Groups, Strategy, orders, presets, schedules
from unmask.commit import ByGroup, Even, Scheduled, TopK
from unmask.errors import StrategyError
from unmask.revise import Remask


def infos(strategy, canvas=None, seeds=(1, 2), network=None):
    canvas = canvas or Canvas.blank(len(seeds), 12)
    return list(unmask.stream(network or Toy(), canvas, strategy, seeds=list(seeds)))


def of(groups, length):
    """The group of each position of a canvas in which everything is to be generated."""
    return groups.of(torch.ones(1, length, dtype=torch.bool))[0]


def test_index_maps():
    assert of(Groups.blocks(3), 7).tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert of(Groups.levels(3), 7).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert of(Groups.listed([0, 2, 1]), 3).tolist() == [0, 2, 1]


def test_the_first_of_so_many_positions_may_be_a_group_of_its_own():
    groups = Groups.blocks(2, lead_every=4)
    assert of(groups, 9).tolist() == [0, 1, 2, 2, 3, 4, 5, 5, 6]
    assert groups.name == "blocks of 2, the first of every 4 alone"
    editable = torch.tensor([[False, True, True, True, True, True]])
    from_prompt = Groups.blocks(2, origin="prompt", lead_every=2)
    assert from_prompt.of(editable).tolist() == [[0, 0, 1, 2, 3, 4]]


def test_blocks_may_be_counted_from_the_prompt_of_each_row():
    editable = torch.tensor([[0, 0, 1, 1, 1, 1, 0], [1, 1, 1, 0, 1, 0, 0], [0] * 7]) > 0
    assert Groups.blocks(2, origin="prompt").of(editable).tolist() == [
        [0, 0, 0, 0, 1, 1, 2],
        [0, 0, 1, 1, 2, 2, 3],
        [0] * 7,
    ]


@given(
    size=st.integers(1, 5), steps=st.integers(1, 4), known=st.sets(st.integers(0, 10), max_size=8)
)
def test_blocks_are_filled_in_turn_each_by_its_own_plan(size, steps, known):
    editable = torch.tensor([[i not in known for i in range(11)]])
    canvas = Canvas.infill(torch.zeros(1, 11, dtype=torch.int64), editable)
    strategy = presets.llada(steps=steps).but(groups=Groups.blocks(size))
    trace = list(unmask.stream(Toy(), canvas, strategy, seeds=[3]))
    expected = []  # (block, how many) of each step
    for block in range(-(-11 // size)):
        unknown = sum(i not in known for i in range(block * size, min(11, block * size + size)))
        taken = min(steps, unknown)
        expected += [(block, unknown // taken + (s < unknown % taken)) for s in range(taken)]
    seen = []
    for info in trace:
        places = info.committed[0].nonzero().squeeze(1) // size
        assert len(set(places.tolist())) == 1
        seen.append((int(places[0]), len(places)))
    assert seen == expected


def test_progress_is_counted_within_the_open_group():
    seen = []

    def spy(state, proposal):
        seen.append((state.group_step.tolist()[0], state.group_steps.tolist()[0]))
        assert state.progress.tolist() == [seen[-1][0] / seen[-1][1]]
        return -torch.arange(7.0).expand(state.tokens.shape)

    plan = ByGroup([Scheduled(schedules.linear, 3), Scheduled(schedules.linear, 2)])
    strategy = Strategy(TopK(plan), spy, groups=Groups.listed([0, 0, 0, 1, 1, 1, 2]))
    list(unmask.stream(Toy(), Canvas.blank(1, 7), strategy, seeds=[1]))
    assert seen == [(1, 3), (2, 3), (3, 3), (1, 2), (2, 2), (1, 1)]


def test_only_the_open_group_is_looked_at():
    network = Toy()
    infos(
        presets.random_order(4).but(groups=Groups.blocks(4), order=orders.Entropy()),
        seeds=[5],
        network=network,
    )
    assert network.asked == [4, 3, 2, 1] * 3


@given(steps=st.integers(1, 5), tracks=st.integers(2, 3), remask=st.booleans())
def test_side_by_side_every_group_keeps_to_its_own_plan(steps, tracks, remask):
    """As many unknown in each group, after each step, as that group alone would have."""
    plan = Scheduled(schedules.cosine, steps)
    strategy = Strategy(
        commit=TopK(plan),
        order=orders.Probability(choose="after"),
        groups=Groups.levels(tracks, side_by_side=True),
        **({"revise": Remask()} if remask else {}),
    )
    canvas = Canvas.blank(2, 11)
    group = of(Groups.levels(tracks), 11)
    plans = [plan((group == g).sum().view(1).numpy())[0][0].tolist() for g in range(tracks)]
    for s, info in enumerate(unmask.stream(Toy(), canvas, strategy, seeds=[1, 2])):
        for g in range(tracks):
            left = plans[g][s] if s < len(plans[g]) else 0
            assert info.masked[:, group == g].sum(1).tolist() == [left, left]


def test_ranking_stays_inside_the_group():
    """The best of each track, though the second track is less sure everywhere."""

    def second_track_is_worse(state, proposal):
        place = torch.arange(6)
        return (10.0 * (place % 2 == 0) + place / 10).expand(state.tokens.shape)

    groups = Groups.levels(2, side_by_side=True)
    strategy = Strategy(TopK("linear", 3), second_track_is_worse, groups=groups)
    trace = list(unmask.stream(Toy(), Canvas.blank(1, 6), strategy, seeds=[1]))
    assert [info.committed[0].nonzero().squeeze(1).tolist() for info in trace] == [
        [4, 5],
        [2, 3],
        [0, 1],
    ]


def test_rows_may_be_in_different_groups():
    editable = torch.tensor([[True] * 8, [False] * 6 + [True] * 2])
    canvas = Canvas.infill(torch.zeros(2, 8, dtype=torch.int64), editable)
    strategy = presets.llada(steps=2, block=4)
    both = unmask.run(Toy(), canvas, strategy, seeds=[1, 2])
    assert both.steps.tolist() == [4, 2]
    for row in (0, 1):
        part = Canvas.infill(canvas.tokens[row : row + 1], editable[row : row + 1])
        alone = unmask.run(Toy(), part, strategy, seeds=[1 + row])
        assert torch.equal(alone.tokens[0], both.tokens[row])


def test_even_gives_the_remainder_to_the_first_steps():
    plan, total = Even(4)(np.array([10, 3, 0]))
    assert total.tolist() == [4, 3, 0]
    assert plan.tolist() == [[7, 4, 2, 0], [2, 1, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Groups.blocks(0), r"size=0: pass an integer of 1 or more"),
        (lambda: Groups.levels(2.5), r"count=2.5"),
        (lambda: Groups.listed([0.5, 1]), r"pass one integer for each position"),
        (lambda: Groups.listed([0, 1j]), r"dtype torch.complex64 .*pass one integer for each"),
        (lambda: Groups.listed([0, -1]), r"counted from 0"),
        (lambda: Groups("listed", ids=(0, 1.5)), r"ids holds 1\.5: pass integer ids"),
        (
            lambda: Groups("blocks", 4, ids=(1, 2)),
            r"ids=\(1, 2\) means nothing.*'blocks'",
        ),
        (lambda: Groups("levels", 4, origin="prompt"), r"origin='prompt' means nothing.*'levels'"),
        (lambda: Groups("levels", 4, lead_every=4), r"lead_every=4 means nothing.*'levels'"),
        (lambda: Groups.blocks(4, lead_every=6), r"lead_every=6 is not a multiple of size=4"),
        (lambda: Groups.blocks(4, lead_every=0), r"lead_every=0: pass an integer of 1 or more"),
        (lambda: Groups("listed", 4, ids=(0, 1)), r"size=4 means nothing.*'listed'"),
        (
            lambda: infos(presets.llada().but(groups=Groups.listed([0, 0, 1]))),
            r"list 3 positions and row 0 has 12",
        ),
        (
            lambda: infos(presets.mdlm(4).but(groups=Groups.blocks(4))),
            r"Ancestral.*cannot plan groups",
        ),
    ],
)
def test_groups_that_cannot_work(make, words):
    with pytest.raises(StrategyError, match=words):
        make()


def test_masked_only_shrinks_and_finishes_for_a_plain_function():
    network = unmask.wrap(flat, mask_id=MASK, vocab_size=VOCAB)
    trace = infos(presets.soundstorm(levels=3, steps=2), network=network)
    counts = [int(info.masked.sum()) for info in trace]
    assert all(after < before for before, after in pairwise(counts))
    assert counts[-1] == 0
