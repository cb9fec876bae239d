"""Every defect of the reference that ours does not have, shown by running both.

Each check takes a class of wrapper and raises `Broken` where that does not keep a promise: ours
keeps it, the reference does not. docs/compat.md lists these tests by name.
"""

import contextlib
import itertools
import math
import random

import pytest
import torch
from tests.compat.nets import (
    Ours,
    Recorder,
    Reference,
    Scripted,
    critic,
    encoder,
    never_mask,
)

from unmask import errors

VOCAB, MASK, LENGTH = 12, 11, 16
QUIET = {"no_replace_prob": 0.0, "random_token_prob": 0.0}


class Broken(Exception):
    """The wrapper under test does not keep its promise."""


def promise(kept: object, what: str) -> None:
    if not bool(kept):
        raise Broken(what)


@contextlib.contextmanager
def broken(what: str):
    with pytest.raises(Broken, match=what):
        yield


def flat(vocab=VOCAB, length=LENGTH):
    """A network that finds every id, the mask's included, equally likely."""
    return Scripted(lambda x: torch.zeros(*x.shape, vocab), vocab, length)


def data(rows=8, length=LENGTH, ids=MASK):
    return torch.arange(rows * length).view(rows, length) % ids


# --- the loss ---


def loss_of_a_flat_network_is_that_of_chance(kind, rows=8, length=LENGTH, **options):
    torch.manual_seed(0)
    model = kind(flat(length=length), mask_id=MASK, **QUIET, **options)
    losses = torch.stack([model(data(rows, length)).loss.detach() for _ in range(5)])
    promise((losses > 0).all(), "negative")
    promise(losses.isfinite().all(), "not finite")
    # Ours knows that the mask id is no data: 11 ids, not 12.
    chance = math.log(11 if kind is Ours else 12)
    promise((losses - chance).abs().max() < 1e-3, "not that of chance")


def test_mdlm_weight_has_the_right_sign():
    """−γ'/γ, not γ'/(1 − γ), which is −1/u: below 0, and −1000 where a batch has a small u."""
    loss_of_a_flat_network_is_that_of_chance(Ours)
    with broken("negative"):
        loss_of_a_flat_network_is_that_of_chance(Reference)


def test_mdlm_weight_is_finite_with_the_cosine_schedule():
    """In float32, 1 − cos(πu/2) is 0 for u below 1.6e-4: −inf, and NaN in the gradients."""

    def gradients_are_finite(kind):
        torch.manual_seed(0)
        net = Scripted(lambda x: net.scale * torch.ones(*x.shape, 3), 3, 1)
        net.scale = torch.nn.Parameter(torch.ones(3))
        model = kind(net, mask_id=2, schedule="cosine", **QUIET)
        model(torch.zeros(50_000, 1).long()).loss.backward()
        promise(net.scale.grad.isfinite().all(), "NaN")

    loss_of_a_flat_network_is_that_of_chance(Ours, 50_000, 1, schedule="cosine")
    gradients_are_finite(Ours)
    with broken("NaN"):
        gradients_are_finite(Reference)


class RightSign(Reference):
    """The reference with −γ'/γ for its weight and nothing else changed."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.loss_weight_fn = lambda u: 1 / (1 - u)  # linear: γ = 1 − u


def test_mdlm_weight_has_a_finite_mean():
    """With one position masked whatever γ is, 1/γ has an infinite mean; 1/(k·q(k)) is exact."""
    loss_of_a_flat_network_is_that_of_chance(Ours, 5000, 1)
    with broken("not that of chance"):
        loss_of_a_flat_network_is_that_of_chance(RightSign, 5000, 1)


def test_padding_is_not_in_the_loss():
    def padding_does_not_matter(kind):
        model = kind(encoder(), mask_id=MASK, use_simple_mdlm_loss_weight=False, **QUIET)
        valid = (torch.arange(LENGTH) < 8).expand(8, -1)
        losses = []
        for pad_id in (0, 1):
            torch.manual_seed(0)
            losses.append(model(data().masked_fill(~valid, pad_id), mask=valid).loss.detach())
        promise(torch.allclose(losses[0], losses[1]), "padding matters")

    padding_does_not_matter(Ours)
    with broken("padding matters"):
        padding_does_not_matter(Reference)


def test_shorter_rows_can_be_trained_on():
    assert torch.isfinite(Ours(encoder(), mask_id=MASK)(data(4, 9)).loss)
    with pytest.raises(AssertionError):
        Reference(encoder(), mask_id=MASK)(data(4, 9))


def test_training_only_a_critic_needs_a_critic():
    with pytest.raises(errors.StrategyError, match="needs a critic"):
        Ours(encoder(), mask_id=MASK)(data(), only_train_critic=True)
    loss = Reference(encoder(), mask_id=MASK)(data(), only_train_critic=True).loss
    assert not loss.requires_grad  # a loss that cannot be trained on, and no word about it


# --- what the network is shown in training ---


def test_torch_manual_seed_reproduces_a_loss():
    """The reference flips its coins, and picks the critic's temperature, with Python's `random`."""

    def seeded_losses_are_equal(kind):
        model = kind(encoder(), mask_id=MASK, self_cond=True, token_critic=critic())
        losses = set()
        for other in range(8):
            random.seed(other)
            torch.manual_seed(0)
            losses.add(float(model(data()).loss.detach()))
        promise(len(losses) == 1, "not reproduced")

    state = random.getstate()
    try:
        seeded_losses_are_equal(Ours)
        with broken("not reproduced"):
            seeded_losses_are_equal(Reference)
    finally:
        random.setstate(state)


def shown_in_training(kind, rows, length, ids=MASK, batches=10, **noise):
    """Every batch as the network saw it, (batches, rows, length). Data are ids 0..ids−1."""
    net = flat(ids + 1, length)
    random.seed(0)
    torch.manual_seed(0)
    model = kind(net, mask_id=ids, **(QUIET | noise))
    for _ in range(batches):
        model(data(rows, length, ids))
    return torch.stack([x for x, _ in net.calls])


def test_coins_are_flipped_for_each_row():
    def rows_differ(kind):
        # With everything kept, a row whose coin is up shows no mask at all.
        hidden = (shown_in_training(kind, 64, 16, no_replace_prob=1.0) == MASK).any(2)
        share = hidden.float().mean(1)
        promise(((share > 0.2) & (share < 0.8)).all(), "one coin for the batch")

    rows_differ(Ours)
    with broken("one coin for the batch"):
        rows_differ(Reference)


def test_the_kept_fraction_holds_for_few_masked_positions():
    """⌈.15·1⌉ = 1: in the reference a single masked position is always the one that is kept."""

    def half_of_a_seventh_is_kept(kind):
        shown = shown_in_training(kind, 200, 1, batches=40, no_replace_prob=0.15)
        kept = (shown != MASK).float().mean()
        promise(abs(kept - 0.075) < 0.02, "kept share off")

    half_of_a_seventh_is_kept(Ours)
    with broken("kept share off"):
        half_of_a_seventh_is_kept(Reference)


def test_random_replacement_is_never_the_mask_id():
    def replaced_by_data(kind):
        # With everything replaced, a row shows masks, or ids that are not its data, but not both.
        shown = shown_in_training(kind, 64, 16, 3, random_token_prob=1.0)
        replaced = ((shown != data(64, 16, 3)) & (shown != 3)).any(2)
        promise(replaced.any(), "nothing replaced")
        promise(not (replaced & (shown == 3).any(2)).any(), "replaced by the mask id")

    replaced_by_data(Ours)
    with broken("replaced by the mask id"):
        replaced_by_data(Reference)


def test_self_conditioning_is_trained_with_the_null_embedding_it_runs_with():
    def first_pass_has_the_null_embedding(kind):
        net = flat()
        model = kind(net, mask_id=MASK, self_cond=True, self_cond_train_prob=1.0, **QUIET)
        model(data())
        (_, first), (_, second) = net.calls
        promise(first.get("sum_embeds") is not None, "no null embedding")
        null = model.to_self_cond(model.null_embed).expand(8, LENGTH, -1)
        promise(torch.allclose(first["sum_embeds"], null), "another embedding")
        promise(not torch.allclose(second["sum_embeds"], null), "no second pass")

    first_pass_has_the_null_embedding(Ours)
    with broken("no null embedding"):
        first_pass_has_the_null_embedding(Reference)


# --- the critic ---


def test_tokens_of_the_data_are_never_labelled_fake():
    def a_perfect_critic_has_no_loss(kind):
        x = data()
        judge = Recorder(lambda tokens: torch.where(tokens == x, -30.0, 30.0))
        loss = kind(flat(), mask_id=MASK, token_critic=judge)(x).critic_loss
        promise(loss < 1e-6, "labels are wrong")

    a_perfect_critic_has_no_loss(Ours)
    with broken("labels are wrong"):
        a_perfect_critic_has_no_loss(Reference)


def test_the_critic_has_the_generator_s_conditioning():
    def the_critic_is_told(kind):
        judge = Recorder(lambda tokens: tokens / 10)
        model = kind(flat(), mask_id=MASK, token_critic=judge, steps=2)
        shown = (torch.arange(LENGTH) < LENGTH - 2).repeat(8, 1)
        given = {"context": torch.ones(8, 2, 12), "mask": shown}
        model(data(), **given)
        model.generate(8, **given)
        for _, got in judge.calls:
            promise(got.keys() == given.keys(), "critic without conditioning")

    the_critic_is_told(Ours)
    with broken("critic without conditioning"):
        the_critic_is_told(Reference)


# --- generation ---


def commits(kind, length, **options):
    """How many positions each step committed, by what the network was shown."""
    net = Scripted(lambda x: never_mask_logits(x, VOCAB), VOCAB, length)
    out = kind(net, mask_id=MASK, **options).generate(1)
    unknown = [int((x == MASK).sum()) for x, _ in net.calls] + [int((out == MASK).sum())]
    return [before - after for before, after in itertools.pairwise(unknown)]


def never_mask_logits(x, vocab):
    return torch.zeros(*x.shape, vocab).index_fill(2, torch.tensor(vocab - 1), -1e4)


def test_the_mask_id_is_never_generated():
    def holds_no_mask_id(kind):
        torch.manual_seed(0)
        out = kind(flat(3, 64), mask_id=2).generate(8, filter_thres=None)
        promise(not (out == 2).any(), "mask ids in the output")

    holds_no_mask_id(Ours)
    with broken("mask ids in the output"):
        holds_no_mask_id(Reference)


def test_counts_are_exact():
    """⌊10·(1 − s/10)⌋ in float32 falls short of 4 and of 2: 1,1,1,1,1,2,0,2,0,1."""

    def one_at_a_time(kind):
        promise(commits(kind, 10, steps=10) == [1] * 10, "uneven")

    one_at_a_time(Ours)
    with broken("uneven"):
        one_at_a_time(Reference)


def test_no_forward_is_spent_on_nothing():
    def every_step_commits(kind):
        promise(min(commits(kind, 4, steps=16, schedule="cosine")) > 0, "wasted forwards")

    every_step_commits(Ours)
    with broken("wasted forwards"):
        every_step_commits(Reference)


def half_way(t):
    return 1 - t / 2


def test_a_schedule_that_does_not_end_at_0_is_an_error():
    with pytest.raises(errors.ScheduleError, match="must end at 0"):
        Ours(encoder(), mask_id=MASK, schedule=half_way)
    net = encoder(to_logits=never_mask(VOCAB))
    out = Reference(net, mask_id=MASK, schedule=half_way).generate(2)
    assert (out == MASK).sum(1).tolist() == [8, 8]


class Older(Reference):
    """Releases before the second `if` became `elif` fell through to the error for callables."""

    def __init__(self, *args, schedule="linear", **options):
        if schedule not in ("linear", "cosine"):
            raise ValueError(f"invalid schedule {schedule}")
        super().__init__(*args, schedule=schedule, **options)


def test_a_callable_schedule_works():
    def takes_a_callable(kind):
        model = kind(encoder(), mask_id=MASK, schedule=lambda t: (1 - t) ** 2, steps=3)
        promise(model.generate().shape == (LENGTH,), "shape")
        promise(torch.isfinite(model(data()).loss), "loss")

    takes_a_callable(Ours)
    with pytest.raises(ValueError, match="invalid schedule"):
        takes_a_callable(Older)


def changes_its_mind(x):
    """Position 0 wants id 1 while all is unknown, and id 0 ever after; the others want id 2."""
    logits = torch.zeros(*x.shape, 4)
    logits[:, 0, 1], logits[:, 1:, 2] = 20.0, 5.0
    later = (x != 3).any(1)
    logits[later, 0, 1], logits[later, 0, 0] = 0.0, 20.0
    return logits


def test_committed_tokens_are_scored_as_the_tokens_they_are():
    """Held with probability 2e-9, id 1 must be re-masked; a fresh draw there would score 1."""

    def bad_tokens_are_remasked(kind):
        net = Scripted(changes_its_mind, 4, 4)
        torch.manual_seed(0)
        out = kind(net, mask_id=3, steps=4, can_mask_prev_unmasked=True).generate(filter_thres=None)
        promise(net.calls[1][0][0].tolist() == [1, 3, 3, 3], "another first step")
        promise(out[0] == 0, "a bad token is kept")

    bad_tokens_are_remasked(Ours)
    with broken("a bad token is kept"):
        bad_tokens_are_remasked(Reference)


def test_draws_are_right_whatever_the_dtype_of_the_logits():
    """Two equal logits of 512: bfloat16 is so coarse there that noise in it vanishes."""

    def half_and_half(kind):
        net = Scripted(bright, 3, 2000, torch.bfloat16)
        torch.manual_seed(0)
        model = kind(net, mask_id=2, steps=2, schedule=lambda t: 1 - t**0.005)
        model.generate(filter_thres=None)
        share = (net.calls[1][0] == 0).float().mean()  # after the first step, at half temperature
        promise(abs(share - 0.5) < 0.05, "not the law")

    def bright(x):
        return torch.tensor([512.0, 512.0, -512.0]).expand(*x.shape, 3)

    half_and_half(Ours)
    with broken("not the law"):
        half_and_half(Reference)


def test_there_are_prompts_and_infilling():
    prompt = torch.tensor([3, 4, 5])
    assert Ours(encoder(), mask_id=MASK).generate(prompt=prompt)[:3].tolist() == [3, 4, 5]
    with pytest.raises(TypeError, match="prompt"):
        Reference(encoder(), mask_id=MASK).generate(prompt=prompt)


def test_rows_may_have_their_own_lengths():
    valid = torch.arange(LENGTH) < torch.tensor([[5], [16]])
    model = Ours(encoder(), mask_id=MASK)
    *_, last = model.stream(valid=valid)
    assert last.state.step.tolist() == [5, 16]
    # The reference takes the mask, but gives both rows 16 positions to fill.
    out = Reference(encoder(to_logits=never_mask(VOCAB)), mask_id=MASK).generate(2, mask=valid)
    assert (out[0, 5:] != MASK).all()


def test_a_row_does_not_depend_on_its_batch():
    model = Ours(encoder(), mask_id=MASK)
    assert torch.equal(model.generate(8, seed=1)[:2], model.generate(2, seed=1))
    reference = Reference(encoder(), mask_id=MASK)
    outs = []
    for rows in (8, 2):
        torch.manual_seed(1)
        outs.append(reference.generate(rows)[:2])
    assert not torch.equal(*outs)


def test_the_kept_share_of_the_vocabulary_is_not_rounded_up_by_float_error():
    """30 % of ten ids is three; ⌈(1 − .7)·10⌉ in floating point is four."""

    def three_of_ten(kind):
        ids = 10 if kind is Reference else 11  # ours counts the ids that may be drawn
        logits = -torch.arange(float(ids)) / 10
        net = Scripted(lambda x: logits.expand(*x.shape, ids), ids, 1000)
        torch.manual_seed(0)
        model = kind(net, mask_id=ids - 1, steps=2, schedule=lambda t: 1 - t**0.005)
        model.generate()
        seen = set(net.calls[1][0].flatten().tolist()) - {ids - 1}
        promise(seen == {0, 1, 2}, "rounded up")

    three_of_ten(Ours)
    with broken("rounded up"):
        three_of_ten(Reference)


def test_a_causal_network_is_refused():
    from x_transformers import Decoder, TransformerWrapper

    layers = Decoder(dim=16, depth=1, heads=2, attn_dim_head=8)
    net = TransformerWrapper(num_tokens=VOCAB, max_seq_len=LENGTH, attn_layers=layers)
    with pytest.raises(errors.ModelError, match="Encoder"):
        Ours(net, mask_id=MASK)
    assert Reference(net, mask_id=MASK).generate().shape == (LENGTH,)  # each sees only the left
