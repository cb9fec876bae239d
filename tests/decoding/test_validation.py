"""Parts that contradict each other say what conflicts and which part to change."""

import pytest
import torch
from tests.conformance.toys import Toy

import unmask
from unmask import Canvas, Strategy, commit, orders, presets
from unmask.core.errors import CanvasError, InputError, StrategyError
from unmask.commit import AllSteps, ByGroup, NoPlan
from unmask.schedules import linear


def adaptive(**parts):
    return Strategy(**{"pace": NoPlan(), "order": orders.Probability("after")} | parts)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: adaptive(order=orders.Random(), select=commit.Threshold()),
            r"Threshold compares log-probabilities.*order Random gives none.*Probability\(\)",
        ),
        (
            lambda: adaptive(select=commit.EntropyBound()),
            r"EntropyBound compares entropies.*Probability gives none.*Entropy\(\)",
        ),
        (
            lambda: adaptive(
                order=orders.Probability("after", log=False), select=commit.Factor()
            ),
            r"Factor compares log-probabilities",
        ),
        (lambda: commit.Threshold(0.9, cap=0), r"cap=0: a step must be able to commit"),
        (lambda: commit.Threshold(1.5), r"threshold=1.5: pass a probability"),
        (lambda: commit.Factor(0), r"factor=0: pass a number above 0"),
        (lambda: commit.EntropyBound(-1), r"bound=-1: pass nats"),
        (lambda: commit.Stable(history=9), r"history=9: pass 1 to 4 steps"),
        (lambda: commit.Stable(divergence=0), r"divergence=0"),
        (lambda: commit.Spans(0), r"width=0"),
        (lambda: commit.Remasking(linear, "cup"), r"variant='cup': pass one of cap, rescale"),
        (lambda: commit.Remasking(linear, eta=2), r"eta=2"),
        (lambda: AllSteps(0), r"steps=0"),
        (lambda: ByGroup([]), r"needs at least one pace"),
        (lambda: presets.esm3(order="best"), r"order='best': pass 'random' or 'entropy'"),
        (lambda: presets.dream(algorithm="entropi"), r"did you mean 'entropy'"),
        (
            lambda: orders.ChoiceNoise(orders.Random(), 1, annealed=False, inclusive=True),
            "leave",
        ),
        (lambda: presets.maskgit().but(groups=3), r"groups=3: pass a Groups"),
        (lambda: presets.maskgit().but(guidance=3.0), r"guidance=3.0: pass a Guidance"),
        (lambda: presets.maskgit().but(noise=unmask.MaskToken), r"noise=.*not callable"),
    ],
)
def test_what_cannot_go_together_is_refused(make, words):
    with pytest.raises(StrategyError, match=words):
        make()


def test_guidance_needs_a_condition():
    with pytest.raises(CanvasError, match=r"guidance needs a condition"):
        unmask.generate(Toy(), Canvas.blank(2, 4), presets.muse(guidance=3.0), seed=0)


def test_a_legal_table_of_the_wrong_shape():
    constraint = unmask.Constraint(legal=torch.ones(3, 7, dtype=torch.bool))
    with pytest.raises(InputError, match=r"legal has shape \(3, 7\).*need \(4, 7\)"):
        unmask.generate(
            Toy(), Canvas.blank(2, 4), presets.threshold().but(constraint=constraint), seed=0
        )


def test_adaptive_strategies_that_choose_first_have_a_likelihood():
    """Chosen from the state, then drawn: the exact law of DUEL, summing to 1."""
    from itertools import product

    from unmask.scoring import Ordered

    every = torch.tensor(list(product([0, 1, 3, 4, 6], repeat=3)))
    found = unmask.score(Toy(), every, by=Ordered(presets.entropy_bound(0.5)))
    assert float((-found.per_example).exp().sum()) == pytest.approx(1, abs=1e-5)
