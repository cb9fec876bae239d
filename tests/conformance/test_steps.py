"""What holds at every step of every preset and order (docs/architecture.md, invariants 1 to 3, 6).

Rows are ragged, prompts hold the mask id, and networks insist on ids that may not be drawn.
"""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import example, given, settings
from tests.conformance.cases import TOYS, cases, hard
from tests.conformance.catalogue import EVERY, ORDERS, PRESETS, planned
from tests.conformance.toys import FORBIDDEN, MASK, VOCAB, Toy

from unmask import Canvas, Query, init, orders, prepare, presets, stream
from unmask.commit import AtOnce
from unmask.core.state import NEVER
from unmask.noise import UniformIds
from unmask.revise import Doubt, Edit, Never, Verify
from unmask.schedules import resolve


def trace(network, case, strategy, entry):
    """(state before, info) of every step."""
    canvas = case.canvas(entry=entry)
    states, infos = [], []
    for info in stream(network, canvas, strategy, seeds=case.seeds):
        infos.append(info)
        states.append(info.state)
    return canvas, states, infos


def finished(state):
    """(B,) bool."""
    return torch.from_numpy(state.rows.finished)


def resting(state):
    """(B,) bool: rows that are full, and not finished yet, because they are still edited."""
    return torch.from_numpy(state.rows.at_rest)


def naive_plan(unknown, steps, ratio, lift=0.0):
    """After step s of T: ⌊U·γ(s/T) + lift⌋, at least T − s, fewer than before. Plain Python."""
    total, before, plan = min(steps, unknown), unknown, []
    for s in range(1, total + 1):
        wanted = unknown * float(ratio(torch.tensor(s / total, dtype=torch.float64)))
        before = min(max(math.floor(round(wanted + lift, 6)), total - s), before - 1)
        plan.append(before)
    return plan


def check_given_positions_never_change(canvas, states):
    for state in states:
        assert torch.equal(state.tokens[~canvas.editable], canvas.tokens[~canvas.editable])
        assert not (state.masked & ~canvas.editable).any()
        assert (state.commit_step[~canvas.editable] == NEVER).all()
        assert (state.logprob[~canvas.editable] == 0).all()


def check_finished_rows_are_known_and_legal(canvas, states, strategy):
    for state in states:
        full = ~state.masked.any(1)
        if strategy.commit.takes_all_steps:  # a full row may still lose positions again
            assert not (finished(state) & ~full).any()
        else:
            assert torch.equal(finished(state) | resting(state), full | resting(state))
            assert not (finished(state) & resting(state)).any()
        written = state.tokens[canvas.editable & ~state.masked]
        assert bool(((written >= 0) & (written < VOCAB)).all())
        assert not torch.isin(written, torch.tensor([MASK, FORBIDDEN])).any()
    if states:
        assert bool(finished(states[-1]).all())


def check_counts(case, strategy, canvas, states):
    unknown = canvas.editable.sum(1).tolist()
    left = [[u, *(int(s.masked[b].sum()) for s in states)] for b, u in enumerate(unknown)]
    for b, counts in enumerate(left):
        spent = int(states[-1].rows.step[b]) if states else 0
        spent -= int(states[-1].rows.rest[b]) if states else 0  # passes over full groups
        assert counts[spent:] == [0] * len(counts[spent:])  # no step once finished
        steps = case.steps if isinstance(case.steps, int) else case.steps[b]
        if planned(strategy):
            assert spent == min(steps, unknown[b])
            ratio, lift = resolve(case.schedule), strategy.commit.plan.lift
            assert counts[1 : spent + 1] == naive_plan(unknown[b], steps, ratio, lift)
        elif isinstance(strategy.commit, AtOnce):
            assert spent <= steps
            assert len(set(counts[:spent])) <= 1  # nothing before the last step, which fills all
        elif strategy.growth is not None:
            assert spent <= 64 + unknown[b]
        elif not strategy.commit.takes_all_steps:
            assert spent <= unknown[b]
            if not isinstance(strategy.revise, Verify | Doubt):
                assert all(after < before for before, after in pairwise(counts[: spent + 1]))


def check_masked_only_shrinks(canvas, states):
    before = canvas.editable
    for state in states:
        assert not (state.masked & ~before).any()
        before = state.masked


def check_forwards(canvas, network, infos, strategy):
    """What rows are charged is what the network did, and only for rows that are open."""
    charged = int(infos[-1].state.rows.forwards.sum()) if infos else 0
    assert sum(network.rows) == charged
    if isinstance(strategy.revise, Verify):  # passes of its own between those of the steps
        return
    open_rows = canvas.editable.any(1)
    assert len(network.rows) == len(infos)
    for rows, info in zip(network.rows, infos, strict=True):
        assert info.rows.tolist() == open_rows.nonzero().squeeze(1).tolist()
        assert rows == int(open_rows.sum())
        open_rows = ~finished(info.state)


@pytest.mark.parametrize("entry", EVERY, ids=lambda e: e.name)
def test_every_step_keeps_the_invariants(entry):
    @settings(max_examples=20 if entry in PRESETS else 5)
    @given(case=cases(), network=TOYS)
    @example(case=hard(), network=Toy(eager=12.0))
    def check(case, network):
        strategy = case.strategy(entry)
        canvas, states, infos = trace(network, case, strategy, entry)
        check_given_positions_never_change(canvas, states)
        check_finished_rows_are_known_and_legal(canvas, states, strategy)
        check_counts(case, strategy, canvas, states)
        check_forwards(canvas, network, infos, strategy)
        shrinks = not strategy.commit.takes_all_steps and strategy.growth is None
        if isinstance(strategy.revise, Never | Edit) and shrinks:
            check_masked_only_shrinks(canvas, states)

    check()


# Of rows that grow, positions move: tests/decoding/test_growing.py.
@pytest.mark.parametrize("entry", [e for e in EVERY if not e.grows], ids=lambda e: e.name)
def test_the_record_holds_what_the_model_said(entry):
    """logprob at the commit step against a float64 log-softmax of logits asked for again."""

    @settings(max_examples=5 if entry in PRESETS else 2)
    @given(case=cases(), network=TOYS)
    @example(case=hard(), network=Toy(eager=12.0))
    def check(case, network):
        strategy = case.strategy(entry)
        canvas, _, infos = trace(network, case, strategy, entry)
        tokens, masked, cache = canvas.tokens, canvas.editable, None
        before = init(network, canvas, strategy, case.seeds)
        for info in infos:
            rows = info.rows
            shown = tokens.masked_fill(masked, MASK)[rows]
            if isinstance(strategy.noise, UniformIds):
                shown = prepare(before.take(rows), strategy).tokens
            past = None if cache is None else cache.take(rows)
            logits, _ = network.forward(Query.of(shown, canvas.valid[rows]), past)
            logits = logits.double()
            logits[..., [MASK, FORBIDDEN]] = -math.inf
            said = logits.log_softmax(-1)
            state = info.state
            for b, row in enumerate(rows.tolist()):
                for i in info.committed[b].nonzero().squeeze(1).tolist():
                    token = int(state.tokens[row, i])
                    assert float(state.logprob[row, i]) == pytest.approx(
                        float(said[b, i, token]), abs=2e-5, rel=2e-5
                    )
                    assert int(state.commit_step[row, i]) == int(state.rows.step[row]) - 1
                assert (state.commit_step[row][info.remasked[b]] == NEVER).all()
                assert (state.logprob[row][info.remasked[b]] == 0).all()
            assert torch.equal(info.committed, (masked & ~state.masked)[rows])
            assert torch.equal(info.remasked, (~masked & state.masked)[rows])
            tokens, masked, cache, before = state.tokens, state.masked, state.cache, state

    check()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("entry", EVERY, ids=lambda e: e.name)
def test_scores_and_draws_are_float32_or_better(entry, dtype):
    wide = (torch.float32, torch.float64)
    strategy = entry.make(4, 2, "linear")
    for info in stream(Toy(dtype), Canvas.blank(2, 4), strategy, seeds=[3, 4]):
        assert info.score.dtype in wide
        assert info.proposal.logprob.dtype in wide
        assert info.proposal.sampling_logprob.dtype in wide
        assert info.state.logprob.dtype in wide
        assert info.state.sampling_logprob.dtype in wide


def test_the_catalogue_holds_the_whole_package():
    assert {e.function.__name__ for e in PRESETS} == set(presets.__all__)
    assert {"Probability", "Random", "Halton", "ChoiceNoise"} <= set(orders.__all__)
    assert {e.function.__name__ for e in ORDERS} == {
        name
        for name in orders.__all__
        if name[0].isupper() and name not in ("Order", "FromFunction")
    }
