"""Block diffusion against one block at a time, by plain calls with masks of its own."""

from __future__ import annotations

import itertools
import math
import sys
import warnings
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.models.decoders import MASK, VOCAB, decoder, network
from torch import Tensor

import unmask
from unmask import objectives
from unmask.core.random import derive
from unmask.errors import CanvasError, DataError, StrategyError
from unmask.models import BlockCache, Decoder
from unmask.objectives.corruption import block_times

N = 11
SIZES = torch.tensor([11, 6, 9, 3, 1])
VALID = torch.arange(N) < SIZES[:, None]
TOKENS = torch.randint(MASK, VALID.shape, generator=torch.Generator().manual_seed(7))
# Prompts of 0 to 4 tokens, and a given token further on: some blocks have nothing to hide.
PROMPTS = torch.tensor([4, 0, 2, 1, 0])
MASKABLE = VALID & (torch.arange(N) >= PROMPTS[:, None]) & (torch.arange(N) != 5)


def blocks_of_row(width: int, length: int) -> list[range]:
    return [range(start, min(start + width, length)) for start in range(0, length, width)]


def block_logits(net, clean: Tensor, noisy: Tensor, block: range, width: int, shift: bool):
    """(n,V): logits of a block in noise, alone behind the clean blocks before it."""
    row = torch.cat([clean[: block.start], noisy[block.start : block.stop]])
    order = [i // width for i in range(len(row))]
    seen = torch.tensor([[one <= here for one in order] for here in order])
    if net.config._attn_implementation == "eager":
        seen = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
    place = torch.arange(len(row))[None]
    out = net(input_ids=row[None], attention_mask=seen[None, None], position_ids=place)
    logits = out.logits[0, [max(i - 1, 0) if shift else i for i in block]].double()
    return logits.index_fill(1, torch.tensor([MASK]), -math.inf)


def naive_loss(net, noisy: Tensor, width: int, shift: bool, weigh) -> Tensor:
    """The loss of rows (B,N), or of pairs (2B,N), from the ids that the network was shown.

    weigh(k, n): the weight of k hidden positions of the n of a block that may be.
    """
    total = torch.zeros((), dtype=torch.float64)
    for number, shown in enumerate(noisy):
        row = number % len(TOKENS)
        for block in blocks_of_row(width, int(SIZES[row])):
            hidden = [i for i in block if shown[i] == MASK]
            if hidden:
                n = int(MASKABLE[row, list(block)].sum())
                logits = block_logits(net, TOKENS[row], shown, block, width, shift)
                target = TOKENS[row, hidden]
                nats = -logits.log_softmax(1)[[i - block.start for i in hidden], target].sum()
                total = total + weigh(len(hidden), n) * nats
    return total / int(MASKABLE.sum())


def one(k: int, n: int) -> float:
    return n / k


def of_a_pair(k: int, n: int) -> float:
    return 1.0 if k == n else n / (2 * k)


def gradients(net) -> dict[str, Tensor]:
    found = {n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None}
    net.zero_grad()
    return found


def recorded(denoiser, monkeypatch) -> list[Tensor]:
    """What the denoiser is shown from here on."""
    seen: list[Tensor] = []
    forward = denoiser.forward

    def recording(query, cache):
        seen.append(query.tokens)
        return forward(query, cache)

    monkeypatch.setattr(denoiser, "forward", recording)
    return seen


def compared(denoiser, net, width, shift, pairs, monkeypatch) -> tuple[float, float, float]:
    """The loss, the naive one, and the furthest gradients, relative to the largest entry."""
    seen = recorded(denoiser, monkeypatch)
    options = {"valid": VALID, "pairs": pairs}
    loss = objectives.block_diffusion(denoiser, TOKENS, MASKABLE, 3, **options).loss
    loss.backward()
    found = gradients(net)
    naive = naive_loss(net, seen[0], width, shift, of_a_pair if pairs else one)
    naive.backward()
    wanted = gradients(net)
    assert found.keys() == wanted.keys()
    scale = max(float(g.abs().max()) for g in wanted.values())
    far = max(float((found[n] - g).abs().max()) for n, g in wanted.items()) / scale
    return float(loss.detach()), float(naive.detach()), far


@pytest.mark.parametrize("packed", [None, 14])
@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("width", [1, 3, 4, 8])
def test_it_is_one_block_at_a_time_in_loss_and_every_gradient(width, shift, packed, monkeypatch):
    inner = decoder(block=width, shift=shift)
    denoiser = inner if packed is None else unmask.Packed(inner, packed)
    loss, naive, far = compared(denoiser, inner.net, width, shift, False, monkeypatch)
    assert loss == pytest.approx(naive, abs=1e-5)
    assert far < 1e-5


@pytest.mark.parametrize("kind", ["llama, eager", "qwen3", "gpt2", "gpt_neox"])
def test_pairs_and_other_networks_are_one_block_at_a_time(kind, monkeypatch):
    name, attention = (*kind.split(", "), None)[:2]
    options = {"head_dim": 8} if name == "qwen3" else {}
    denoiser = decoder(name, 4, attention, shift=True, **options)
    loss, naive, far = compared(denoiser, denoiser.net, 4, True, True, monkeypatch)
    assert loss == pytest.approx(naive, abs=1e-5)
    assert far < 1e-5


WRONG = {
    "later blocks see noise": lambda q: replace(q, clean=q.tokens),
    "one stream": lambda q: replace(q, clean=None),
}


@pytest.mark.parametrize("what", WRONG)
def test_another_input_is_another_loss(what, monkeypatch):
    """Negative control of the comparison."""
    denoiser = decoder(block=3)
    forward = denoiser.forward
    change = WRONG[what]
    monkeypatch.setattr(denoiser, "forward", lambda query, cache: forward(change(query), cache))
    loss, naive, far = compared(denoiser, denoiser.net, 3, False, False, monkeypatch)
    assert abs(loss - naive) > 1e-2
    assert far > 1e-2


def test_a_padded_row_is_the_row_alone():
    for shift, pairs in itertools.product([False, True], repeat=2):
        denoiser, seeds = decoder(block=4, shift=shift), derive(5, len(TOKENS))
        whole = objectives.block_diffusion(
            denoiser, TOKENS, MASKABLE, seeds, time=seeds / 2**63, valid=VALID, pairs=pairs
        )
        for row, length in enumerate(SIZES.tolist()):
            part = (slice(row, row + 1), slice(0, length))
            alone = objectives.block_diffusion(
                denoiser, TOKENS[part], MASKABLE[part], seeds[row : row + 1], pairs=pairs,
                time=seeds[row : row + 1] / 2**63,
            )  # fmt: skip
            wanted = whole.per_example[row]
            torch.testing.assert_close(alone.per_example[0], wanted, atol=1e-5, rtol=1e-6)
        assert whole.counts.tolist() == MASKABLE.sum(1).tolist()


@pytest.mark.parametrize("width", [N, N + 1, 32])
def test_a_row_of_one_block_is_count(width):
    denoiser = decoder(block=width)
    options = {"valid": VALID, "seed": 4}
    found = objectives.block_diffusion(denoiser, TOKENS, MASKABLE, **options)
    wanted = objectives.count(decoder(), TOKENS, MASKABLE, **options)
    torch.testing.assert_close(found.per_example, wanted.per_example, atol=1e-5, rtol=1e-6)
    found = objectives.block_diffusion(denoiser, TOKENS, MASKABLE, pairs=True, **options)
    wanted = objectives.complementary(decoder(), TOKENS, MASKABLE, **options)
    torch.testing.assert_close(found.per_example, wanted.per_example, atol=1e-5, rtol=1e-6)


def test_blocks_of_one_are_left_to_right():
    """With a logit shift the plain network, called as it was trained, gives the likelihood."""
    denoiser = decoder(block=1, shift=True)
    asked = VALID & (torch.arange(N) > 0)
    with torch.no_grad():
        logits = denoiser.net(input_ids=TOKENS).logits.double()
    logits[..., MASK] = -math.inf
    each = -logits.log_softmax(2)[:, :-1].gather(2, TOKENS[:, 1:, None]).squeeze(2)
    exact = each.masked_fill(~asked[:, 1:], 0.0).sum(1)
    for seed, pairs in itertools.product([0, 1], [False, True]):
        loss = objectives.block_diffusion(denoiser, TOKENS, asked, seed, valid=VALID, pairs=pairs)
        torch.testing.assert_close(loss.per_example, exact, atol=1e-5, rtol=1e-5)
    scored = unmask.score(denoiser, TOKENS[:1], asked[:1])
    assert float(scored.per_example) == pytest.approx(float(exact[0]), abs=1e-5)
    assert scored.standard_error == 0


# A world of three ids, rows of five, blocks of two: every set of hidden positions can be visited.
IDS, LENGTH, COPIES = 3, 5, 1000
MODULE = sys.modules["unmask.objectives.block_diffusion"]
SMALL = torch.tensor([2, 0, 1, 1, 0])


def small(width: int = 2, shift: bool = False) -> Decoder:
    ids = tuple(range(IDS, MASK))
    return Decoder(network(), MASK, block=width, forbidden=ids, logit_shift=shift).eval()


def exact_bound(denoiser: Decoder, width: int, asked=range(LENGTH)) -> float:
    """Σ_b n·E_k[(1/k)·Σ], k uniform on 1..n, over every subset of the asked positions of blocks."""
    total = 0.0
    for block in blocks_of_row(width, LENGTH):
        places = [i for i in block if i in asked]
        for k in range(1, len(places) + 1):
            subsets = list(itertools.combinations(places, k))
            for subset in subsets:
                shown = SMALL.clone()
                shown[list(subset)] = MASK
                with torch.no_grad():
                    logits = block_logits(
                        denoiser.net, SMALL, shown, block, width, denoiser.logit_shift
                    )
                logp = logits[:, :IDS].log_softmax(1)
                nats = -sum(float(logp[i - block.start, SMALL[i]]) for i in subset)
                total += nats / k / len(subsets)
    return total


def mean_and_error(estimator, denoiser, rows: int = 600, seeds: int = 8) -> tuple[float, float]:
    tokens = SMALL.repeat(rows, 1)
    everywhere = torch.ones_like(tokens, dtype=torch.bool)
    with torch.no_grad():
        means = torch.stack(
            [estimator(denoiser, tokens, everywhere, s).per_example.mean() for s in range(seeds)]
        )
    return float(means.mean()), float(means.std() / math.sqrt(seeds))


ESTIMATORS = {
    "block_diffusion": objectives.block_diffusion,
    "block_diffusion, cosine": partial(objectives.block_diffusion, schedule="cosine"),
    "block_diffusion, pairs": partial(objectives.block_diffusion, pairs=True),
    "block_diffusion, pairs, cosine": partial(
        objectives.block_diffusion, pairs=True, schedule="cosine"
    ),
    "count": objectives.count,
    "complementary": objectives.complementary,
    "bernoulli_by_count": objectives.bernoulli_by_count,
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_is_unbiased_of_the_law_by_blocks(name):
    """Five standard errors of eight batches of 600; fixed seeds."""
    for width, shift in ((2, False), (3, True)):
        denoiser = small(width, shift)
        mean, error = mean_and_error(ESTIMATORS[name], denoiser)
        assert abs(mean - exact_bound(denoiser, width)) < 5 * error + 1e-5


def test_a_wrong_weight_or_stream_fails_the_same_test(monkeypatch):
    denoiser = small()
    exact = exact_bound(denoiser, 2)
    forward = denoiser.forward
    for change in WRONG.values():
        monkeypatch.setattr(
            denoiser, "forward", lambda query, cache, to=change: forward(to(query), cache)
        )
        mean, error = mean_and_error(objectives.block_diffusion, denoiser)
        assert abs(mean - exact) > 8 * error
    monkeypatch.setattr(denoiser, "forward", forward)
    # Every count weighted alike.
    monkeypatch.setattr(MODULE, "rounded_up", lambda ratio, k, n: 1 / k.clamp(min=1).double())
    mean, error = mean_and_error(objectives.block_diffusion, denoiser)
    assert abs(mean - exact) > 20 * error


def test_the_score_is_the_bound_by_blocks():
    """Also of a span, in networks that cannot run on two streams, and as generation goes."""
    asked = torch.tensor([False, True, True, False, True])
    for width, shift in ((2, False), (3, True)):
        denoiser = small(width, shift)
        for flags in (torch.ones(LENGTH, dtype=torch.bool), asked):
            copies = (SMALL.repeat(COPIES, 1), flags.repeat(COPIES, 1))
            scored = unmask.score(denoiser, *copies, by=unmask.scoring.Bound(3), batch_size=4000)
            error = float(scored.per_example.std() / math.sqrt(COPIES))
            exact = exact_bound(denoiser, width, flags.nonzero().flatten().tolist())
            assert abs(float(scored.per_example.mean()) - exact) < 4 * error + 1e-5
            # One block after the other, one token a step, in an order drawn for each row.
            strategy = unmask.presets.first_hitting(block=width)
            ordered = unmask.score(
                denoiser, *copies, by=unmask.scoring.Ordered(strategy), batch_size=4000
            )
            error = float(ordered.per_example.std() / math.sqrt(COPIES))
            assert abs(float(ordered.per_example.mean()) - exact) < 4 * error + 1e-5
            apart = small(width, shift)
            apart.spec = replace(apart.spec, two_streams=False)
            few = [each[:20] for each in copies]
            again = unmask.score(apart, *few, by=unmask.scoring.Bound(3))
            torch.testing.assert_close(again.per_example, scored.per_example[:20])


@pytest.mark.parametrize(("width", "samples"), [(4, 8), (4, 16), (3, 16)])
def test_the_variance_of_a_single_row_is_that_over_seeds(width, samples):
    tokens = torch.cat([SMALL, SMALL[:3]]).repeat(COPIES, 1)
    copies = unmask.Canvas.infill(tokens, torch.ones_like(tokens, dtype=torch.bool))
    bound = unmask.scoring.Bound(samples)
    found = bound(small(width), copies, 0, 20_000, lambda done, total: None)
    # 1,000 copies give the variance to 5 %; neighbours that split a block differently add to it.
    most = 1.2 if samples % width == 0 else 2.5
    assert 0.8 < float(found.variance.mean() / found.nats.var()) < most


def test_blocks_of_two_have_no_error():
    """A pair of masks hides both tokens, or each of them once."""
    scored = unmask.score(small(2), SMALL[None], by=unmask.scoring.Bound(16))
    assert scored.standard_error < 1e-6
    assert float(scored.per_example) == pytest.approx(exact_bound(small(2), 2), abs=1e-5)


def passes(net, monkeypatch) -> list[tuple[int, ...]]:
    """Shapes of the tokens of each pass through the network from here on."""
    shapes: list[tuple[int, ...]] = []
    trunk = net.base_model
    forward = trunk.forward

    def counting(*args, **given):
        shapes.append(tuple(given["input_ids"].shape))
        return forward(*args, **given)

    monkeypatch.setattr(trunk, "forward", counting)
    return shapes


def test_positions_that_the_network_computes(monkeypatch):
    """One pass of 2N positions a row; one at a time, a pass of up to N for each block."""
    denoiser = decoder(block=4)
    shapes = passes(denoiser.net, monkeypatch)
    given = {"tokens": TOKENS, "maskable": MASKABLE, "seed": 0, "valid": VALID}
    objectives.block_diffusion(denoiser, **given)
    objectives.block_diffusion(denoiser, **given, pairs=True)
    objectives.block_diffusion(unmask.Packed(denoiser, 11), **given)
    objectives.block_diffusion(decoder(block=N), **given)
    assert shapes[:2] == [(5, 22), (10, 22)]
    assert shapes[-1] == (3, 22)  # 30 tokens in three rows of 11, twice
    # Of a mask in one block, as for the pseudo-likelihood, blocks behind it are not computed.
    shapes.clear()
    unmask.score(denoiser, TOKENS[:1], by=unmask.scoring.PseudoLikelihood())
    assert sum(rows * width for rows, width in shapes) == 11 * 11
    shapes.clear()
    unmask.score(denoiser, TOKENS[:1], by=unmask.scoring.Bound(2))
    assert sum(rows * width for rows, width in shapes) <= 4 * 22


def test_gradient_checkpointing_changes_nothing():
    found, runs = [], []
    for wrapped in (False, True):
        denoiser = decoder(block=3)
        denoiser.train()
        if wrapped:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # transformers 5 has another name for it
                denoiser.net.gradient_checkpointing_enable()
        runs.append([])
        layer = denoiser.net.model.layers[0].mlp
        layer.register_forward_pre_hook(lambda *_, to=runs[-1]: to.append(1))
        objectives.block_diffusion(denoiser, TOKENS, MASKABLE, 1, valid=VALID).loss.backward()
        found.append(gradients(denoiser.net))
    for name, grad in found[0].items():
        torch.testing.assert_close(found[1][name], grad)
    assert [len(each) for each in runs] == [1, 2]  # the layer is run again on the way back


@given(st.integers(1, 6), st.integers(1, 7), st.integers(0, 2**40))
def test_blocks_of_a_row_cover_the_schedule_evenly(rows, blocks, seed):
    generator = torch.Generator().manual_seed(seed)
    there = torch.rand(rows, blocks, generator=generator) < 0.7
    slot = torch.arange(rows).double()
    u = block_times((slot + 0.5) / rows, there, derive(seed, rows))
    assert bool(((u >= 0) & (u < 1)).all())
    for row in range(rows):
        n = int(there[row].sum())
        assert sorted((u[row, there[row]] * n).long().tolist()) == list(range(n))
    if bool(there.all()):  # all times of the batch are the centres of as many equal parts
        centres = (torch.arange(rows * blocks).double() + 0.5) / (rows * blocks)
        torch.testing.assert_close(u.flatten().sort().values, centres)


def test_a_network_that_counts_positions_itself_is_run_block_by_block(monkeypatch):
    """Its second stream would stand at other positions: one pass for each block, the same loss."""
    net, same = network(), decoder(block=4, shift=True)
    trunk = net.model.forward

    def forward(*args, position_ids=None, **given):
        return trunk(*args, **given)

    net.model.forward = forward
    denoiser = Decoder(net, MASK, block=4, logit_shift=True)
    assert same.spec.two_streams
    assert not denoiser.spec.two_streams
    seen = recorded(denoiser, monkeypatch)
    for objective in (objectives.block_diffusion, objectives.count, objectives.masked_mean):
        found = objective(denoiser, TOKENS, MASKABLE, 0, valid=VALID)
        wanted = objective(same, TOKENS, MASKABLE, 0, valid=VALID)
        torch.testing.assert_close(found.per_example, wanted.per_example, atol=1e-5, rtol=1e-5)
        found.loss.backward()
        wanted.loss.backward()
        mine, theirs = gradients(net), gradients(same.net)
        for name, grad in theirs.items():
            torch.testing.assert_close(mine[name], grad, atol=1e-5, rtol=1e-4)
    assert len(seen) == 3 * 3  # three blocks of four


def test_what_it_cannot_use():
    good = {"tokens": TOKENS, "maskable": MASKABLE, "seed": 0, "valid": VALID}
    denoiser = decoder(block=3)
    wrapped = unmask.wrap(torch.nn.Embedding(VOCAB, VOCAB), mask_id=MASK)

    def refused(error, words, net=denoiser, **changed):
        with pytest.raises(error, match=words):
            objectives.block_diffusion(net, **(good | changed))

    refused(StrategyError, r"Decoder has no blocks: pass models.Decoder", decoder())
    refused(StrategyError, r"Embedding|has no blocks: pass models.Decoder", wrapped)
    refused(StrategyError, r"is not a denoiser: wrap it first", network())
    refused(StrategyError, r"pairs=1: pass True or False", pairs=1)
    refused(CanvasError, "a decoder takes no condition", condition=torch.zeros(5))
    refused(DataError, "condition has shape", condition=torch.zeros(4), pairs=True)
    refused(CanvasError, "a decoder takes no condition", unmask.Packed(denoiser, 11),
            condition={"token_type_ids": TOKENS})  # fmt: skip
    refused(DataError, "which is padding", valid=~VALID)
    outside = TOKENS.masked_fill(~VALID, -100)
    refused(DataError, "id -100 at row 1, position 6 is outside", tokens=outside)
    nothing = objectives.block_diffusion(denoiser, **(good | {"maskable": MASKABLE & False}))
    assert (float(nothing.loss.detach()), int(nothing.tokens)) == (0.0, 0)


def test_a_cache_around_the_decoder_is_trained_as_the_decoder():
    given = {"tokens": TOKENS, "maskable": MASKABLE, "seed": 0, "valid": VALID}
    alone = objectives.block_diffusion(decoder(block=3), **given)
    cached = objectives.block_diffusion(BlockCache(decoder(block=3)), **given)
    assert torch.equal(alone.per_example, cached.per_example)


def test_a_trainer_measures_the_law_that_it_trains(tmp_path):
    """A decoder in blocks learns one row, with others packed beside it; its bound is `score`'s."""
    from transformers import TrainingArguments

    from unmask.data import Example
    from unmask.training.trainer import MaskedTrainer

    rows = [Example(TOKENS[i, :n], MASKABLE[i, :n]) for i, n in enumerate(SIZES.tolist())]
    arguments = TrainingArguments(
        output_dir=str(tmp_path), max_steps=30, per_device_train_batch_size=5, learning_rate=2e-2,
        save_strategy="no", report_to="none", disable_tqdm=True, use_cpu=True, log_level="error",
    )  # fmt: skip
    denoiser = unmask.Packed(decoder(block=4, shift=True), 12)
    trainer = MaskedTrainer(
        denoiser, arguments, rows, held_out=rows, objective=objectives.block_diffusion
    )
    before = trainer.bound(rows, samples=4).nats_per_token
    trainer.train()
    after = trainer.bound(rows, samples=4)
    assert after.nats_per_token < before / 2
    # Packed or not, and as it generates: one block after the other, one token a step.
    options = {"maskable": MASKABLE, "valid": VALID}
    again = unmask.score(denoiser.inner, TOKENS, by=unmask.scoring.Bound(4), **options)
    torch.testing.assert_close(again.per_example, after.per_example, atol=1e-4, rtol=1e-4)
    ordered = unmask.scoring.Ordered(unmask.presets.first_hitting(block=4))
    nats = [
        float(
            unmask.score(denoiser.inner, TOKENS, by=ordered, seed=seed, **options).per_example.sum()
        )
        for seed in range(16)
    ]
    assert float(after.per_example.sum()) == pytest.approx(sum(nats) / 16, rel=0.1)
