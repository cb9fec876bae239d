"""What the host keeps of rows belongs to one run, and to nobody else's numbers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.conformance.toys import MASK, VOCAB, SumCache, Toy, flat
from tests.reference.network import Network

import unmask
from unmask import Canvas, presets
from unmask.core import arrays
from unmask.errors import LogitsError, ModelError


class Told(Network):
    """Rows are told a class, which is their first logit; parts may be cut to their length."""

    vocab_size, mask_id, trims = VOCAB, MASK, True

    def hidden(self, tokens, *, valid, condition):
        logits = torch.zeros(*tokens.shape, VOCAB)
        logits.scatter_(2, condition.view(-1, 1, 1).expand(*tokens.shape, 1), 50.0)
        return logits


def ragged(lengths, condition):
    return Canvas.ragged([[0] * n for n in lengths], condition=condition)


def test_a_condition_of_two_canvases_keeps_its_rows():
    classes = torch.tensor([1, 3])
    for lengths in ([2, 9], [9, 2], [2, 9]):
        tokens = unmask.generate(Told(), ragged(lengths, classes), presets.random_order(2), seed=0)
        for row, n in enumerate(lengths):
            assert set(tokens[row, :n].tolist()) == {int(classes[row])}


def test_a_condition_changed_between_runs_is_seen_anew():
    array = torch.tensor([1, 3]).numpy()
    classes = torch.from_numpy(array)
    for values in ([1, 3], [4, 0]):
        array[:] = values
        tokens = unmask.generate(Told(), ragged([2, 9], classes), presets.random_order(2), seed=0)
        assert tokens[:, 0].tolist() == values


def test_generation_runs_in_inference_mode():
    expected = unmask.generate(Toy(), batch_size=2, length=6, seed=0)
    with torch.inference_mode():
        tokens = unmask.generate(Toy(), batch_size=2, length=6, seed=0)
    assert torch.equal(tokens, expected)


def test_what_inference_mode_made_does_not_stop_training():
    from unmask import objectives

    net = torch.nn.Sequential(torch.nn.Embedding(23, 8), torch.nn.Linear(8, 23))
    denoiser = unmask.wrap(net, mask_id=22, vocab_size=23)
    tokens, maskable = torch.randint(20, (2, 5)), torch.ones(2, 5, dtype=torch.bool)
    with torch.inference_mode():
        objectives.count(denoiser, tokens, maskable, 0)
    objectives.count(denoiser, tokens, maskable, 0).loss.backward()
    assert net[1].weight.grad is not None


def test_logits_that_are_part_of_a_table_are_not_written_to():
    class Table(Toy):
        table = torch.zeros(100, VOCAB)

        def logits(self, hidden):
            return self.table[: len(hidden)]

    before = Table.table.clone()
    unmask.generate(Table(), batch_size=2, length=6, seed=0)
    assert torch.equal(Table.table, before)


def test_rows_may_have_budgets_of_their_own():
    strategy = presets.maskgit(6)
    state = unmask.init(Toy(), Canvas.blank(2, 8), strategy, [0, 1])
    state = replace(state, rows=replace(state.rows, budget=np.array([2, 6])))
    while not unmask.done(state):
        part = unmask.step(state.take(state.rows.unfinished), Toy(), strategy).state
        state = state.put(state.rows.unfinished, part)
    assert state.rows.forwards.tolist() == [2, 6]


def test_a_cache_that_the_spec_does_not_know_is_refused():
    class Remembers(Told):
        def forward(self, query, cache):
            hidden, _ = super().forward(query, None)
            return hidden, SumCache(torch.zeros(len(hidden)), np.ones(len(hidden), bool))

    with pytest.raises(ModelError, match=r"returned a cache, and its spec says that it keeps none"):
        unmask.generate(Remembers(), ragged([2, 9], torch.tensor([1, 3])), seed=0)


def test_a_given_row_is_not_passed_through_the_network():
    canvas = Canvas.ragged([[0] * 9, [0] * 3, [0] * 3], [[False] * 9, [True] * 3, [True] * 3])
    network = Toy()
    unmask.run(network, canvas, presets.maskgit(2), seed=0, max_tokens=18)
    assert network.rows == [2, 2]


def broken(tokens):
    return flat(tokens).masked_fill((tokens == MASK).any(1).view(-1, 1, 1), torch.nan)


def test_far_away_faults_are_raised_by_stream_and_by_score(monkeypatch):
    network = unmask.wrap(broken, mask_id=MASK, vocab_size=VOCAB)
    monkeypatch.setattr(arrays, "_AT_HAND", frozenset())
    with pytest.raises(LogitsError, match="step 0 have NaN"):
        list(unmask.stream(network, Canvas.blank(1, 4), presets.random_order(2), seed=0))
    with pytest.raises(LogitsError, match="have NaN"):
        unmask.score(network, torch.zeros(1, 4, dtype=torch.int64))
