"""Where a step raises: no row is lost, and the error says which rows it was about."""

import pytest
import torch
from tests.conformance.toys import MASK, VOCAB, Toy, flat
from tests.engine.networks import Told

import unmask
from unmask import Canvas, Engine, presets
from unmask.constraints import Constraint
from unmask.core.state import State
from unmask.errors import CanvasError, DenoiserError, LogitsError, SplitWarning, StrategyError
from unmask.guidance import Guidance
from unmask.orders import CriticOrder

VERIFYING = presets.wino(0.15, 0.9, block=None, temperature=1.0)
NOTHING = Canvas.infill(torch.zeros(2, 4, dtype=torch.int64), torch.zeros(2, 4).bool())


def drain(engine):
    """Each finished row's tokens, by id."""
    found = {}
    while len(engine.unfinished):
        for event in engine.step():
            found |= {row: record.tokens[0].tolist() for row, record in event.results()}
    return found


class Failing(Toy):
    """Raises once when `next_error` is set."""

    next_error = None

    def forward(self, query, cache):
        error, self.next_error = self.next_error, None
        if error is not None:
            raise error
        return super().forward(query, cache)


def test_rows_with_nothing_to_do_are_reported_by_the_step_after_one_that_raised():
    engine = Engine(Failing())
    idle = engine.submit(NOTHING, presets.maskgit(2), [1, 2])
    busy = engine.submit(Canvas.blank(1, 4), presets.maskgit(2), [3])
    engine.denoiser.next_error = ValueError("broken pipe")
    with pytest.raises(DenoiserError, match="broken pipe"):
        engine.step()
    assert sorted(engine.unfinished) == [*idle, *busy]
    assert sorted(drain(engine)) == [*idle, *busy]


def test_rows_with_nothing_to_do_can_be_cancelled_after_a_step_that_raised():
    engine = Engine(Failing())
    idle = engine.submit(NOTHING, presets.maskgit(2), [1, 2])
    engine.submit(Canvas.blank(1, 4), presets.maskgit(2), [3])
    engine.denoiser.next_error = ValueError("broken pipe")
    with pytest.raises(DenoiserError):
        engine.step()
    engine.cancel(idle[:1])
    assert sorted(drain(engine)) == [1, 2]


@pytest.mark.parametrize("opened", [1, 3])
@pytest.mark.parametrize("halves", [True, False])
def test_rows_are_not_lost_where_joining_them_runs_out_of_memory(monkeypatch, opened, halves):
    denoiser, strategy = unmask.wrap(flat, mask_id=MASK, vocab_size=VOCAB), presets.maskgit(4)
    engine, join = Engine(denoiser, halves=halves), State.concat
    seeds = [*range(opened)]
    engine.submit(Canvas.blank(opened, 6), strategy, seeds)
    engine.step()
    later = engine.submit(Canvas.blank(2, 5), strategy, [7, 8])

    def full(states):
        monkeypatch.setattr(State, "concat", staticmethod(join))
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(State, "concat", staticmethod(full))
    if halves:
        with pytest.warns(SplitWarning):
            found = drain(engine)
    else:
        with pytest.raises(torch.OutOfMemoryError):
            engine.step()
        found = drain(engine)
    assert sorted(found) == [*range(opened), *later]
    alone = unmask.run(denoiser, Canvas.blank(2, 5), strategy, seeds=[7, 8]).tokens
    assert [found[row] for row in later] == alone.tolist()


def plain():
    return unmask.wrap(flat, mask_id=MASK, vocab_size=VOCAB)


def cancelled_and_drained(engine, error):
    """The rows that are left once those of the error are cancelled."""
    engine.cancel(error.rows)
    return sorted(drain(engine))


def test_an_error_of_a_shared_pass_names_the_rows_of_all_cohorts():
    def net(tokens):
        if len(tokens) == 5:
            raise ValueError("broken pipe")
        return flat(tokens)

    engine = Engine(unmask.wrap(net, mask_id=MASK, vocab_size=VOCAB))
    engine.submit(Canvas.blank(2, 4), presets.maskgit(2), [1, 2])
    engine.cancel([0])
    engine.submit(Canvas.blank(4, 4), presets.confidence(3), [3, 4, 5, 6])
    with pytest.raises(DenoiserError, match=r"\(step 0, rows \[1, 2, 3, 4, 5\]\)") as caught:
        engine.step()
    assert caught.value.rows == (1, 2, 3, 4, 5)


def broken_order(state, proposal):
    raise ZeroDivisionError


def nothing_fits(tokens, known, position):
    return torch.zeros(len(tokens), VOCAB, dtype=torch.bool)


def not_a_number(state, proposal):
    return torch.full_like(proposal.logprob, torch.nan)


OWN = {
    "order": (
        presets.maskgit(2).but(order=broken_order),
        StrategyError,
        r"\(step 0, rows \[3, 4\]\)",
        (3, 4),
    ),
    "shape": (
        presets.maskgit(2).but(order=lambda state, proposal: torch.zeros(3)),
        StrategyError,
        r"\(step 0, rows \[3, 4\]\)",
        (3, 4),
    ),
    "score": (presets.confidence(2).but(order=not_a_number), StrategyError, "scored row 3", (3,)),
    "hook": (
        presets.maskgit(2).but(constraint=Constraint(feasible=nothing_fits)),
        StrategyError,
        "allows nothing at row 3",
        (3,),
    ),
}


@pytest.mark.parametrize("case", OWN)
def test_an_error_of_one_cohort_names_its_rows_and_no_others(case):
    strategy, kind, words, rows = OWN[case]
    engine = Engine(plain())
    engine.submit(Canvas.blank(3, 5), presets.random_order(2), [1, 2, 3])
    engine.submit(Canvas.blank(2, 5), strategy, [4, 5])
    with pytest.raises((kind, DenoiserError), match=words) as caught:
        engine.step()
    assert caught.value.rows == rows
    if rows == (3, 4):
        assert cancelled_and_drained(engine, caught.value) == [0, 1, 2]


def test_an_error_in_preparing_a_cohort_names_its_rows():
    engine, guided = Engine(Told()), Guidance(2.0, null={"klass": 9})
    classes = {"condition": torch.tensor([1])}
    engine.submit(Canvas.blank(1, 4, **classes), presets.random_order(2), [1])
    canvas = Canvas.blank(1, 4, condition={"condition": torch.tensor([1])})
    engine.submit(canvas, presets.random_order(2).but(guidance=guided), [2])
    with pytest.raises(CanvasError, match=r"null has the entries.*rows \[1\]\)") as caught:
        engine.step()
    assert cancelled_and_drained(engine, caught.value) == [0]


def test_broken_logits_name_the_engines_row():
    def net(tokens):
        logits = flat(tokens)
        logits[tokens[:, 0] == 3] = torch.nan
        return logits

    given = torch.tensor([[3, 0, 0]])
    engine = Engine(unmask.wrap(net, mask_id=MASK, vocab_size=VOCAB))
    engine.submit(Canvas.blank(2, 3), presets.maskgit(2), [1, 2])
    canvas = Canvas.infill(given, torch.tensor([[False, True, True]]))
    engine.submit(canvas, presets.maskgit(2), [3])
    with pytest.raises(LogitsError, match="at row 2, position 1") as caught:
        engine.step()
    assert caught.value.rows == (2,)
    assert cancelled_and_drained(engine, caught.value) == [0, 1]


def test_an_error_in_a_further_pass_names_its_rows_once():
    def net(tokens):
        if len(tokens) != 2:
            raise ValueError("broken pipe")
        return flat(tokens)

    engine = Engine(unmask.wrap(net, mask_id=MASK, vocab_size=VOCAB))
    engine.submit(Canvas.blank(2, 16), VERIFYING, [1, 2])
    with pytest.raises(DenoiserError, match="broken pipe") as caught:
        drain(engine)
    assert str(caught.value).count("rows [") == 1
    assert caught.value.rows
    assert set(caught.value.rows) <= {0, 1}


def raising(*args, **options):
    raise ValueError("none of my business")


@pytest.mark.parametrize(
    ("order", "error", "words"),
    [
        (raising, StrategyError, r"the order \w+ raised ValueError: none of my .*step 0"),
        (CriticOrder(raising), DenoiserError, r"the critic raised ValueError: none of my .*step 0"),
    ],
)
def test_an_order_that_raises_is_told_from_its_critic(order, error, words):
    strategy = presets.confidence(2).but(order=order)
    with pytest.raises(error, match=words) as raised:
        unmask.generate(Toy(), Canvas.blank(2, 4), strategy, seed=0)
    assert raised.value.rows == (0, 1)


class Own(StrategyError):
    """A user's, with a constructor of its own."""

    def __init__(self, message):
        Exception.__init__(self, message)


def test_an_error_of_a_user_s_own_class_gets_its_rows():
    def order(state, proposal):
        raise Own("not today")

    strategy = presets.confidence().but(order=order)
    with pytest.raises(Own, match=r"not today \(step 0, rows \[0, 1\]\)") as caught:
        unmask.generate(Toy(), batch_size=2, length=4, strategy=strategy, seed=0)
    assert caught.value.rows == (0, 1)
