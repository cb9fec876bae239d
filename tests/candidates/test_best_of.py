"""The best of several draws, against loops that draw and score each candidate by itself."""

import dataclasses

import pytest
import torch
from tests.conformance.toys import MASK, VOCAB, Toy, critic
from torch import nn

import unmask
from unmask import Canvas, presets, scoring
from unmask.candidates.scores import scores
from unmask.core.generation import Generation
from unmask.core.random import fold
from unmask.core.state import NEVER
from unmask.errors import CanvasError, LogitsError, SeedError, StrategyError

N_CANDIDATES, SEEDS = 4, [11, 5, 7]
PRESETS = {
    "confidence": presets.confidence(steps=3),
    "maskgit": presets.maskgit(steps=3),
    "random order": presets.random_order(steps=2),
    "re-masking": presets.annealed(steps=3, keep=None, remask=True),
}


def ragged():
    """Rows of 8, 5 and 6 positions, with given tokens before, between and after."""
    tokens = [[3, 0, 0, 4, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 6, 6]]
    editable = [[0, 1, 1, 0, 1, 1, 1, 1], [1, 1, 0, 1, 1], [1, 1, 1, 1, 0, 0]]
    flags = [torch.tensor(row).bool() for row in editable]
    return Canvas.ragged(tokens, flags, pad_id=1)


def row_alone(canvas, row):
    """One row without its padding."""
    end = int(canvas.valid[row].sum())
    return Canvas.infill(canvas.tokens[row : row + 1, :end], canvas.editable[row : row + 1, :end])


def seed_of(row_seed, candidate):
    """The documented derivation, one at a time."""
    return row_seed if candidate == 0 else int(fold(row_seed, torch.tensor([candidate])))


def drawn_apart(strategy, row, candidate):
    alone = row_alone(ragged(), row)
    return unmask.run(Toy(), alone, strategy, seeds=[seed_of(SEEDS[row], candidate)])


def best(by="likelihood", canvas=None, strategy=None, n=N_CANDIDATES, **options):
    options = options or {"seeds": SEEDS}
    strategy = PRESETS["maskgit"] if strategy is None else strategy
    return unmask.best_of(Toy(), ragged() if canvas is None else canvas, strategy, n=n, by=by,
                          **options)  # fmt: skip


def same(one, other):
    return all(
        torch.equal(getattr(one, field.name), getattr(other, field.name))
        for field in dataclasses.fields(Generation)
    )


@pytest.mark.parametrize("strategy", PRESETS.values(), ids=PRESETS)
def test_one_candidate_is_run(strategy):
    found = best(strategy=strategy, n=1)
    assert same(found.best, unmask.run(Toy(), ragged(), strategy, seeds=SEEDS))
    assert same(found.best, found.every)
    assert found.chosen.tolist() == [0, 0, 0]
    assert found.score.shape == (3, 1)


def test_one_candidate_is_run_with_a_single_seed_and_with_torchs_own():
    assert same(best(n=1, seed=4).best, unmask.run(Toy(), ragged(), PRESETS["maskgit"], seed=4))
    torch.manual_seed(9)
    once = best(n=1, seed=None).best
    torch.manual_seed(9)
    assert same(once, unmask.run(Toy(), ragged(), PRESETS["maskgit"]))


@pytest.mark.parametrize("strategy", PRESETS.values(), ids=PRESETS)
def test_candidates_are_those_of_a_loop_and_the_likeliest_is_kept(strategy):
    found = best(strategy=strategy)
    for row in range(3):
        expected = []
        for candidate in range(N_CANDIDATES):
            alone = drawn_apart(strategy, row, candidate)
            end, at = alone.tokens.shape[1], row * N_CANDIDATES + candidate
            assert torch.equal(found.every.tokens[at, :end], alone.tokens[0])
            assert int(found.every.seeds[at]) == seed_of(SEEDS[row], candidate)
            expected.append(float(alone.logprob[0][alone.editable[0]].double().mean()))
        assert found.score[row].tolist() == pytest.approx(expected)
        winner = max(range(N_CANDIDATES), key=lambda j: expected[j])
        assert int(found.chosen[row]) == winner
        alone = drawn_apart(strategy, row, winner)
        end = alone.tokens.shape[1]
        assert torch.equal(found.tokens[row, :end], alone.tokens[0])
        assert torch.equal(found.best.commit_step[row, :end], alone.commit_step[0])
        assert int(found.best.seeds[row]) == seed_of(SEEDS[row], winner)
    assert (found.chosen > 0).any()
    assert found.length.tolist() == [6, 4, 4]
    assert found.lengths.tolist() == [[6] * 4, [4] * 4, [4] * 4]


class Rank(nn.Module):
    """A critic of its own shape (B,N,1), which drops tokens out unless it is put to evaluation."""

    def forward(self, tokens, *, valid, condition=None):
        assert not self.training
        assert not torch.is_grad_enabled()
        return critic(tokens, valid=valid, condition=condition).unsqueeze(-1)


METHODS = {
    "bound": scoring.Bound(2),
    "order": scoring.Ordered(presets.random_order(steps=2)),
    "pseudo": scoring.PseudoLikelihood(),
}
WAYS = {"likelihood": "likelihood", "critic": critic, "module": Rank(), **METHODS}


@pytest.mark.parametrize("by", WAYS.values(), ids=WAYS)
def test_a_row_does_not_notice_its_batch(by):
    """Neither the candidates nor their scores depend on neighbours, or on the rows of a forward."""
    together, order = best(by), torch.tensor([2, 0, 1])
    canvas = ragged()
    turned = Canvas(canvas.tokens[order], canvas.editable[order], canvas.valid[order])
    moved = best(by, turned, seeds=[SEEDS[row] for row in order])
    assert torch.equal(together.score[order], moved.score)
    assert torch.equal(together.tokens[order], moved.tokens)
    for row in range(3):
        alone = best(by, row_alone(canvas, row), seeds=[SEEDS[row]])
        assert torch.allclose(alone.score[0], together.score[row], atol=1e-6)
        assert torch.equal(alone.chosen[0], together.chosen[row])
    for max_rows in (1, 3, 5):
        parts = best(by, seeds=SEEDS, max_rows=max_rows)
        assert same(parts.every, together.every)
        assert torch.allclose(parts.score, together.score, atol=1e-6)


def test_max_rows_is_the_rows_of_a_forward():
    toy = Toy()
    unmask.best_of(toy, ragged(), PRESETS["maskgit"], n=4, seeds=SEEDS, max_rows=5)
    assert max(toy.rows) == 5
    toy = Toy()
    unmask.best_of(toy, ragged(), PRESETS["maskgit"], n=4, seeds=SEEDS)
    assert toy.rows == [12, 12, 12]
    toy = Toy()
    unmask.best_of(
        toy, ragged(), PRESETS["maskgit"], n=4, seeds=SEEDS, max_rows=3, by=METHODS["pseudo"]
    )
    assert max(toy.rows) == 3


def test_pseudo_likelihood_by_hand():
    found = best(METHODS["pseudo"])
    for row in range(3):
        for candidate in range(N_CANDIDATES):
            alone = drawn_apart(PRESETS["maskgit"], row, candidate)
            total, places = 0.0, alone.editable[0].nonzero().flatten().tolist()
            for i in places:
                shown = alone.tokens.clone()
                shown[0, i] = MASK
                logits = Toy().hidden(shown, valid=alone.valid)
                logits[..., [MASK, 2]] = -torch.inf
                total += float(logits[0, i].log_softmax(0)[alone.tokens[0, i]])
            assert float(found.score[row, candidate]) == pytest.approx(total / len(places))


def test_a_critic_by_hand():
    found = best(critic)
    for row in range(3):
        for candidate in range(N_CANDIDATES):
            alone = drawn_apart(PRESETS["maskgit"], row, candidate)
            wrong = critic(alone.tokens, valid=alone.valid, condition=None)[alone.editable]
            assert float(found.score[row, candidate]) == pytest.approx(-float(wrong.mean()))


def test_what_a_critic_says_of_given_tokens_and_padding_does_not_count():
    generated = ragged().editable.repeat_interleave(N_CANDIDATES, 0)

    def mute(tokens, *, valid, condition):
        return torch.where(generated, 1.0, torch.nan)

    assert torch.equal(best(mute).score, torch.full((3, N_CANDIDATES), -1.0).double())


@pytest.mark.parametrize("by", METHODS.values(), ids=METHODS)
def test_a_way_to_score_is_asked_about_what_was_generated(by):
    """Each row as `unmask.score` has it, under one seed that is not that of a candidate."""
    found = best(by)
    for row in range(3):
        here = slice(row * N_CANDIDATES, (row + 1) * N_CANDIDATES)
        seed = seed_of_row(SEEDS[row])
        assert seed not in found.every.seeds.tolist()
        every = found.every
        expected = unmask.score(
            Toy(), every.tokens[here], every.editable[here], by=by, valid=every.valid[here],
            seed=seed,
        )  # fmt: skip
        mean = -expected.per_example / expected.tokens_per_example
        assert torch.allclose(found.score[row], mean, atol=1e-6)


def test_a_function_gets_rows_side_by_side_and_may_check_solutions():
    canvas, seen = ragged(), []

    def starts_with_six(denoiser, generation, wide):
        seen.append((type(denoiser), wide))
        first = generation.editable.long().argmax(1, keepdim=True)
        return (generation.tokens.gather(1, first) == 6).squeeze(1)

    found = best(starts_with_six, n=25)
    [(kind, wide)] = seen
    assert kind is Toy
    assert torch.equal(wide.tokens, canvas.tokens.repeat_interleave(25, 0))
    assert torch.equal(wide.editable, found.every.editable)
    assert torch.equal(wide.valid, found.every.valid)
    assert [int(found.tokens[row, start]) for row, start in enumerate([1, 0, 0])] == [6, 6, 6]
    # Of equally good ones the first.
    assert found.chosen.tolist() == [row.index(1.0) for row in found.score.tolist()]
    assert (found.score.sum(1) < 25).sum() == 2


def test_a_function_that_tells_nothing_of_its_arguments():
    class Silent:
        __signature__ = "nothing"

        def __call__(self, denoiser, generation, canvas):
            return torch.arange(12.0)

    assert best(Silent()).chosen.tolist() == [3, 3, 3]


def test_minus_infinity_is_out():
    out = torch.full((12,), -torch.inf)
    out[[2, 7, 9]] = -1e30
    assert best(lambda *_: out).chosen.tolist() == [2, 3, 1]


class Told(Toy):
    """A toy that is told a class, and a critic beside it that keeps what it was told."""

    def forward(self, query, cache):
        hidden, cache = super().forward(query, cache)
        tilt = torch.arange(VOCAB) * query.condition["class"][:, None, None]
        return hidden + tilt, cache


@pytest.mark.parametrize("by", ["likelihood", scoring.Bound(2), "critic"])
def test_conditions_go_with_their_rows(by):
    condition, told = {"class": torch.tensor([0.0, 3.0, -3.0]), "name": "kept"}, []

    def listening(tokens, *, valid, condition):
        told.append(condition["class"])
        return torch.zeros(tokens.shape)

    canvas = ragged()
    canvas = Canvas(canvas.tokens, canvas.editable, canvas.valid, condition)
    way = listening if by == "critic" else by
    found = unmask.best_of(Told(), canvas, PRESETS["maskgit"], n=2, by=way, seeds=SEEDS, max_rows=5)
    run = unmask.run(Told(), canvas, PRESETS["maskgit"], seeds=SEEDS)
    assert torch.equal(found.every.tokens[::2], run.tokens)
    if by == "critic":
        assert torch.cat(told).tolist() == [0.0, 0.0, 3.0, 3.0, -3.0, -3.0]
        assert [len(part) for part in told] == [5, 1]


def test_what_differs_by_row_is_the_same_for_each_of_its_candidates():
    """Steps and legal ids, which the canvas has, one entry a row."""
    steps, legal = [4, 1, 3], torch.zeros(3, 8, VOCAB, dtype=torch.bool)
    for row, ids in enumerate([[0, 1], [3], [4, 6]]):
        legal[row, :, ids] = True
    canvas = ragged()
    wide = Canvas(canvas.tokens, canvas.editable, canvas.valid, steps=steps, legal=legal)
    found = best(canvas=wide, strategy=presets.confidence(steps=2))
    assert found.every.steps.tolist() == [each for each in steps for _ in range(N_CANDIDATES)]
    for row in range(3):
        here = slice(row * N_CANDIDATES, (row + 1) * N_CANDIDATES)
        written = found.every.tokens[here][found.every.editable[here]]
        assert set(written.tolist()) <= set(legal[row, 0].nonzero().flatten().tolist())
    with pytest.raises(CanvasError, match=r"steps=\[1, 2, 3, 4\] for 3 rows: pass one integer"):
        Canvas(canvas.tokens, canvas.editable, canvas.valid, steps=[1, 2, 3, 4])


@pytest.mark.parametrize("by", WAYS.values(), ids=WAYS)
def test_a_row_with_nothing_to_generate_scores_0(by):
    canvas = ragged()
    editable = canvas.editable.clone()
    editable[1] = False
    found = best(by, Canvas(canvas.tokens, editable, canvas.valid))
    assert found.score[1].tolist() == [0.0] * N_CANDIDATES
    assert int(found.chosen[1]) == 0
    assert torch.equal(found.tokens[1], canvas.tokens[1])
    assert torch.equal(found.score[[0, 2]], best(by).score[[0, 2]])


@pytest.mark.parametrize("by", WAYS.values(), ids=WAYS)
def test_what_only_follows_from_an_end_is_not_scored(by):
    """Positions that generation may write but never committed: filled in behind an end."""
    whole = best()
    never = whole.every.commit_step.clone()
    logprob = whole.every.logprob.clone()
    for at in range(12):
        last = int(whole.every.editable[at].nonzero()[-1])
        never[at, last], logprob[at, last] = NEVER, 0.0
    ended = dataclasses.replace(whole.every, commit_step=never, logprob=logprob)
    shorter = dataclasses.replace(ended, editable=ended.editable & (never != NEVER))
    seeds, wide = whole.every.seeds.view(3, 4), ragged()
    wide = Canvas(
        *(part.repeat_interleave(4, 0) for part in (wide.tokens, wide.editable, wide.valid))
    )
    found = scores(by, Toy(), ended, wide, seeds, 256)
    assert torch.equal(found, scores(by, Toy(), shorter, wide, seeds, 256))
    assert not torch.allclose(found, scores(by, Toy(), whole.every, wide, seeds, 256))


def test_the_seed_of_a_way_to_score_is_that_of_its_row():
    class BySeed:
        kind = "pseudo"

        def __call__(self, denoiser, canvas, seed, batch_size, report):
            return canvas.editable.sum(1) * float(seed % 1000)

    together = best(BySeed()).score
    assert together[:, 0].tolist() == [-(seed_of_row(row) % 1000) for row in SEEDS]
    assert torch.equal(best(BySeed(), row_alone(ragged(), 2), seeds=[SEEDS[2]]).score, together[2:])


def seed_of_row(row_seed):
    """What is scored at random goes by this one, which no candidate has."""
    return int(fold(row_seed, torch.tensor([0])))


WRONG = {
    "a misspelt way": ({"by": "likelyhood"}, StrategyError, r"by='likelyhood': pass 'likelihood'"),
    "nothing": ({"by": None}, StrategyError, r"by=None: pass 'likelihood'"),
    "a way not called": (
        {"by": scoring.Bound},
        StrategyError,
        r"Bound.*such as scoring\.Bound\(\)",
    ),
    "no number": ({"by": lambda *_: 1.0}, StrategyError, r"a float for 12 candidates.*\(12,\)"),
    "a number a position": (
        {"by": lambda d, g, c: g.logprob},
        StrategyError,
        r"shape \(12, 8\) for 12 candidates",
    ),
    "a number a row": ({"by": lambda *_: torch.zeros(3)}, StrategyError, r"shape \(3,\) for 12"),
    "NaN": (
        {"by": lambda *_: torch.arange(12).float().masked_fill(torch.arange(12) == 6, torch.nan)},
        StrategyError,
        r"scored candidate 2 of row 1 as NaN: return a number",
    ),
    "a critic of NaN": (
        {"by": lambda tokens, *, valid, condition: torch.full(tokens.shape, torch.nan)},
        StrategyError,
        r"scored candidate 0 of row 0 as NaN",
    ),
    "a critic a row": (
        {"by": lambda tokens, *, valid, condition: torch.zeros(len(tokens))},
        LogitsError,
        r"the critic returned shape \(12,\) for tokens of shape \(12, 8\)",
    ),
    "no candidates": ({"n": 0}, StrategyError, r"n=0: pass an integer of 1 or more"),
    "half a candidate": ({"n": 2.5}, StrategyError, r"n=2\.5: pass an integer of 1 or more"),
    "True candidates": ({"n": True}, StrategyError, r"n=True: pass an integer of 1 or more"),
    "nothing at once": ({"max_rows": 0, "seed": 1}, StrategyError, r"max_rows=0: pass an integer"),
    "seeds of the candidates": ({"seeds": range(12)}, SeedError, r"12 seeds for 3 rows"),
    "no canvas": ({"canvas": [1]}, CanvasError, r"canvas is a list: pass Canvas\.blank"),
    "a preset not called": ({"strategy": presets.maskgit}, StrategyError, r"has been called"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be(name):
    options, error, words = WRONG[name]
    with pytest.raises(error, match=words):
        best(**options)


def test_a_way_that_cannot_be_is_found_out_before_anything_is_generated():
    toy = Toy()
    for options in ({"by": "nonsense"}, {"max_rows": 0}):
        with pytest.raises(StrategyError):
            unmask.best_of(toy, ragged(), n=2, **options)
    assert toy.rows == []
