"""Parts that contradict each other say what conflicts and which part to change."""

import pytest
import torch
from tests.conformance.toys import Toy

import unmask
from unmask import Canvas, Groups, Strategy, commit, noise, orders, presets
from unmask.commit import ByGroup, ReMDM
from unmask.errors import CanvasError, InputError, StrategyError
from unmask.schedules import linear


class BiasedCommit(commit.Threshold):
    """A commit rule that says it changes the logits."""

    biases = True


def adaptive(rule, order=None):
    return Strategy(rule, order or orders.Probability("after"))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: adaptive(commit.Threshold(), orders.Random()),
            r"Threshold compares log-probabilities.*order Random gives none.*Probability\(\)",
        ),
        (
            lambda: adaptive(commit.EntropyBound()),
            r"EntropyBound compares entropies.*Probability gives none.*Entropy\(\)",
        ),
        (
            lambda: adaptive(commit.Factor(), orders.Probability("after", log=False)),
            r"Factor compares log-probabilities",
        ),
        (lambda: commit.Threshold(0.9, cap=0), r"cap=0: every step must be able to commit"),
        (lambda: commit.Threshold(1.5), r"threshold=1.5: pass a probability"),
        (lambda: commit.Factor(0), r"factor=0: pass a number above 0"),
        (lambda: commit.EntropyBound(-1), r"bound=-1: pass nats"),
        (lambda: presets.token_to_mask("rivl"), r"by='rivl'.*did you mean 'rival'"),
        (lambda: presets.token_to_mask(doubt=2), r"bound=2: pass a probability"),
        (lambda: presets.token_to_mask(times=0), r"times=0: pass an integer of 1 or more"),
        (lambda: presets.adablock([]), r"delimiters=\(\): pass one id or more"),
        (lambda: presets.adablock([3], window=2), r"window=2: pass a probability"),
        (
            lambda: presets.adablock([3]).but(groups=Groups.blocks(4)),
            r"makes blocks of its own, and the groups are blocks of 4: leave groups= out",
        ),
        (lambda: orders.Credit(alpha=-1), r"alpha=-1: pass a number of 0 or more"),
        (lambda: orders.Credit(beta=1.5), r"beta=1.5: pass a probability"),
        (
            lambda: adaptive(BiasedCommit(), orders.Credit()),
            r"Credit and BiasedCommit both change the logits.*leave one",
        ),
        (lambda: commit.FrechetProfile(1), r"delta=1: pass a number below 1, such as 0.25"),
        (lambda: commit.NearAnchors(radius=0), r"radius=0: pass an integer of 1 or more"),
        (lambda: commit.BestOfRuns(low=2), r"low=2: pass a probability"),
        (lambda: commit.Stable(history=9), r"history=9: pass 1 to 4 steps"),
        (lambda: commit.Stable(divergence=0), r"divergence=0"),
        (lambda: commit.TopSpans(commit.Even(2), 0), r"width=0"),
        (
            lambda: commit.TopSpans(commit.Ancestral("linear", 4)),
            r"plan=Ancestral\(.*\) counts positions.*pass another plan, such as "
            r"commit\.Scheduled\('cosine', 16\), or overlapping=True",
        ),
        (lambda: ReMDM(linear, 4, "cup"), r"variant='cup': pass one of cap, rescale"),
        (lambda: ReMDM(linear, 4, eta=2), r"eta=2"),
        (lambda: ReMDM(linear, 0), r"steps=0"),
        (lambda: ByGroup([]), r"needs at least one plan"),
        (lambda: presets.esm3(order="best"), r"order='best': pass 'random' or 'entropy'"),
        (lambda: presets.dream(algorithm="entropi"), r"did you mean 'entropy'"),
        (
            lambda: orders.ChoiceNoise(orders.Random(), 1, annealed=False, inclusive=True),
            "leave",
        ),
        (lambda: presets.maskgit().but(groups=3), r"groups=3: pass a Groups"),
        (lambda: presets.maskgit().but(guidance=3.0), r"guidance=3.0: pass a Guidance"),
        (lambda: presets.maskgit().but(noise=noise.MaskToken), r"noise=.*pass a Noise, such as"),
    ],
)
def test_what_cannot_go_together_is_refused(make, words):
    with pytest.raises(StrategyError, match=words):
        make()


def test_delimiters_outside_the_vocabulary():
    with pytest.raises(StrategyError, match=r"198 is outside the vocabulary of 7: pass ids from 0"):
        unmask.generate(Toy(), Canvas.blank(2, 4), presets.adablock([3, 198]), seed=0)


def test_guidance_needs_a_condition():
    with pytest.raises(CanvasError, match=r"guidance needs a condition"):
        unmask.generate(Toy(), Canvas.blank(2, 4), presets.muse(guidance=3.0), seed=0)


def test_a_legal_table_of_the_wrong_shape():
    for shape, wanted in (((3, 7), r"\(4, V\)"), ((3, 4, 7), r"\(2, 4, V\)")):
        with pytest.raises(InputError, match=rf"legal is torch\.bool of shape .*{wanted}"):
            Canvas.blank(2, 4, legal=torch.ones(shape, dtype=torch.bool))
    canvas = Canvas.blank(2, 4, legal=torch.ones(4, 6, dtype=torch.bool))
    with pytest.raises(InputError, match=r"legal has shape \(4, 6\).*last dimension must be 7"):
        unmask.generate(Toy(), canvas, presets.threshold(), seed=0)


def test_adaptive_strategies_that_choose_first_have_a_likelihood():
    """Chosen from the state, then drawn: the exact law of DUEL, summing to 1."""
    from itertools import product

    from unmask.scoring import Ordered

    every = torch.tensor(list(product([0, 1, 3, 4, 6], repeat=3)))
    found = unmask.score(Toy(), every, by=Ordered(presets.entropy_bound(0.5)))
    assert float((-found.per_example).exp().sum()) == pytest.approx(1, abs=1e-5)
