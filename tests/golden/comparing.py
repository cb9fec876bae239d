"""Running a strategy beside the references of its rows, step by step."""

import pytest
from tests.golden.cases import canvas_of, expected, steps_of, strategy_of
from tests.golden.rules import RATIOS
from tests.golden.world import MASK, VOCAB, network

import unmask


def references_of(name, options, rows, schedule):
    """The steps of each row; rows are (tokens, editable, seed, steps)."""
    return [expected(name, options, row, steps, RATIOS[schedule]) for *row, steps in rows]


def compare(name, options, rows, schedule):
    """Assert that the preset does what its reference does to rows, all in one canvas."""
    tokens, editable, seeds, steps = map(list, zip(*rows, strict=True))
    denoiser = unmask.wrap(network, mask_id=MASK, vocab_size=VOCAB)
    strategy = strategy_of(name, options, steps, schedule)
    infos = unmask.stream(
        denoiser, canvas_of(tokens, editable, steps_of(name, options, steps)), strategy, seeds=seeds
    )
    follow(infos, references_of(name, options, rows, schedule))


def follow(infos, wanted, forwards=1):
    """Assert that steps are the wanted ones; forwards: network passes for each of a reference."""
    taken, spent = 0, [0] * len(wanted)
    for info in infos:
        open_rows = [b for b, steps in enumerate(wanted) if len(steps) > taken]
        assert info.rows.tolist() == open_rows
        for at, b in enumerate(open_rows):
            check_row(info, at, b, wanted[b][taken])
            spent[b] += forwards * wanted[b][taken].forwards
        assert info.state.rows.forwards.tolist() == spent
        taken += 1
    assert taken == max(map(len, wanted))


def check_row(info, at, b, step):
    """Same positions, same tokens, same log-probabilities; of a row that grows, the same row."""
    state = info.state
    if step.after is not None:
        known = zip(state.tokens[b].tolist(), state.masked[b].tolist(), strict=True)
        row = [None if unknown else token for token, unknown in known]
        assert row[: int(state.rows.length[b])] == step.after
    committed, remasked, edited = (
        set(each[at].nonzero().squeeze(1).tolist())
        for each in (info.committed, info.remasked, info.edited)
    )
    assert {i: int(state.tokens[b, i]) for i in committed} == step.committed
    assert {i: int(state.tokens[b, i]) for i in edited} == step.edited
    assert remasked == step.remasked
    for name in ("logprob", "sampling_logprob"):
        got = {i: float(getattr(state, name)[b, i]) for i in committed | edited}
        assert got == pytest.approx(getattr(step, name), abs=1e-4)
