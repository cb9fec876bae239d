"""Rows that grow: what moves with their positions, what is shown, what is refused, what ends them.

The rules themselves are in tests/golden and tests/laws; that rows do not notice their batch, in
tests/conformance and tests/engine.
"""

import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from tests.conformance.toys import FORBIDDEN, MASK, VOCAB, Toy
from tests.engine.networks import BLOCK, Padded, cached
from tests.reference.network import Network

import unmask
from unmask import Canvas, Groups, Sampling, Strategy, commit, growth, orders, presets
from unmask.core.state import NEVER
from unmask.errors import StrategyError
from unmask.guidance import Guidance, LinearWeight
from unmask.noise import PreviousSample
from unmask.revise import Edit
from unmask.sampling import Annealed
from unmask.stopping import Budget, EndOfSequence, WideGap

END = 3


@dataclass(frozen=True)
class Within(growth.Growth):
    """Puts `expansion` positions in at a place, at four steps; keeps an age of each position."""

    initial: int = 3
    expansion: int = 2
    at: int = 3
    end_id: int | None = END
    carry = "age"

    def init(self, state):
        return torch.zeros(*state.tokens.shape, 1)

    def update(self, carry, state, proposal, change):
        return carry + 1

    def __call__(self, state, proposal, after):
        place = torch.full_like(state.length, self.at)
        free = (state.length < state.most) & (state.step < 4)
        masks = torch.where(free, self.expansion, 0)
        return growth.Extension(place, masks, torch.zeros_like(masks))


def one_at_a_time(rule, **parts):
    """The likeliest position at each step."""
    order = orders.Probability("after")
    return Strategy(commit.Threshold(1.0, strict=True), order, Sampling(0.0), growth=rule, **parts)


def canvas_of(*pairs):
    """Rows of so many given and so many unknown positions."""
    rows = [[1 + i % 2 for i in range(given)] + [0] * unknown for given, unknown in pairs]
    return Canvas.ragged(rows, [[False] * g + [True] * u for g, u in pairs])


def column(state, row):
    """What is known of each position of a row: id, log-probability, step and age; None unknown."""
    length = int(state.rows.length[row])
    names = ("tokens", "logprob", "commit_step")
    parts = [getattr(state, name)[row, :length].tolist() for name in names]
    ages = state.carries["age"][row, :length, 0].tolist()
    masked = state.masked[row, :length].tolist()
    each = zip(zip(*parts, strict=True), masked, ages, strict=True)
    return [(None if unknown else known, age) for known, unknown, age in each]


@pytest.mark.parametrize("at", [2, 3, 4])
@pytest.mark.parametrize("expansion", [1, 2, 3])
def test_everything_moves_with_its_position(at, expansion):
    """Against a list: what stands behind the place goes on, and what passes the end is lost."""
    strategy = one_at_a_time(Within(3, expansion, at))
    canvas, room = canvas_of((2, 8), (1, 6)), [10, 7]
    state = unmask.init(Toy(), canvas, strategy, [1, 2])
    rows = [column(state, b) for b in range(2)]
    assert [len(row) for row in rows] == [5, 4]
    while not unmask.done(state):
        info = unmask.step(state, Toy(), strategy)
        for at_info, b in enumerate(info.rows.tolist()):
            best = int(info.score[at_info].argmax())
            step, free = int(state.rows.step[b]), len(rows[b]) < room[b]
            rows[b] = [(known, age + 1) for known, age in rows[b]]
            said = [getattr(info.proposal, n)[at_info, best].item() for n in ("token", "logprob")]
            rows[b][best] = ((*said, step), rows[b][best][1])
            if free and step < 4:
                rows[b][at:at] = [(None, 0.0)] * expansion
                del rows[b][room[b] :]
        state = info.state
        for b in info.rows.tolist():
            assert column(state, b) == rows[b], (b, int(state.rows.step[b]))
            assert int(state.rows.unknown[b]) == sum(known is None for known, _ in rows[b])
    assert [len(row) for row in rows] == room or expansion == 1


class Shown(Padded):
    """Keeps the queries that it is shown."""

    def __init__(self):
        self.queries = []

    def forward(self, query, cache):
        self.queries.append(query)
        return super().forward(query, cache)


@pytest.mark.parametrize(
    "strategy",
    [
        presets.daedal(0.5, 0.4, 2, 3, window=2, end_id=END, block=4),
        presets.rho_eos(0.5, 0.3, 0.4, 2, 1, end_id=END, block=4),
    ],
    ids=lambda s: s.name,
)
def test_what_is_not_there_is_neither_shown_nor_unknown(strategy):
    network, canvas = Shown(), canvas_of((2, 8), (0, 7), (3, 0), (1, 2))
    state = unmask.init(network, canvas, strategy, [1, 2, 3, 4])
    place = np.arange(canvas.shape[1])
    lengths = []
    while not unmask.done(state):
        lengths.append(state.rows.length.copy())
        network.queries.clear()
        open_rows = state.rows.unfinished
        state = unmask.step(state, network, strategy).state
        shown = [length for query in network.queries for length in query.lengths.tolist()]
        assert sorted(shown) == sorted(lengths[-1][open_rows].tolist())
        assert max(q.tokens.shape[1] for q in network.queries) == max(shown)
        there = torch.from_numpy(place < state.rows.length[:, None])
        assert torch.equal(state.valid, there)
        assert not (state.masked & ~there).any()
        behind = ~there & canvas.valid
        assert (state.tokens[behind] == END).all()
        assert (state.logprob[behind] == 0).all()
        assert (state.commit_step[behind] == NEVER).all()
        assert (state.rows.length <= canvas.valid.sum(1).numpy()).all()
        assert torch.equal(state.tokens[~canvas.editable], canvas.tokens[~canvas.editable])
    assert len({tuple(each) for each in lengths}) > 2, "nothing grew"
    found = unmask.finish(state)
    assert torch.equal(found.valid, canvas.valid)
    assert torch.equal(found.editable, canvas.editable)
    assert not torch.isin(found.tokens[canvas.editable], torch.tensor([MASK, FORBIDDEN])).any()


def test_a_canvas_of_the_initial_length_is_that_of_a_threshold():
    """Where there is no room to grow, nothing of it is left but the commit rule."""
    canvas = canvas_of((2, 5), (1, 6), (0, 3))
    plain = presets.threshold(0.5, block=4).but(commit=commit.Threshold(0.5, strict=True))
    expected = unmask.run(Toy(), canvas, plain, seeds=[1, 2, 3])
    for strategy in (
        presets.daedal(0.5, initial=9, end_id=END, block=4),
        presets.rho_eos(0.5, initial=9, end_id=END, block=4),
    ):
        found = unmask.run(Toy(), canvas, strategy, seeds=[1, 2, 3])
        for name in ("tokens", "logprob", "commit_step", "steps", "forwards", "valid"):
            assert torch.equal(getattr(found, name), getattr(expected, name)), name


class Sure(Network):
    """As sure as p of id 1 at the first `text` positions, and of the end at others."""

    vocab_size, mask_id = VOCAB, MASK

    def __init__(self, text=2, p=0.95):
        self.text, self.p = text, p

    def hidden(self, tokens, *, valid):
        out = torch.full((*tokens.shape, VOCAB), (1 - self.p) / (VOCAB - 2)).log()
        out[:, : self.text, 1] = np.log(self.p)
        out[:, self.text :, END] = np.log(self.p)
        return out


def lengths_of(network, strategy, room=30):
    infos = list(unmask.stream(network, Canvas.blank(1, room), strategy, seed=1))
    return [int(info.state.rows.length[0]) for info in infos], infos[-1].state


def test_daedal_grows_until_the_end_is_sure_and_adds_half_a_window_of_ends():
    strategy = presets.daedal(0.9, initial=2, expansion=3, window=6, end_id=END)
    lengths, state = lengths_of(Sure(text=4), strategy)
    # .95 · k / 6 ≥ .5 with four ends, of 8 positions or more; then three known ends; all is sure.
    assert lengths == [5, 8, 11, 11]
    assert state.rows.forwards.tolist() == [4]
    assert state.tokens[0].tolist() == [1] * 4 + [END] * 26
    assert (state.commit_step[0, :8] == 3).all()
    assert (state.commit_step[0, 8:] == NEVER).all()


def test_daedal_splits_the_least_likely_position():
    strategy = presets.daedal(0.9, 0.99, 4, 3, enough=0.0, window=1, end_id=END)
    lengths, _ = lengths_of(Sure(text=9, p=0.5), strategy, room=8)
    assert lengths[:3] == [6, 8, 8], "two more a step, as many as there is room for"
    never, _ = lengths_of(
        Sure(text=9, p=0.5), presets.daedal(0.9, 0.1, 4, 3, 0.0, window=1, end_id=END), 8
    )
    assert set(never) == {4}


def test_rho_eos_grows_doubling_and_takes_back_ends():
    longer, _ = lengths_of(Sure(text=99), presets.rho_eos(initial=2, expansion=1, end_id=END))
    assert longer[:2] == [10, 18], "ρ = 0, four tenths below: eight times one position"
    slower = presets.rho_eos(low=0.2, initial=2, expansion=1, end_id=END)
    assert lengths_of(Sure(text=99), slower)[0][:2] == [4, 6]
    shorter, state = lengths_of(Sure(text=3), presets.rho_eos(initial=20, end_id=END))
    assert shorter == [3], "every position is sure, and 17 of 20 are ends"
    assert state.tokens[0].tolist() == [1] * 3 + [END] * 27
    assert state.rows.finished.all()
    few = presets.rho_eos(initial=2, expansion=1, adjustments=1, end_id=END)
    assert set(lengths_of(Sure(text=99), few)[0]) == {10}


def test_a_row_that_has_ended_stays_as_it_is():
    """An end with nothing unknown before it: no growth, and what follows is filled."""
    strategy = presets.rho_eos(initial=4, end_id=END)
    assert lengths_of(Sure(text=99), strategy)[0][0] == 30
    ended = strategy.but(stopping=[EndOfSequence(1, fill=6)])
    lengths, state = lengths_of(Sure(text=99), ended)
    assert lengths == [4]
    assert state.tokens[0].tolist() == [1, 6, 6, 6] + [END] * 26
    assert state.rows.finished.all()


@pytest.mark.parametrize("make", [presets.daedal, presets.rho_eos])
@pytest.mark.parametrize("block", [32, 2])
@pytest.mark.parametrize("budget", [1, 2, 3])
def test_a_budget_is_kept_and_fills_what_is_there(make, budget, block):
    """Blocks that are not there yet are none that the budget is kept for."""
    strategy = make(0.9, initial=2, expansion=1, end_id=END, block=block)
    strategy = strategy.but(stopping=[Budget(budget)])
    lengths, state = lengths_of(Sure(text=99, p=0.4), strategy)
    assert state.rows.forwards.tolist() == [budget]
    assert state.rows.finished.all()
    assert not state.masked.any()
    assert (lengths[0] > 2) == (budget > 1)


def test_what_the_network_kept_of_a_row_is_forgotten_when_it_grows():
    strategy = one_at_a_time(Within(3, 2, 3))
    state = unmask.init(Toy(), canvas_of((2, 8), (2, 3)), strategy, [1, 2])
    state = unmask.step(state, Toy(), strategy).state
    assert state.rows.length.tolist() == [7, 5]
    assert state.cache.begun.tolist() == [False, True]


def test_max_tokens_counts_what_rows_may_become():
    engine = unmask.Engine(Padded(), max_tokens=20)
    strategy = presets.daedal(initial=2, end_id=END)
    engine.submit(Canvas.blank(4, 9), strategy, [1, 2, 3, 4])
    assert [len(event.ids) for event in engine.step()] == [2]


def test_the_end_of_the_network_is_the_end_of_the_rule():
    told = type("Told", (Toy,), {"spec": replace(Toy().spec, end_id=END)})()
    canvas = canvas_of((2, 8), (1, 6))
    for make in (presets.daedal, presets.rho_eos):
        own = unmask.run(told, canvas, make(initial=2), seeds=[1, 2])
        given = unmask.run(Toy(), canvas, make(initial=2, end_id=END), seeds=[1, 2])
        assert torch.equal(own.tokens, given.tokens)
        with pytest.raises(StrategyError, match=r"pass end_id=, as in presets.daedal\(end_id=2\)"):
            unmask.init(Toy(), canvas, make(), [1, 2])


RULE = growth.EndConfidence(end_id=END)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"commit": commit.TopK("cosine", 8)}, "TopK counts on positions or steps"),
        (
            {"commit": commit.BlocksToDelimiters([3]), "groups": None},
            "BlocksToDelimiters counts on",
        ),
        ({"commit": commit.ThresholdOrShare()}, "ThresholdOrShare counts on"),
        ({"groups": Groups.levels(2)}, "the groups are no blocks"),
        ({"groups": Groups.listed([0, 1])}, "the groups are no blocks"),
        ({"revise": Edit()}, "Edit revises: use revise=Never"),
        ({"noise": PreviousSample()}, "PreviousSample shows other tokens"),
        ({"stopping": [WideGap()]}, "WideGap"),
        ({"sampling": Sampling(Annealed(1.0))}, "the temperature follows the progress"),
        (
            {"guidance": Guidance(LinearWeight(3.0))},
            r"the weight of guidance follows the progress: use Guidance\(a number\)",
        ),
        ({"guidance": Guidance(lambda progress, ratio: progress)}, "weight of guidance"),
        ({"growth": 3}, "growth=3: pass a Growth"),
    ],
    ids=lambda each: "" if isinstance(each, dict) else each,
)
def test_parts_that_contradict_it_say_so(parts, says):
    plain = presets.threshold().but(growth=RULE)
    with pytest.raises(StrategyError, match=says):
        plain.but(**parts)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"initial": 0}, "initial=0"),
        ({"expansion": 0}, "expansion=0"),
        ({"end_id": -1}, "end_id=-1: pass the id"),
        ({"window": 0}, "window=0"),
        ({"low": 1.5}, "low=1.5"),
    ],
    ids=str,
)
def test_numbers_that_are_none_say_so(options, says):
    with pytest.raises(StrategyError, match=says):
        growth.EndConfidence(**options)


@pytest.mark.parametrize(
    ("options", "says"),
    [({"low": 0.7}, "at most the upper"), ({"adjustments": -1}, "adjustments=-1")],
    ids=str,
)
def test_bounds_that_cross_say_so(options, says):
    with pytest.raises(StrategyError, match=says):
        growth.EndDensity(**options)


@pytest.mark.parametrize(
    ("shape", "fits"),
    [((2, 9), 0), ((2, 9, 3), 0), ((2, 4, 9, 9), 0), ((2,), 1), ((2, 5), 1), ((9, 5, 9), 1)],
    ids=str,
)
def test_a_condition_of_positions_is_refused(shape, fits):
    """It would stay where it is while positions move."""
    strategy = presets.daedal(initial=2, end_id=END)
    seeds = [*range(shape[0])]
    canvas = Canvas.blank(len(seeds), 9, condition={"given": torch.zeros(shape), "name": "x"})
    if fits:
        assert unmask.init(Toy(), canvas, strategy, seeds).condition is not None
        return
    told = rf"condition of shape {re.escape(str(shape))} has a value for each of the 9"
    with pytest.raises(StrategyError, match=told):
        unmask.init(Toy(), canvas, strategy, seeds)


class Timed(Padded):
    inputs = frozenset({"progress"})


@pytest.mark.parametrize(
    ("network", "canvas", "end", "says"),
    [
        (
            Toy,
            Canvas.infill([[0, 0, 1]], [[True, True, False]]),
            END,
            "a given token at position 2",
        ),
        (Toy, Canvas.blank(1, 4, required=[3, -1, -1, -1]), END, "required= of the canvas"),
        (Toy, Canvas.blank(1, 4), MASK, "end id 5, which is never drawn"),
        (Toy, Canvas.blank(1, 4), 99, "end id 99, which is never drawn"),
        (cached, Canvas.blank(1, 4), END, "is right in the open block only: .* without a cache"),
        (
            Timed,
            Canvas.blank(1, 4),
            END,
            "is told 'progress': .* or use a network that is told none",
        ),
    ],
    ids=range(6),
)
def test_what_cannot_grow_says_so_before_any_work(network, canvas, end, says):
    strategy = presets.daedal(end_id=end).but(groups=Groups.blocks(BLOCK))
    with pytest.raises(StrategyError, match=says):
        unmask.init(network(), canvas, strategy, [1])


@dataclass(frozen=True)
class Wrong(growth.Growth):
    """Answers `waits` and `says`, functions of the state."""

    waits_for: object = None
    says: object = None
    initial: int = 3
    expansion: int = 2
    end_id: int | None = END

    def waits(self, state, proposal):
        return None if self.waits_for is None else self.waits_for(state)

    def __call__(self, state, proposal, after):
        none = torch.zeros_like(state.length)
        return growth.Extension(state.length, none, none) if self.says is None else self.says(state)


def extension(place=None, masks=0, ends=0):
    """Says this of every row; the place is its end."""

    def said(state):
        none = torch.zeros_like(state.length)
        where = state.length if place is None else none + place
        return growth.Extension(where, none + masks, none + ends)

    return said


def fails(state):
    raise KeyError("x")


@pytest.mark.parametrize(
    ("waits", "says", "message"),
    [
        (fails, None, "the growth rule Wrong raised KeyError"),
        (
            lambda s: s.masked,
            None,
            r"returned torch.bool of shape \(2, 10\): return a tensor",
        ),
        (lambda s: s.length, None, "the growth rule Wrong returned torch.int64 of shape"),
        (None, fails, "the growth rule Wrong raised KeyError"),
        (None, lambda s: (s.length,), r"return growth.Extension\(place, masks, ends\), each"),
        (None, lambda s: s.length, "Wrong returned torch.int64 of shape"),
        (None, lambda s: growth.Extension(*[s.masked.long()] * 3), r"int64 of shape \(2, 10\)"),
        (None, lambda s: growth.Extension(*[s.length.double()] * 3), "torch.float64"),
        (None, extension(masks=-4), "row 0 outside its positions to generate, which begin at 2"),
        (None, extension(place=0, masks=1), "return a place from state.first to state.length"),
        (None, extension(place=9, masks=1), "return a place from state.first to state.length"),
        (None, extension(ends=-1), "no ends below 0"),
    ],
)
def test_a_rule_that_answers_wrongly_is_told(waits, says, message):
    strategy = one_at_a_time(Wrong(waits, says))
    state = unmask.init(Toy(), canvas_of((2, 8), (1, 4)), strategy, [1, 2])
    with pytest.raises(StrategyError, match=message):
        unmask.step(state, Toy(), strategy)


def test_nothing_is_put_into_a_row_as_long_as_its_canvas():
    """It would push what is known off its end, without end."""
    strategy = one_at_a_time(Wrong(None, lambda state: extension(state.first, 1)(state)))
    found = unmask.run(Toy(), canvas_of((2, 8), (1, 4)), strategy, seeds=[1, 2])
    assert found.steps.tolist() == [8, 4]


def test_a_state_does_not_go_on_under_another_rule():
    strategy = presets.daedal(initial=2, end_id=END)
    state = unmask.init(Toy(), Canvas.blank(1, 6), strategy, [1])
    with pytest.raises(StrategyError, match="growth="):
        unmask.step(state, Toy(), strategy.but(growth=None))
