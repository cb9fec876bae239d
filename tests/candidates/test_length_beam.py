"""Several lengths of each row in one batch, against loops that run each by itself."""

import pytest
import torch
from tests.conformance.toys import VOCAB, Toy
from tests.scoring.worlds import liar

import unmask
from unmask import Canvas, presets, scoring
from unmask.core.random import fold
from unmask.errors import CanvasError, SeedError, StrategyError

SEEDS, LENGTHS = [5, 105, 205], [6, 2, 4]  # such that each length is the best of some row
PROMPTS = [[3, 1], [], [6, 6, 0]]
SUFFIXES = [[4], [1, 1, 1], []]
MASKGIT = presets.maskgit(steps=3)


def beam(lengths=LENGTHS, strategy=MASKGIT, **options):
    options = {"seeds": SEEDS, "prompt": PROMPTS, **options}
    return unmask.length_beam(Toy(), lengths, strategy, **options)


def one(prompt, length, suffix):
    """The canvas of one candidate."""
    tokens = torch.tensor([[*prompt, *[0] * length, *suffix]])
    editable = torch.zeros(tokens.shape, dtype=torch.bool)
    editable[0, len(prompt) : len(prompt) + length] = True
    return Canvas.infill(tokens, editable)


def apart(row, candidate, length, suffix=()):
    """One candidate by itself."""
    seed = SEEDS[row] if candidate == 0 else int(fold(SEEDS[row], torch.tensor([candidate])))
    return unmask.run(Toy(), one(PROMPTS[row], length, suffix), MASKGIT, seeds=[seed])


@pytest.mark.parametrize("suffixes", [None, SUFFIXES])
def test_candidates_are_those_of_a_loop_and_the_likeliest_per_token_is_kept(suffixes):
    found = beam(suffix=suffixes)
    sums = []
    for row in range(3):
        alone = [
            apart(row, j, length, suffixes[row] if suffixes else ())
            for j, length in enumerate(LENGTHS)
        ]
        for j, run in enumerate(alone):
            end = run.tokens.shape[1]
            assert torch.equal(found.every.tokens[3 * row + j, :end], run.tokens[0])
            assert int(found.every.valid[3 * row + j].sum()) == end
        total = [float(run.logprob.double().sum()) for run in alone]
        mean = [nats / length for nats, length in zip(total, LENGTHS, strict=True)]
        assert found.score[row].tolist() == pytest.approx(mean)
        winner = max(range(3), key=lambda j: mean[j])
        assert int(found.chosen[row]) == winner
        assert int(found.length[row]) == LENGTHS[winner]
        end = alone[winner].tokens.shape[1]
        assert torch.equal(found.tokens[row, :end], alone[winner].tokens[0])
        sums.append(max(range(3), key=lambda j: total[j]))
    assert found.lengths.tolist() == [LENGTHS] * 3
    assert sorted(found.length.tolist()) == sorted(LENGTHS)
    # A sum of log-probabilities would choose otherwise: it favours few tokens.
    assert sums != found.chosen.tolist()


def test_one_length_is_run():
    found = unmask.length_beam(Toy(), [5], MASKGIT, batch_size=4, seed=1)
    run = unmask.run(Toy(), Canvas.blank(4, 5), MASKGIT, seed=1)
    assert torch.equal(found.tokens, run.tokens)
    assert torch.equal(found.best.seeds, run.seeds)
    assert found.length.tolist() == [5] * 4


def test_all_lengths_run_as_one_batch():
    toy = Toy()
    unmask.length_beam(toy, LENGTHS, MASKGIT, prompt=PROMPTS, seeds=SEEDS)
    assert toy.rows[0] == 9
    toy = Toy()
    unmask.length_beam(toy, LENGTHS, MASKGIT, prompt=PROMPTS, seeds=SEEDS, max_rows=4)
    assert max(toy.rows) == 4


@pytest.mark.parametrize("by", ["likelihood", scoring.Bound(2)], ids=["likelihood", "bound"])
def test_a_row_does_not_notice_its_batch(by):
    together = beam(by=by)
    for row in range(3):
        alone = beam(by=by, prompt=PROMPTS[row], seeds=[SEEDS[row]])
        end = alone.tokens.shape[1]
        assert torch.allclose(alone.score[0], together.score[row], atol=1e-6)
        assert torch.equal(alone.length[0], together.length[row])
        assert torch.equal(alone.tokens[0], together.tokens[row, :end])


def test_lengths_of_each_rows_own_and_a_predictor_of_them():
    own, asked = [[2, 6], [4, 4], [1, 3]], []

    def predictor(prompts, condition):
        asked.append(([prompt.tolist() for prompt in prompts], condition))
        return torch.tensor(own)

    found = beam(own)
    assert found.lengths.tolist() == own
    for row in range(3):
        run = apart(row, 1, own[row][1])
        assert torch.equal(found.every.tokens[2 * row + 1, : run.tokens.shape[1]], run.tokens[0])
    for lengths in (torch.tensor(own), predictor):
        assert torch.equal(beam(lengths).every.tokens, found.every.tokens)
    assert asked == [(PROMPTS, None)]


def test_the_same_length_twice_is_two_draws():
    found = beam([4, 4])
    assert not torch.equal(found.every.tokens[::2], found.every.tokens[1::2])


PROMPT_FORMS = {
    "a list": [5, 1],
    "a tuple": (5, 1),
    "a tensor": torch.tensor([5, 1]),
    "numbers that are tensors": [torch.tensor(5), torch.tensor(1)],
    "one row": [[5, 1]],
    "rows": [[5, 1]] * 3,
    "tensors": [torch.tensor([5, 1])] * 3,
    "a matrix": torch.tensor([[5, 1]] * 3),
}


@pytest.mark.parametrize("prompt", PROMPT_FORMS.values(), ids=PROMPT_FORMS)
def test_a_prompt_for_all_rows_or_one_a_row(prompt):
    found = unmask.length_beam(Toy(), [2, 3], MASKGIT, prompt=prompt, batch_size=3, seed=5)
    assert found.tokens.shape == (3, 5)
    assert found.every.tokens[:, :2].tolist() == [[5, 1]] * 6
    assert found.every.editable.sum(1).tolist() == [2, 3] * 3


def test_as_many_rows_as_there_are_prompts_or_suffixes_else_one():
    def rows(**given):
        return len(unmask.length_beam(Toy(), [2, 3], MASKGIT, seed=5, **given).tokens)

    assert rows() == 1
    assert rows(prompt=[5, 1]) == 1
    assert rows(prompt=PROMPTS) == 3
    assert rows(suffix=SUFFIXES) == 3
    assert rows(prompt=[5], suffix=SUFFIXES) == 3
    assert rows(prompt=PROMPTS, suffix=[5]) == 3
    assert rows(batch_size=2, prompt=[]) == 2


class Told(Toy):
    """A toy that is told a class."""

    def forward(self, query, cache):
        hidden, cache = super().forward(query, cache)
        return hidden + torch.arange(VOCAB) * query.condition[:, None, None], cache


def test_a_condition_may_be_a_list_or_one_number():
    def beam_of(condition):
        return unmask.length_beam(
            Told(), [2, 4], MASKGIT, batch_size=2, condition=condition, seeds=[1, 2]
        ).every.tokens

    assert torch.equal(beam_of([0, 3]), beam_of(torch.tensor([0, 3])))
    assert torch.equal(beam_of(3), beam_of(torch.tensor([3, 3])))


def test_conditions_go_with_their_rows():
    condition, asked = torch.tensor([0.0, 3.0, -3.0]), []

    def predictor(prompts, condition):
        asked.append(condition)
        return torch.tensor([[3, 5]] * len(prompts))

    found = unmask.length_beam(
        Told(), predictor, MASKGIT, batch_size=3, condition=condition, seeds=SEEDS
    )
    run = unmask.run(Told(), Canvas.blank(3, 3, condition=condition), MASKGIT, seeds=SEEDS)
    assert torch.equal(found.every.tokens[::2, :3], run.tokens)
    assert asked[0] is condition


def test_a_network_that_takes_no_padding_flags():
    found = unmask.length_beam(liar(), [4], presets.confidence(steps=2), batch_size=5, seed=2)
    run = unmask.run(liar(), Canvas.blank(5, 4), presets.confidence(steps=2), seed=2)
    assert torch.equal(found.tokens, run.tokens)


WRONG = {
    "no lengths": ({"lengths": []}, CanvasError, r"lengths=\[\] for 3 rows: pass integers of 1"),
    "empty lengths": ({"lengths": torch.zeros(3, 0).long()}, CanvasError, r"for 3 rows: pass"),
    "lengths of None": ({"lengths": None}, CanvasError, r"lengths=None for 3 rows"),
    "a word": ({"lengths": "8"}, CanvasError, r"lengths='8' for 3 rows"),
    "a length of 0": ({"lengths": [4, 0]}, CanvasError, r"lengths=\[4, 0\].*1 or more"),
    "half a length": ({"lengths": [2.5]}, CanvasError, r"lengths=\[2\.5\].*integers"),
    "True lengths": ({"lengths": [True]}, CanvasError, r"lengths=\[True\].*integers"),
    "one number": ({"lengths": 8}, CanvasError, r"lengths=8 for 3 rows.*\[8, 10, 12\]"),
    "words": ({"lengths": ["8"]}, CanvasError, r"lengths=\['8'\]"),
    "lengths of two rows": ({"lengths": [[2], [3]]}, CanvasError, r"for 3 rows.*\(3,L\)"),
    "uneven lengths": ({"lengths": [[2], [3, 4], [1]]}, CanvasError, r"for 3 rows.*\(3,L\)"),
    "a predictor of too few": (
        {"lengths": lambda prompts, condition: torch.tensor([[2, 3]])},
        CanvasError,
        r"tensor\(\[\[2, 3\]\]\) for 3 rows",
    ),
    "a prompt in words": ({"prompt": "abc"}, CanvasError, r"prompt='abc': pass ids for all rows"),
    "a prompt of floats": ({"prompt": [0.5]}, CanvasError, r"prompt=\[0\.5\]: pass ids"),
    "a prompt of flags": ({"prompt": [True]}, CanvasError, r"prompt=\[True\]: pass ids"),
    "a prompt of None": ({"prompt": [None]}, CanvasError, r"prompt=\[None\]: pass ids"),
    "uneven rows": ({"prompt": [[[1], [2, 3]]]}, CanvasError, r"pass ids for all rows"),
    "a number": ({"prompt": 5}, CanvasError, r"prompt=5: pass ids"),
    "half nested": ({"prompt": [[1], 2, 3]}, CanvasError, r"prompt=\[\[1\], 2, 3\]: pass ids"),
    "too deep": ({"prompt": [[[1]], [[2]]]}, CanvasError, r"pass ids for all rows"),
    "a suffix in words": ({"suffix": "abc"}, CanvasError, r"suffix='abc': pass ids for all rows"),
    "other suffixes": (
        {"suffix": [[1], [2]]},
        CanvasError,
        r"prompt has 3 rows and suffix has 2 rows: pass as many",
    ),
    "another batch": ({"batch_size": 4}, CanvasError, r"prompt has 3 rows and batch_size=4: pass"),
    "no batch": ({"batch_size": 0}, CanvasError, r"batch_size=0: pass an integer of 1 or more"),
    "half a batch": ({"batch_size": 1.5}, CanvasError, r"batch_size=1\.5: pass an integer"),
    "other conditions": (
        {"condition": torch.zeros(4)},
        CanvasError,
        r"condition of shape \(4,\) for 3 rows",
    ),
    "an id outside": ({"prompt": [[1], [9], [2]]}, CanvasError, r"id 9.*outside the vocabulary"),
    "seeds of candidates": ({"seeds": range(9)}, SeedError, r"9 seeds for 3 rows"),
    "copies": ({"prompt": [5], "batch_size": 3, "seeds": [1, 1, 2]}, SeedError, r"rows 0 and 1"),
    "a misspelt way": ({"by": "likely"}, StrategyError, r"by='likely': pass 'likelihood'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be(name):
    options, error, words = WRONG[name]
    with pytest.raises(error, match=words):
        beam(**options)
