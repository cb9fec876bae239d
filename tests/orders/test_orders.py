"""Orders against naive references.

Scores are taken from the running engine (`StepInfo.score`) and compared with what numpy makes of
the logits that the network gave, so that the statistics of a proposal are tested along with them.

Shapes: B rows, N positions, V vocabulary.
"""

import math
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

import unmask
from unmask import orders, presets
from unmask.commit import Explicit, TopK
from unmask.constraints import Constraint
from unmask.core.random import Purpose, uniform
from unmask.core.ranking import DIGITS, number_on_grid, on_grid
from unmask.decoding import Strategy, init, row_seeds, step
from unmask.errors import LogitsError, StrategyError
from unmask.orders import (
    ChoiceNoise,
    CriticOrder,
    Entropy,
    Halton,
    LeftToRight,
    Margin,
    Probability,
    Random,
    halton_rank,
)
from unmask.orders.base import as_order
from unmask.revise import Remask
from unmask.sampling import Annealed, Sampling

ROWS, LENGTH, VOCAB, MASK = 5, 6, 9, 8
FORBIDDEN = 3
COUNTS = (1, 2, 1, 2)
EXACT = {"rtol": 1e-5, "atol": 1e-5}
CLOSE = {"rtol": 2.0 ** (1 - DIGITS), "atol": 1e-5}  # rounded to a grid before they are ranked


def net(tokens):
    """Logits that depend on everything visible; ids 3 and 8 would win if they were allowed."""
    seed = torch.arange(1, VOCAB + 1) * 1.7
    place = torch.arange(tokens.shape[1]) * 0.9
    context = (tokens * (torch.arange(tokens.shape[1]) + 1)).sum(1)
    logits = 3 * torch.sin(seed + place[:, None] + context[:, None, None] * 0.31)
    logits[..., [FORBIDDEN, MASK]] = 9.0
    return logits


def strategy(order, draw=None, remask=False, counts=COUNTS):
    made = Strategy(TopK(Explicit(counts)), order, draw or Sampling())
    made = made.but(constraint=Constraint(forbidden=(FORBIDDEN,)))
    return made.but(revise=Remask()) if remask else made


def steps(made, seed=0):
    """Each step as (state before, info, logits (B,N,V) in float64 with illegal ids at −inf)."""
    denoiser = unmask.wrap(net, mask_id=MASK, vocab_size=VOCAB)
    canvas = unmask.Canvas.blank(ROWS, LENGTH)
    before = init(denoiser, canvas, made, row_seeds(canvas, seed, None))
    for info in unmask.stream(denoiser, canvas, made, seed=seed):
        logits = net(before.tokens.masked_fill(before.masked, MASK)).double()
        logits[..., [FORBIDDEN, MASK]] = -math.inf
        yield before, info, logits
        before = info.state


def check(made, naive, seed=0):
    """Scores in the running are naive(before, info, logits) (B,N); all others are −inf."""
    seen = 0
    for before, info, logits in steps(made, seed):
        scope = made.revise.eligible(before)
        assert bool((info.score[~scope] == -math.inf).all())
        wanted = torch.as_tensor(naive(before, info, logits)).double()
        score, close = info.score.double()[scope], EXACT if made.order.blind else CLOSE
        torch.testing.assert_close(score, wanted[scope], **close)
        if not made.order.blind:
            assert torch.equal(score, on_grid(score))
        seen += 1
    assert seen == len(made.commit.plan.counts)


def at(logp, token):
    return logp.gather(2, token[..., None])[..., 0]


# --- by what the model says ------------------------------------------------------------------


@pytest.mark.parametrize(
    "draw", [Sampling(), Sampling(0.5), Sampling(top_k=2), Sampling(0.0)], ids=repr
)
def test_probability_first_is_the_largest_probability_of_the_model(draw):
    check(strategy(Probability("first"), draw), lambda _, __, x: x.log_softmax(2).amax(2))


@pytest.mark.parametrize(
    "draw", [Sampling(), Sampling(0.5), Sampling(top_k=2), Sampling(0.0)], ids=repr
)
def test_probability_after_is_that_of_the_token_drawn(draw):
    def naive(before, info, logits):
        return at(logits.log_softmax(2), info.proposal.token)

    check(strategy(Probability("after"), draw), naive)
    firsts = [info.score for _, info, _ in steps(strategy(Probability("first"), draw))]
    afters = [info.score for _, info, _ in steps(strategy(Probability("after"), draw))]
    greedy = draw.temperature == 0
    assert torch.allclose(firsts[0], afters[0]) is greedy, "only greedy draws are the likeliest"


@pytest.mark.parametrize("temperature", [1.0, 0.5, Annealed(2.0)], ids=repr)
def test_probability_of_kept_renormalises_what_the_filter_left(temperature):
    def naive(before, info, logits):
        third = logits.topk(3, dim=2).values[..., 2:]
        return at(logits.masked_fill(logits < third, -math.inf).log_softmax(2), info.proposal.token)

    check(strategy(Probability("after", "kept"), Sampling(temperature, top_k=3)), naive)


def test_probability_of_sampling_has_the_temperature_too():
    def naive(before, info, logits):
        third = logits.topk(3, dim=2).values[..., 2:]
        left = logits.masked_fill(logits < third, -math.inf) / 0.5
        return at(left.log_softmax(2), info.proposal.token)

    check(strategy(Probability("after", "sampling"), Sampling(0.5, top_k=3)), naive)


def test_probability_of_sampling_follows_an_annealed_temperature():
    def naive(before, info, logits):
        warmth = 2 * (1 - before.progress[:, None, None])
        greedy = (logits == logits.amax(2, keepdim=True)).double().log()
        warm = (logits / warmth).log_softmax(2).where(warmth > 0, greedy)
        return at(warm, info.proposal.token)

    check(strategy(Probability("after", "sampling"), Sampling(Annealed(2.0))), naive)


@pytest.mark.parametrize("of", ["model", "kept", "sampling"])
def test_committed_tokens_are_scored_as_the_tokens_they_are(of):
    """With remask everything competes; fresh draws at places that hold a token do not count."""

    def naive(before, info, logits):
        held = info.proposal.token.where(before.masked, before.tokens)
        assert torch.equal(info.proposal.token, held)
        return at(logits.log_softmax(2), held)

    check(strategy(Probability("after", of), remask=True), naive)


def test_probability_first_scores_committed_tokens_as_held_too():
    def naive(before, info, logits):
        logp = logits.log_softmax(2)
        return logp.amax(2).where(before.masked, at(logp, before.tokens))

    check(strategy(Probability("first"), remask=True), naive)


def margin_of(logits):
    """Best minus second best, in steps of 2⁻¹² of the best."""
    best = logits.softmax(2).sort(2).values
    share = (best[..., -1] - best[..., -2]) / best[..., -1]
    return (share * 4096).round() / 4096 * best[..., -1]


def test_margin_is_best_minus_second_best():
    check(strategy(Margin()), lambda before, info, logits: margin_of(logits))


def test_a_margin_that_rounding_makes_is_none():
    """Two ids all but alike differ by the kernel that computed them; a flat network's do not."""
    for level in (-1.0, -9.0):
        p = math.exp(level)
        margin = torch.tensor([[p * 1e-6, p * 3e-6, p * 1e-2]])
        given = SimpleNamespace(margin=margin, top_logprob=torch.full((1, 3), level))
        first, second, third = Margin()(None, given)[0].tolist()
        assert first == second == 0
        assert third == pytest.approx(p * 1e-2, rel=0.02)


def test_entropy_is_negative_in_nats():
    def naive(before, info, logits):
        p = logits.softmax(2)
        return torch.xlogy(p, p).sum(2)

    check(strategy(Entropy()), naive)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"choose": "frist"}, "pass 'first' or 'after'"),
        ({"choose": True}, "pass 'first' or 'after'"),
        ({"choose": "after", "of": "modle"}, "did you mean 'model'"),
        ({"choose": "after", "of": None}, "known: kept, model, sampling"),
        ({"choose": "first", "of": "kept"}, "needs choose='after'"),
        ({"of": "sampling"}, "needs choose='after'"),
    ],
)
def test_options_of_probability_that_cannot_work_are_refused(options, words):
    with pytest.raises(StrategyError, match=words):
        Probability(**options)


# --- fixed ------------------------------------------------------------------------------------


def test_left_to_right():
    check(strategy(LeftToRight()), lambda *_: -torch.arange(LENGTH).expand(ROWS, LENGTH))
    for before, info, _ in steps(strategy(LeftToRight())):
        lowest = before.masked.float().argmax(1)
        assert bool(info.committed[torch.arange(ROWS), lowest].all())


def test_random_is_the_rows_own_uniforms():
    def naive(before, info, logits):
        return torch.stack(
            [
                uniform(seed, step, torch.arange(LENGTH), Purpose.ORDER)[:, 0]
                for seed, step in zip(before.seed.flatten(), before.step.flatten(), strict=True)
            ]
        )

    check(strategy(Random()), naive)


def test_random_is_uniform_and_new_at_every_step():
    denoiser = unmask.wrap(net, mask_id=MASK, vocab_size=VOCAB)
    canvas = unmask.Canvas.blank(3000, LENGTH)
    found = list(unmask.stream(denoiser, canvas, strategy(Random()), seed=3))
    assert kstest(found[0].score.flatten().numpy(), "uniform").pvalue > 1e-4
    both = found[1].score.isfinite()
    correlation = np.corrcoef(found[0].score[both].numpy(), found[1].score[both].numpy())[0, 1]
    assert abs(correlation) < 4 / int(both.sum()) ** 0.5


def exact_rank(height, width):
    """Halton (2,3) with fractions: skip visited cells until all are ranked."""

    def mirrored(index, base):
        digits, value = Fraction(1), Fraction(0)
        while index:
            digits /= base
            index, digit = divmod(index, base)
            value += digit * digits
        return value

    order, point = [], 1
    while len(order) < height * width:
        cell = int(mirrored(point, 2) * height) * width + int(mirrored(point, 3) * width)
        if cell not in order:
            order.append(cell)
        point += 1
    return [order.index(cell) for cell in range(height * width)]


# Widths that are multiples of nine put points on the very edge of a cell, where floats err.
GRIDS = [
    (1, 1),
    (1, 7),
    (7, 1),
    (2, 3),
    (4, 4),
    (8, 8),
    (5, 11),
    (16, 16),
    (6, 18),
    (9, 9),
    (4, 27),
]


@pytest.mark.parametrize(("height", "width"), GRIDS)
def test_halton_rank_is_the_sequence_in_exact_arithmetic(height, width):
    rank = halton_rank(height, width)
    assert rank.dtype == torch.int64
    assert rank.tolist() == exact_rank(height, width)


@given(st.integers(1, 12), st.integers(1, 12))
def test_halton_rank_is_a_permutation_of_all_cells(height, width):
    assert sorted(halton_rank(height, width).tolist()) == list(range(height * width))


def test_halton_spreads_out():
    """Of the first quarter of an 8 by 8 grid, every 4 by 4 quadrant has its share, give or take."""
    first = (halton_rank(8, 8) < 16).view(2, 4, 2, 4).sum((1, 3))
    assert int(first.sum()) == 16
    assert bool(((first >= 3) & (first <= 5)).all())


def test_halton_scores_are_minus_the_rank():
    naive = -torch.tensor(exact_rank(2, 3)).expand(ROWS, LENGTH)
    check(strategy(Halton(2, 3)), lambda *_: naive)


def test_halton_is_row_major():
    assert halton_rank(1, 5).tolist() == exact_rank(1, 5)
    assert halton_rank(2, 3).tolist() != halton_rank(3, 2).tolist()


@pytest.mark.parametrize("grid", [(0, 3), (3, 0), (-1, 4)])
def test_halton_without_cells_is_refused(grid):
    with pytest.raises(StrategyError, match="height and width of 1 or more"):
        halton_rank(*grid)


def test_halton_of_another_size_than_the_canvas_is_refused():
    with pytest.raises(StrategyError, match=r"Halton\(2, 2\) orders 4 positions but .* has 6"):
        list(steps(strategy(Halton(2, 2))))


def test_a_change_to_halton_of_another_size_is_refused_between_steps():
    denoiser = unmask.wrap(net, mask_id=MASK, vocab_size=VOCAB)
    canvas = unmask.Canvas.blank(ROWS, LENGTH)
    state = init(denoiser, canvas, strategy(Random()), row_seeds(canvas, 0, None))
    with pytest.raises(StrategyError, match=r"Halton\(2, 2\) orders 4 positions but .* has 6"):
        step(state, denoiser, strategy(Halton(2, 2)))


# --- choice noise ------------------------------------------------------------------------------


def noise_of(before, kind):
    u = uniform(before.seed[:, None], before.step[:, None], torch.arange(LENGTH), Purpose.CHOICE)
    return -torch.log(-torch.log(u[..., 0])) if kind == "gumbel" else u[..., 0]


@pytest.mark.parametrize("kind", ["gumbel", "uniform"])
@pytest.mark.parametrize("annealed", [True, False])
def test_choice_noise_is_added_and_fades(kind, annealed):
    def naive(before, info, logits):
        step = int(before.step[0]) + 1
        fade = 1 - step / len(COUNTS) if annealed else 1
        return at(logits.log_softmax(2), info.proposal.token) + 4.5 * fade * noise_of(before, kind)

    order = ChoiceNoise(Probability("after"), 4.5, kind, annealed)
    check(strategy(order), naive)


def test_annealed_noise_is_gone_at_the_last_step():
    *_, (before, info, logits) = steps(strategy(ChoiceNoise(Margin(), 100.0)))
    margin = margin_of(logits)[before.masked]
    torch.testing.assert_close(info.score[before.masked], margin, **CLOSE)


def test_choice_noise_fades_by_the_steps_of_the_row():
    """Rows with 2 and 4 steps: at their second step one is done, the other half way."""
    order = ChoiceNoise(LeftToRight(), 1.0)
    made = presets.random_order(steps=4).but(order=order)
    denoiser = unmask.wrap(net, mask_id=MASK, vocab_size=VOCAB)
    canvas = unmask.Canvas.blank(2, LENGTH, steps=[2, 4])
    before, info = None, None
    for number, event in enumerate(unmask.stream(denoiser, canvas, made, seed=0)):
        if number == 1:
            info = event
            break
        before = event.state
    left = -torch.arange(LENGTH).double()
    fade = torch.tensor([[0.0], [0.5]])
    naive = left + fade * noise_of(before, "gumbel")
    torch.testing.assert_close(info.score[before.masked], naive[before.masked])


def test_choice_noise_is_not_the_noise_of_the_order_or_of_the_draw():
    *_, (before, info, _) = steps(strategy(ChoiceNoise(Random(), 1.0, "uniform", False)))
    order = uniform(before.seed[:, None], before.step[:, None], torch.arange(LENGTH), Purpose.ORDER)
    added = (info.score - order[..., 0])[before.masked]
    assert not torch.allclose(added, order[..., 0][before.masked])


def test_choice_noise_passes_on_what_its_order_needs():
    assert ChoiceNoise(Margin(), 1.0).needs == {"margin", "top_logprob"}
    assert ChoiceNoise(Probability("after", "kept"), 1.0).needs == {"kept_logprob"}
    assert ChoiceNoise(Random(), 1.0).blind
    assert not ChoiceNoise(Entropy(), 1.0).blind


@pytest.mark.parametrize("scale", [-1, math.nan, math.inf])
def test_noise_scale_out_of_range_is_refused(scale):
    with pytest.raises(StrategyError, match="pass a number ≥ 0"):
        ChoiceNoise(Random(), scale)


def test_unknown_kind_of_noise_is_refused():
    with pytest.raises(StrategyError, match="pass 'gumbel' or 'uniform'"):
        ChoiceNoise(Random(), 1.0, "normal")


# --- critic ------------------------------------------------------------------------------------


class Recorder:
    """A critic that keeps what it was shown."""

    def __init__(self):
        self.shown = []

    def __call__(self, tokens, *, valid, condition):
        self.shown.append((tokens.clone(), valid.clone(), condition))
        return torch.cos(tokens * 1.3 + torch.arange(tokens.shape[1]) * 0.7)


@pytest.mark.parametrize("remask", [False, True])
def test_critic_sees_the_filled_canvas_with_held_tokens(remask):
    critic = Recorder()
    made = strategy(CriticOrder(critic), remask=remask)

    def naive(before, info, logits):
        filled, valid, condition = critic.shown[-1]
        wanted = info.proposal.token.where(before.masked, before.tokens)
        assert torch.equal(filled, wanted)
        assert MASK not in filled.tolist()[0]
        assert bool(valid.all())
        assert condition is None
        return -torch.cos(wanted * 1.3 + torch.arange(LENGTH) * 0.7)

    check(made, naive)
    assert len(critic.shown) == len(COUNTS), "one call a step"


def test_critic_is_given_prompt_padding_and_condition():
    critic = Recorder()
    canvas = unmask.Canvas.ragged(
        [[5, 0, 0], [0, 6]],
        editable=[[False, True, True], [True, False]],
        condition={"label": torch.tensor([4, 7])},
    )

    def conditional(tokens, label, valid):
        return net(tokens) + label[:, None, None]

    denoiser = unmask.wrap(conditional, mask_id=MASK, vocab_size=VOCAB)
    made = presets.token_critic(critic, steps=2)
    unmask.run(denoiser, canvas, made, seed=0)
    tokens, valid, condition = critic.shown[0]
    assert tokens[0, 0] == 5
    assert tokens[1, 1] == 6
    assert valid.tolist() == [[True, True, True], [True, True, False]]
    assert condition["label"].tolist() == [4, 7]
    tokens, valid, condition = critic.shown[1]
    assert valid.tolist() == [[True, True, True]], "the second row has left"
    assert condition["label"].tolist() == [4]


def test_critic_may_return_one_logit_in_a_last_dimension():
    flat, deep = Recorder(), Recorder()

    def unsqueezed(tokens, *, valid, condition):
        return deep(tokens, valid=valid, condition=condition)[..., None].bfloat16().float()

    def rounded(tokens, *, valid, condition):
        return flat(tokens, valid=valid, condition=condition).bfloat16()

    outs = [
        [info.score for _, info, _ in steps(strategy(CriticOrder(critic)))]
        for critic in (rounded, unsqueezed)
    ]
    for one, other in zip(*outs, strict=True):
        assert one.dtype == torch.float32
        assert torch.equal(one, other)


def test_critic_of_the_wrong_shape_is_refused():
    def pooled(tokens, *, valid, condition):
        return tokens.float().mean(1)

    with pytest.raises(LogitsError, match="return one logit per token"):
        list(steps(strategy(CriticOrder(pooled))))


def test_critic_that_is_a_module_judges_without_dropout_or_gradients():
    """Dropout in a critic left in training mode would make a row depend on its batch."""

    class Dropping(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Embedding(VOCAB, 16)
            self.dropout = torch.nn.Dropout(0.5)

        def forward(self, tokens, *, valid, condition):
            assert not torch.is_grad_enabled()
            return self.dropout(self.embed(tokens)).sum(-1)

    torch.manual_seed(0)
    critic = Dropping().train()
    made = strategy(ChoiceNoise(CriticOrder(critic), 1.0), remask=True)
    once, again = ([info.score for _, info, _ in steps(made)] for _ in range(2))
    for one, other in zip(once, again, strict=True):
        assert torch.equal(one, other)
    assert critic.training, "the mode it had is given back"


# --- what an order is --------------------------------------------------------------------------


def test_any_callable_is_an_order():
    def from_the_right(state, proposal):
        return torch.arange(LENGTH).float().expand(ROWS, LENGTH)

    check(strategy(from_the_right), lambda *_: torch.arange(LENGTH).expand(ROWS, LENGTH))
    assert as_order(from_the_right).needs == frozenset()
    assert not as_order(from_the_right).blind


def test_an_order_may_score_in_integers():
    def ranks(state, proposal):
        return torch.arange(LENGTH).expand(ROWS, LENGTH)

    check(strategy(ranks), lambda *_: torch.arange(LENGTH).expand(ROWS, LENGTH))


def test_blind_orders_choose_before_the_head_runs():
    for order in (Random(), LeftToRight(), Halton(2, 3), ChoiceNoise(Random(), 1.0)):
        assert order.blind
        for _, info, _ in steps(strategy(order)):
            assert torch.equal(info.proposal.queried, info.committed)


def test_orders_that_look_are_asked_everywhere_unknown():
    for before, info, _ in steps(strategy(Entropy())):
        assert torch.equal(info.proposal.queried, before.masked)


def test_statistics_are_computed_only_where_needed():
    for order in (Probability("after"), Probability("after", "kept"), Margin(), Entropy()):
        _, info, _ = next(iter(steps(strategy(order))))
        for name in ("kept_logprob", "top_logprob", "margin", "entropy"):
            assert (getattr(info.proposal, name) is not None) == (name in order.needs)


def test_an_order_that_needs_an_unknown_statistic_is_refused():
    class Wants(orders.Order):
        needs = ("curvature",)

        def __call__(self, state, proposal):
            raise AssertionError

    with pytest.raises(StrategyError, match=r"needs \['curvature'\]: a proposal can carry"):
        strategy(Wants())


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (lambda s, p: torch.full((ROWS, LENGTH), math.nan), "row 0, position 0 as NaN at step 0"),
        (lambda s, p: torch.zeros(ROWS), r"of shape \(5,\): return one score per position"),
        (lambda s, p: torch.zeros(ROWS, LENGTH, 1), "return one score per position"),
    ],
)
def test_scores_that_cannot_be_ranked_are_refused(score, words):
    with pytest.raises(StrategyError, match=words):
        list(steps(strategy(score)))


def test_nan_where_nothing_competes_does_no_harm():
    def only_unknown(state, proposal):
        return torch.zeros(ROWS, LENGTH).masked_fill(~state.masked, math.nan)

    check(strategy(only_unknown), lambda *_: torch.zeros(ROWS, LENGTH))


def test_orders_are_exported():
    for name in orders.__all__:
        assert hasattr(orders, name)


def test_the_grid_is_far_finer_than_scores_differ_by():
    """The control of `check`: what it allows for rounding is no more than that."""
    assert CLOSE["rtol"] < 5e-4
    assert on_grid(torch.tensor([-0.3, -0.3004])).unique().numel() == 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-30, 1e-5, 1.0, 1e5])
def test_the_grid_is_as_fine_for_scores_of_any_size(dtype, scale):
    """What is rounded off is less than the last digit that counts, to either side."""
    score = -scale * torch.rand(1000, generator=torch.Generator().manual_seed(0), dtype=dtype)
    found = on_grid(score)
    ratio = found.double() / score.double() - 1
    assert float(ratio.abs().max()) < 2.0 ** (1 - DIGITS)
    assert float(ratio.max()) > 2.0 ** (-2 - DIGITS)
    assert float(ratio.min()) < -(2.0 ** (-2 - DIGITS))
    assert torch.equal(on_grid(found), found)
    assert [number_on_grid(x) for x in found[:50].tolist()] == found[:50].tolist()


def test_round_numbers_are_in_the_middle_of_their_cell():
    """Scores such as log 1, 1/2 and 0.75 are common, and rounding goes to either side of them."""
    for number in (1.0, 0.5, -0.25, 3.0, 0.75):
        around = torch.tensor([number * (1 + k * 2.0**-22) for k in (-3, -1, 0, 1, 3)])
        assert on_grid(around).tolist() == [number] * 5


def test_what_is_no_number_stays_what_it_is():
    odd = torch.tensor([math.inf, -math.inf, 0.0, math.nan])
    assert on_grid(odd)[:3].tolist() == [math.inf, -math.inf, 0.0]
    of_a_gpu = torch.tensor([2**31 - 1], dtype=torch.int32).view(torch.float32)
    assert bool(on_grid(torch.cat([odd[3:], of_a_gpu])).isnan().all())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_scores_of_any_float_are_ranked_as_they_are(dtype):
    ranks = torch.tensor([6, 1, 7, 3, 2, 5]).expand(ROWS, LENGTH)

    def score(state, proposal):
        return (-ranks / 8).to(dtype)

    check(strategy(score), lambda *_: -ranks / 8)


@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_small_scores_are_no_ties(scale):
    """A flat network's margins, or a user's unit, must not end in left to right."""
    spread = -torch.tensor([6.0, 1.0, 7.0, 3.0, 2.0, 5.0]).expand(ROWS, LENGTH)
    first = next(iter(steps(strategy(lambda *_: scale * spread))))[1]
    assert bool(first.committed[:, 1].all())


def test_an_order_reads_state_and_proposal_only():
    """Called by hand on a state cut down to two rows, it gives what it gave those rows."""
    for order in (Random(), LeftToRight(), Halton(2, 3), Probability("after"), Margin(), Entropy()):
        before, info, _ = next(iter(steps(strategy(order))))
        rows = torch.tensor([3, 1])
        part = replace(
            info.proposal,
            **{
                name: value[rows]
                for name, value in vars(info.proposal).items()
                if value is not None
            },
        )
        found = order(before.take(rows), part)
        found = found if order.blind else on_grid(found)
        assert torch.equal(found.float(), info.score[rows].float())
