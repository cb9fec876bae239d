"""Another strategy halfway: what goes on as it should, and what is refused."""

import pickle

import pytest
import torch
from tests.conformance.toys import MASK, VOCAB, Toy, flat

import unmask
from unmask import Canvas, Engine, Groups, Sampling, done, finish, init, orders, presets, step
from unmask.constraints import Constraint
from unmask.errors import StrategyError
from unmask.guidance import Guidance, HidePrompt
from unmask.noise import PreviousSample
from unmask.stopping import Budget, EndOfSequence, StableAndConfident

NET = unmask.wrap(flat, mask_id=MASK, vocab_size=VOCAB)
PLAN, ADAPTIVE = presets.random_order(4), presets.threshold(0.95, block=None)
GUIDED = Guidance(1.5, null=HidePrompt())


def halfway(strategy):
    state = init(NET, Canvas.blank(2, 9), strategy, [1, 2])
    return step(state, NET, strategy).state


REFUSED = {
    "plan to threshold": (PLAN, ADAPTIVE, "plan=Scheduled"),
    "threshold to plan": (ADAPTIVE, PLAN, "plan=NoPlan"),
    "other steps": (PLAN, presets.random_order(6), "steps=4.*steps=6"),
    "to wino": (PLAN, presets.wino(block=None), "plan="),
    "to remdm": (PLAN, presets.remdm(4), "plan="),
    "to klass": (
        ADAPTIVE,
        presets.klass(block=None),
        r"histories=\[\].*histories=\['divergence'\]",
    ),
    "to guided": (PLAN, PLAN.but(guidance=GUIDED), "readings=1.*readings=2"),
    "from guided": (PLAN.but(guidance=GUIDED), PLAN, "readings=2.*readings=1"),
    "to a budget": (PLAN, PLAN.but(stopping=[Budget(3)]), r"budget=.*budget=3"),
    "to another end": (PLAN, PLAN.but(stopping=[EndOfSequence(1)]), "end_id=None.*end_id=1"),
    "to an early stop": (PLAN, PLAN.but(stopping=[StableAndConfident()]), "exact_counts=True"),
    "to groups": (PLAN, PLAN.but(groups=Groups.blocks(3)), "groups=None"),
    "to last samples": (PLAN, PLAN.but(noise=PreviousSample()), "keeps_sample=False"),
    "other levels": (presets.soundstorm(2, 3, 3), presets.soundstorm(2, 3, 1), "plan="),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_strategy_that_would_have_begun_otherwise_is_refused(case):
    first, then, words = REFUSED[case]
    state = halfway(first)
    told = rf"(?s)begun with .*{words}.*cannot change.*Canvas.infill\(state.tokens, state.masked"
    with pytest.raises(StrategyError, match=told):
        step(state, NET, then)
    engine = Engine(NET)
    with pytest.raises(StrategyError, match=told):
        engine.adopt(state, then)
    assert not len(engine.unfinished)


KEPT = {
    "sampling": (PLAN, PLAN.but(sampling=Sampling(temperature=0.0))),
    "order": (PLAN, PLAN.but(order=orders.LeftToRight())),
    "order that reads the model": (PLAN, PLAN.but(order=orders.Probability())),
    "constraint": (PLAN, PLAN.but(constraint=Constraint(forbidden=[0]))),
    "threshold": (ADAPTIVE, presets.threshold(0.5, block=None)),
    "weight": (PLAN.but(guidance=GUIDED), PLAN.but(guidance=Guidance(3.0, null=HidePrompt()))),
}


@pytest.mark.parametrize("case", KEPT)
def test_what_is_read_at_each_step_may_change_between_steps(case):
    first, then = KEPT[case]
    state = before = halfway(first)
    while not done(state):
        state = step(state, NET, then).state
    record = finish(state)
    early = ~before.masked
    assert torch.equal(record.tokens[early], before.tokens[early])
    assert (record.tokens < VOCAB).all()
    assert (record.tokens != MASK).all()
    engine, found = Engine(NET), {}
    engine.adopt(before, then)
    while len(engine.unfinished):
        for event in engine.step():
            found |= dict(event.results())
    assert [found[row].tokens[0].tolist() for row in (0, 1)] == record.tokens.tolist()


def test_a_constraint_that_does_not_fit_is_refused_halfway_too():
    state = halfway(PLAN)
    with pytest.raises(StrategyError, match="99"):
        step(state, NET, PLAN.but(constraint=Constraint(forbidden=[99])))


def test_a_state_goes_on_elsewhere_under_the_same_strategy_made_anew():
    state = halfway(presets.klass(block=None))
    moved, strategy = pickle.loads(pickle.dumps((state, presets.klass(block=None))))
    while not done(moved):
        moved = step(moved, NET, strategy).state
    while not done(state):
        state = step(state, NET, presets.klass(block=None)).state
    assert torch.equal(finish(moved).tokens, finish(state).tokens)


@pytest.mark.parametrize("network", [NET, Toy()], ids=["plain", "self-conditioned"])
def test_a_new_canvas_goes_on_from_what_is_known(network):
    """What the error says to do."""
    state = init(network, Canvas.blank(2, 9), PLAN, [1, 2])
    state = step(state, network, PLAN).state
    then = presets.klass(block=None)
    canvas = Canvas.infill(state.tokens, state.masked, valid=state.valid)
    rest = unmask.run(network, canvas, then, seeds=state.rows.seed)
    assert torch.equal(rest.tokens[~state.masked], state.tokens[~state.masked])
    assert (rest.tokens != MASK).all()
