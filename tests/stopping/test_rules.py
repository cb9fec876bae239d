"""Rows end early: forward budgets, rest with confidence, the end of a sequence."""

import inspect
from dataclasses import dataclass

import pytest
import torch
from tests.conformance.catalogue import GROWING, PRESETS
from tests.conformance.toys import MASK, VOCAB, Toy, table

import unmask
from unmask import Canvas, Query, orders, presets
from unmask.core.state import NEVER
from unmask.errors import StrategyError
from unmask.stopping import Budget, EndOfSequence, StableAndConfident, Stop


@pytest.mark.parametrize("budget", [1, 3, 5])
@pytest.mark.parametrize("entry", PRESETS, ids=lambda e: e.name)
def test_no_row_spends_more_than_its_budget(entry, budget):
    free_strategy = entry.make(9, 9, "linear")
    strategy = free_strategy.but(stopping=[Budget(budget)])
    result = unmask.run(Toy(), Canvas.blank(3, 9), strategy, seeds=[1, 2, 3])
    free = unmask.run(Toy(), Canvas.blank(3, 9), free_strategy, seeds=[1, 2, 3])
    assert int(result.forwards.max()) <= budget
    never = result.commit_step == NEVER  # of rows that grow, what they did not need
    assert (result.tokens[never] == GROWING["end_id"]).all() if entry.grows else not never.any()
    assert not torch.isin(result.tokens, torch.tensor([MASK])).any()
    enough = free.forwards <= budget
    if entry.function is not presets.wino:  # its verifications are cut as the budget comes near
        assert torch.equal(result.tokens[enough], free.tokens[enough])


def test_a_budget_below_one_is_refused():
    with pytest.raises(StrategyError, match=r"Budget\(0\): pass 1 or more network passes"):
        presets.threshold().but(stopping=[Budget(0)])


def test_a_budget_keeps_a_pass_for_each_group_to_come():
    strategy = presets.llada(3, block=3).but(stopping=[Budget(5)])
    result = unmask.run(Toy(), Canvas.blank(1, 9), strategy, seeds=[1])
    steps = [part.unique().tolist() for part in result.commit_step[0].split(3)]
    assert steps == [[0, 1, 2], [3], [4]]
    # Where there are more groups than passes, what is left goes with the last pass.
    strategy = presets.llada(3, block=3).but(stopping=[Budget(2)])
    result = unmask.run(Toy(), Canvas.blank(1, 9), strategy, seeds=[1])
    assert [part.unique().tolist() for part in result.commit_step[0].split(3)] == [[0], [1], [1]]


def test_stable_and_confident_is_the_naive_rule():
    """Whole rows commit as soon as nothing unknown changed its likeliest id and all is certain."""
    nats = 1.2
    network = Toy()
    strategy = presets.random_order(8).but(stopping=[StableAndConfident(nats)])
    trace = list(unmask.stream(network, Canvas.blank(6, 8), strategy, seeds=range(6)))
    tokens, masked = Canvas.blank(6, 8).tokens, torch.ones(6, 8, dtype=torch.bool)
    cache, before, stopped = None, None, 0
    for info in trace:
        rows = info.rows
        past = None if cache is None else cache.take(rows)
        shown = tokens.masked_fill(masked, MASK)[rows]
        logits, _ = Toy().forward(Query.of(shown), past)
        logits[..., [MASK, 2]] = -torch.inf
        logp = logits.double().log_softmax(-1)
        entropy = -(logp.exp() * logp.nan_to_num(neginf=0.0)).sum(-1)
        best = torch.full((6, 8), -5)
        best[rows] = logp.argmax(-1)
        for at, row in enumerate(rows.tolist()):
            open_ = masked[row]
            mean = float(entropy[at][open_].mean())
            calm = before is not None and bool((best[row] == before[row])[open_].all())
            stops = calm and mean < nats
            stopped += stops and int(open_.sum()) > 1
            assert bool(info.state.rows.finished[row]) == (stops or int(open_.sum()) == 1)
        tokens, masked, cache = info.state.tokens, info.state.masked, info.state.cache
        before = best
    assert stopped >= 2  # the rule did something


def test_stable_and_confident_without_an_entropy():
    with pytest.raises(StrategyError, match=r"nats=0: pass an entropy above 0"):
        StableAndConfident(0)


def test_a_row_of_forced_ids_is_filled_at_once_and_the_rest_by_its_own_lead():
    """Where one id is legal nothing leads it: such positions do not count, unless all are such."""
    legal = torch.ones(2, 6, VOCAB, dtype=torch.bool)
    legal[0] = legal[1, :3] = torch.arange(VOCAB) == 1
    canvas = Canvas.blank(2, 6, legal=legal)
    result = unmask.run(Toy(), canvas, presets.prophet(6, early=99, middle=99, late=99), seed=0)
    assert result.steps.tolist() == [1, 6]


def test_a_gap_that_is_none():
    with pytest.raises(StrategyError, match=r"middle=0: pass a gap of logits above 0"):
        presets.prophet(middle=0)


END = 3


class Ender(Toy):
    """Likes the end very much from position 4 on."""

    def hidden(self, tokens, *, valid):
        logits = super().hidden(tokens, valid=valid)
        place = torch.arange(tokens.shape[1])
        return logits + 30.0 * (place >= 4)[:, None] * (torch.arange(VOCAB) == END)


def test_a_row_ends_where_the_end_stands_with_nothing_unknown_before():
    strategy = presets.random_order(12).but(
        order=orders.LeftToRight(), stopping=[EndOfSequence(END)]
    )
    result = unmask.run(Ender(), Canvas.blank(4, 12), strategy, seeds=range(4))
    for tokens, steps in zip(result.tokens.tolist(), result.steps.tolist(), strict=True):
        first = tokens.index(END)
        assert tokens[first:] == [END] * (12 - first)
        assert steps == first + 1
    assert (result.commit_step[:, -1] == NEVER).all()
    assert (result.logprob[:, -1] == 0).all()


def test_an_end_with_unknown_positions_before_it_ends_nothing_yet():
    def the_end_first(state, proposal):
        return torch.tensor([0, 1, 2, 3, 7, 6, 5, 4.0]).expand(state.tokens.shape)

    strategy = presets.random_order(8).but(order=the_end_first, stopping=[EndOfSequence(END)])
    trace = list(unmask.stream(Ender(), Canvas.blank(1, 8), strategy, seeds=[0]))
    assert len(trace) == 8
    assert [int(info.masked.sum()) for info in trace] == [7, 6, 5, 4, 3, 2, 1, 0]
    assert trace[-1].tokens[0, 4:].tolist() == [END] * 4


def test_prompts_after_the_end_stay():
    editable = torch.tensor([[True] * 6 + [False] * 2])
    canvas = Canvas.infill(torch.full((1, 8), 1), editable)
    strategy = presets.random_order(8).but(
        order=orders.LeftToRight(), stopping=[EndOfSequence(END)]
    )
    result = unmask.run(Ender(), canvas, strategy, seeds=[0])
    assert result.tokens[0, 6:].tolist() == [1, 1]


def test_presets_are_adaptive_in_forwards_per_row():
    """Rows of which much is certain finish sooner, and cost nothing once they have."""
    sure = table(9, 2, 8, VOCAB)
    sure[0] *= 4000  # the first row is certain of everything

    def network(tokens, condition):
        return sure[condition]

    wrapped = unmask.wrap(network, mask_id=MASK, vocab_size=VOCAB)
    canvas = Canvas.blank(2, 8, condition={"condition": torch.tensor([0, 1])})
    for name in ("threshold", "factor", "entropy_bound"):
        preset = getattr(presets, name)
        block = {"block": None} if "block" in inspect.signature(preset).parameters else {}
        forwards = unmask.run(wrapped, canvas, preset(**block), seeds=[0, 1]).forwards.tolist()
        assert forwards[0] == 1, name
        assert forwards[1] > 3, name


@dataclass(frozen=True)
class AtStep(Stop):
    """Every row ends at a step, whatever the model says."""

    step: int

    def __call__(self, state, proposal):
        return state.step >= self.step


@pytest.mark.parametrize(
    "strategy",
    [presets.random_order(8), presets.maskgit(8), presets.llada(4, block=4), presets.annealed(8)],
    ids=lambda s: s.name,
)
def test_a_rule_of_ones_own_may_end_a_plan_that_is_exact(strategy):
    result = unmask.run(Toy(), Canvas.blank(2, 8), strategy.but(stopping=[AtStep(2)]), seeds=[1, 2])
    free = unmask.run(Toy(), Canvas.blank(2, 8), strategy, seeds=[1, 2])
    assert (result.steps < free.steps).all()
    assert (result.tokens != MASK).all()
    assert (result.commit_step >= 0).all()


def test_only_rules_with_a_call_of_their_own_fill_groups():
    rules = [Budget(3), EndOfSequence(1), StableAndConfident(), AtStep(2)]
    assert [rule.fills_groups for rule in rules] == [False, False, True, True]


def calm_rows(stability, nats, of, infos):
    """The step after which one row may end, by the likeliest ids and entropies of all its steps."""
    past = []
    for step, info in enumerate(infos):
        proposal = info.proposal
        entropy = proposal.entropy if of == "model" else proposal.sampling_entropy
        past.append(proposal.top_token[0].tolist())
        recent = past[-stability - 1 :]
        calm = len(recent) > stability and all(each == recent[0] for each in recent)
        if calm and float(entropy[0].mean()) < nats:
            return step
    return len(infos) - 1


@pytest.mark.parametrize("of", ["model", "sampling"])
@pytest.mark.parametrize("stability", [0, 1, 2, 3])
def test_stability_is_a_number_of_steps_and_entropy_of_either_law(stability, of):
    ends = []
    for seed in range(8):
        strategy = presets.diffusion_gemma(30, bound=9.0, t_max=0.5, t_min=0.3)
        both = (StableAndConfident(1e-9), StableAndConfident(1e-9, of="sampling"))
        free = strategy.but(stopping=both)
        infos = list(unmask.stream(Toy(), Canvas.blank(1, 2), free, seeds=[seed]))
        rule = StableAndConfident(1.3, stability, of)
        found = unmask.run(Toy(), Canvas.blank(1, 2), strategy.but(stopping=[rule]), seeds=[seed])
        ends.append(calm_rows(stability, 1.3, of, infos))
        assert found.steps.tolist() == [ends[-1] + 1]
    assert min(ends) < 29


@pytest.mark.parametrize(
    ("options", "message"),
    [({"stability": -1}, "stability=-1: pass a number of steps"), ({"of": "mode"}, "of='mode'")],
)
def test_a_rule_of_rest_that_is_none_is_refused(options, message):
    with pytest.raises(StrategyError, match=message):
        StableAndConfident(**options)


def test_several_ids_end_a_row_and_another_fills_it():
    strategy = presets.random_order(12).but(order=orders.LeftToRight())
    free = unmask.run(Toy(), Canvas.blank(6, 12), strategy, seeds=range(6)).tokens
    rule = EndOfSequence(END, also=[0, 6], fill=1)
    ended = unmask.run(
        Toy(), Canvas.blank(6, 12), strategy.but(stopping=[rule]), seeds=range(6)
    ).tokens
    firsts = set()
    for row, cut in zip(free.tolist(), ended.tolist(), strict=True):
        first = next(i for i, token in enumerate(row) if token in (END, 0, 6))
        assert cut == row[: first + 1] + [1] * (11 - first)
        firsts.add(row[first])
    assert len(firsts) > 1
    assert EndOfSequence(END, also=[0]) == EndOfSequence(END, also=(0,))


@pytest.mark.parametrize("options", [{"also": [99]}, {"also": [MASK]}, {"fill": 99}])
def test_ends_outside_the_vocabulary_are_refused(options):
    strategy = presets.random_order(4).but(stopping=[EndOfSequence(END, **options)])
    with pytest.raises(StrategyError, match="EndOfSequence"):
        unmask.run(Toy(), Canvas.blank(1, 2), strategy, seed=0)


@dataclass(frozen=True)
class Ends(Stop):
    """An end of one's own."""

    end_id: int = END


def test_a_rule_of_ones_own_may_name_the_end():
    strategy = presets.random_order(12).but(order=orders.LeftToRight())
    found = [
        unmask.run(Toy(), Canvas.blank(6, 12), strategy.but(stopping=[rule]), seeds=range(6)).tokens
        for rule in (Ends(), EndOfSequence(END))
    ]
    assert torch.equal(*found)


def test_a_further_end_that_is_forbidden_is_refused():
    with pytest.raises(StrategyError, match=r"EndOfSequence\(4\): the id is forbidden"):
        presets.random_order(4).but(
            stopping=[EndOfSequence(END, also=[4])], constraint=unmask.Constraint(forbidden=[4])
        )
