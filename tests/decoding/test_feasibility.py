"""Joint constraints: with a hook, every output is valid, and nothing valid is out of reach."""

from itertools import pairwise, product

import pytest
import torch
from tests.conformance.toys import MASK, VOCAB, Toy
from tests.reference.oracles import chi_square

import unmask
from unmask import Canvas, Constraint, Sampling, presets
from unmask.constraints import Automaton, Listed
from unmask.errors import CanvasError, StrategyError
from unmask.revise import Edit, Remask
from unmask.tasks import shidoku

K, N = 3, 4  # ids of data, positions
# Ids 0 and 1 never follow each other directly, and the number of 2s is even.
AUTOMATON = Automaton(
    #   0   1   2 mask    states: (nothing or 2, 0, 1 last) × (even, odd number of 2s)
    torch.tensor(
        [
            [1, 2, 3, -1],
            [1, -1, 3, -1],
            [-1, 2, 3, -1],
            [4, 5, 0, -1],
            [4, -1, 0, -1],
            [-1, 5, 0, -1],
        ]
    ),
    start=0,
    accept=[0, 1, 2],
)


def in_language(word):
    return word.count(2) % 2 == 0 and all({a, b} != {0, 1} for a, b in pairwise(word))


WORDS = [word for word in product(range(K), repeat=N) if in_language(word)]


def uneven(tokens):
    """A network that likes what the language forbids: 0 and 1 in turn."""
    place = torch.arange(tokens.shape[1])
    logits = torch.zeros(*tokens.shape, K + 1)
    logits[:, place % 2 == 0, 0] = 1.0
    logits[:, place % 2 == 1, 1] = 1.0
    return logits


def words(strategy, rows=3000, canvas=None):
    network = unmask.wrap(uneven, mask_id=K)
    canvas = canvas or Canvas.blank(rows, N)
    return [tuple(row) for row in unmask.generate(network, canvas, strategy, seed=0).tolist()]


STRATEGIES = {
    "one at a time": presets.random_order(N),
    "all at once": presets.random_order(1),
    "draw, then choose": presets.maskgit(2),
    "re-masking": presets.p2(3),
    "adaptive": presets.entropy_bound(1.0),
}


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_word_is_in_the_language_and_every_word_of_it_comes_out(name):
    constraint = Constraint(feasible=AUTOMATON)
    seen = set(words(STRATEGIES[name].but(constraint=constraint), rows=20_000))
    assert seen == set(WORDS)
    without = set(words(STRATEGIES[name]))
    assert not without <= set(WORDS)  # the control: without the hook the network goes astray


def test_the_law_is_that_of_commits_made_one_at_a_time_among_what_is_allowed():
    """Left to right in one step: each token from the network's law cut to what can be completed."""
    strategy = presets.random_order(1).but(
        order=unmask.orders.LeftToRight(), constraint=Constraint(feasible=AUTOMATON)
    )
    p = uneven(torch.zeros(1, N, dtype=torch.int64))[0, :, :K].double().softmax(-1)
    law = {}
    for word in WORDS:
        mass = 1.0
        for i, token in enumerate(word):
            next_ids = {other[i] for other in WORDS if other[:i] == word[:i]}
            mass *= float(p[i, token] / sum(p[i, a] for a in next_ids))
        law[word] = mass
    assert sum(law.values()) == pytest.approx(1)
    drawn = words(strategy, rows=20_000)
    counts = [drawn.count(word) for word in WORDS]
    assert chi_square(counts, [law[word] for word in WORDS]) > 1e-4
    conditional = [  # the negative control: rejecting whole words is another law
        float(torch.stack([p[i, t] for i, t in enumerate(word)]).prod()) for word in WORDS
    ]
    assert chi_square(counts, conditional) < 1e-6


def test_prompts_are_respected():
    editable = torch.tensor([[True, False, True, True]]).expand(500, -1)
    canvas = Canvas.infill(torch.full((500, N), 2), editable)
    strategy = presets.random_order(2).but(constraint=Constraint(feasible=AUTOMATON))
    assert set(words(strategy, canvas=canvas)) == {word for word in WORDS if word[1] == 2}


def test_shidoku_boards_are_valid_by_construction_whatever_the_network_says():
    network = unmask.wrap(lambda t: torch.zeros(*t.shape, shidoku.VOCAB), mask_id=shidoku.MASK_ID)
    strategy = presets.random_order(2).but(constraint=Constraint(feasible=shidoku.feasible()))
    boards = unmask.generate(network, Canvas.blank(2500, 16), strategy, seed=0)
    assert bool(shidoku.is_valid(boards).all())
    assert len({tuple(board) for board in boards.tolist()}) == shidoku.GRID_COUNT


def test_a_row_does_not_notice_its_batch():
    strategy = presets.maskgit(2).but(constraint=Constraint(feasible=AUTOMATON))
    network = unmask.wrap(uneven, mask_id=K)
    full = unmask.run(network, Canvas.blank(5, N), strategy, seeds=range(5))
    for row in range(5):
        alone = unmask.run(network, Canvas.blank(1, N), strategy, seeds=[row])
        assert torch.equal(alone.tokens[0], full.tokens[row])
        assert torch.allclose(alone.sampling_logprob[0], full.sampling_logprob[row])


def test_rows_of_different_lengths_end_where_they_end():
    """Exactly two 2s in a row of two and in a row of three: padding is no place for a token."""
    two = Automaton(torch.tensor([[0, 0, 1, -1], [1, 1, 2, -1], [2, 2, -1, -1]]), 0, [2])
    strategy = presets.random_order(2).but(constraint=Constraint(feasible=two))
    network = unmask.wrap(uneven, mask_id=K)
    canvas = Canvas.ragged([[0] * 2, [0] * 3, [0] * 4])
    tokens = unmask.generate(network, canvas, strategy, seed=0)
    counts = (tokens == 2) & canvas.valid
    assert counts.sum(1).tolist() == [2, 2, 2]


def test_what_is_re_masked_in_the_same_step_is_not_known_to_the_hook():
    asked = []

    def hook(tokens, known, position):
        asked.append(known.clone())
        return torch.ones(len(tokens), K + 1, dtype=torch.bool).index_fill(
            1, torch.tensor([K]), False
        )

    strategy = presets.p2(4, eta=50.0).but(constraint=Constraint(feasible=hook))
    network, taken_back = unmask.wrap(uneven, mask_id=K), 0
    for info in unmask.stream(network, Canvas.blank(1, 4), strategy, seeds=[3]):
        for known in asked:
            assert not (known & info.remasked).any()
        taken_back += int(info.remasked.sum()) if asked else 0
        asked.clear()
    assert taken_back


def test_what_is_allowed_anyway_stays_as_it_was_drawn():
    everything = Listed(torch.tensor(list(product(range(K), repeat=N))), K + 1)
    strategy = presets.maskgit(2)
    assert words(strategy.but(constraint=Constraint(feasible=everything))) == words(strategy)


def test_a_canvas_that_cannot_be_completed_is_told():
    editable = torch.tensor([[False, False, True, True]])
    canvas = Canvas.infill(torch.tensor([[0, 1, 0, 0]]), editable)
    listed = Listed(torch.tensor(WORDS), K + 1)
    strategy = presets.random_order(2).but(constraint=Constraint(feasible=listed))
    with pytest.raises(StrategyError, match=r"allows nothing at row 0, position \d, step 0"):
        words(strategy, canvas=canvas)
    strategy = presets.random_order(2).but(constraint=Constraint(feasible=AUTOMATON))
    told = r"no sequence of the 4 positions of row 0 that it reads, with the 2 that are given"
    with pytest.raises(CanvasError, match=told):  # before the network is asked
        unmask.init(unmask.wrap(uneven, mask_id=K), canvas, strategy, seeds=[0])


def test_a_hook_that_answers_in_another_shape_is_told():
    strategy = presets.random_order(2)
    strategy = strategy.but(constraint=Constraint(feasible=lambda *_: torch.ones(2, 2)))
    with pytest.raises(
        StrategyError,
        match=r"returned torch.float32 of shape \(2, 2\): return a tensor of torch.bool",
    ):
        words(strategy)


def test_a_hook_and_later_changes_contradict_each_other():
    strategy = presets.random_order(2).but(constraint=Constraint(feasible=AUTOMATON))
    with pytest.raises(StrategyError, match=r"Edit changes them later: use revise=Never"):
        strategy.but(revise=Edit())
    assert strategy.but(revise=Remask())


# --- required values ---------------------------------------------------------------------------


def test_required_values_are_what_comes_out():
    required = torch.tensor([4, -1, 0, -1])
    strategy = presets.random_order(2)
    tokens = unmask.generate(Toy(), Canvas.blank(40, 4, required=required), strategy, seed=0)
    assert (tokens[:, 0] == 4).all()
    assert (tokens[:, 2] == 0).all()
    assert len(tokens[:, 1].unique()) > 1
    each = torch.tensor([[4, -1], [-1, 6]])
    strategy = presets.random_order(1)
    tokens = unmask.generate(Toy(), Canvas.blank(2, 2, required=each), strategy, seed=0)
    assert (tokens[0, 0], tokens[1, 1]) == (4, 6)


def test_a_hook_that_is_none_is_refused():
    with pytest.raises(StrategyError, match=r"feasible=3: pass a function"):
        Constraint(feasible=3)


@pytest.mark.parametrize(
    ("required", "words"),
    [
        ([1.5, 2, 3, 4], r"pass an int64 tensor of shape \(N,\) or \(B,N\)"),
        ([1, 2], r"required has shape \(2,\): pass \(4,\) or \(2, 4\)"),
        (torch.zeros(1, 1, 1, dtype=torch.int64), r"shape \(1, 1, 1\): pass"),
        (torch.tensor([1, 2]), r"required has shape \(2,\): pass \(4,\) or \(2, 4\)"),
        (torch.tensor([1, 2, VOCAB, 0]), r"outside the vocabulary of 7"),
        (torch.tensor([MASK, -1, -1, -1]), r"requires an id that is forbidden, stands for unknown"),
    ],
)
def test_required_values_that_do_not_fit(required, words):
    strategy = presets.random_order(2).but(sampling=Sampling(temperature=0.5))

    def generate():
        canvas = Canvas.blank(2, 4, required=required)
        return unmask.generate(Toy(), canvas, strategy, seed=0)

    with pytest.raises(unmask.errors.InputError, match=words):
        generate()
