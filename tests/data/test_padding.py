"""Padding policies against a row-by-row reference."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import unmask
from unmask import objectives
from unmask.data import padding, read
from unmask.data.padding import BlockFill, EndFill, Excluded
from unmask.errors import DataError, StrategyError
from unmask.training import Recipe
from unmask.training.material import of_corpus

EOS, PAD = 9, 8
ROWS = [torch.tensor([1, 2, 3, 4, 5]), torch.tensor([6]), torch.tensor([7, 1, 2, 3])]
FREE = [torch.tensor([False, False, True, True, True]), torch.tensor([True]), torch.ones(4) > 0]


def naive(kind: str, row, free, length: int, block: int):
    """(ids, flags in the loss, flags not padding) of one row, as lists."""
    ids, loss = row.tolist(), free.tolist()
    end = {"excluded": len(ids), "end_of_sequence": length}.get(kind)
    if end is None:
        end = len(ids)
        while end % block and end < length:
            end += 1
    more = end - len(ids)
    ids, loss = ids + [EOS] * more, loss + [True] * more
    rest = length - len(ids)
    return ids + [PAD] * rest, loss + [False] * rest, [True] * end + [False] * rest


POLICIES = {
    "excluded": Excluded(),
    "end_of_sequence": EndFill(EOS),
    "block_fill": BlockFill(EOS, 4),
}


@pytest.mark.parametrize("name", POLICIES)
@given(sizes=st.lists(st.integers(0, 9), min_size=1, max_size=5), extra=st.integers(0, 4))
def test_every_policy_is_the_row_by_row_rule(name, sizes, extra):
    length = max(sizes) + extra
    rows = [torch.arange(size) for size in sizes]
    free = [torch.arange(size) % 3 > 0 for size in sizes]
    padded = POLICIES[name](rows, free, length, PAD)
    for i, size in enumerate(sizes):
        ids, loss, real = naive(name, rows[i], free[i], length, 4)
        assert padded.tokens[i].tolist() == ids, size
        assert padded.maskable[i].tolist() == loss
        assert padded.valid[i].tolist() == real


def test_without_a_length_rows_are_as_long_as_needed():
    assert Excluded()(ROWS, FREE).tokens.shape == (3, 5)
    assert EndFill(EOS)(ROWS, FREE).tokens[1].tolist() == [6, EOS, EOS, EOS, EOS]
    filled = BlockFill(EOS, 4)(ROWS, FREE, pad_id=PAD)
    assert filled.tokens[1].tolist() == [6, EOS, EOS, EOS, PAD, PAD, PAD, PAD]
    assert filled.valid.sum(1).tolist() == [8, 4, 4]


@pytest.mark.parametrize("name", POLICIES)
def test_prompts_are_never_hidden_and_ends_are_where_the_policy_says(name):
    policy, length = POLICIES[name], 11
    padded = policy(ROWS, FREE, length, PAD)
    net = unmask.wrap(lambda t: torch.zeros(*t.shape, 11), mask_id=10, vocab_size=11)
    hidden = torch.zeros_like(padded.maskable)
    for seed in range(60):
        batch = objectives.corrupt_by_count(net, padded.tokens, padded.maskable, seed)
        hidden |= batch.masked
    assert torch.equal(hidden, padded.maskable)
    assert not hidden[0, :2].any()
    ends = {"excluded": [0, 0, 0], "end_of_sequence": [6, 10, 7], "block_fill": [3, 3, 0]}[name]
    assert (hidden & (padded.tokens == EOS)).sum(1).tolist() == ends


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_survives_a_model_card(name):
    entry = json.loads(json.dumps(padding.to_dict(POLICIES[name])))
    assert entry["name"] == name
    assert padding.from_dict(entry) == POLICIES[name]


def test_what_cannot_be_padded_is_named():
    with pytest.raises(DataError, match="row 0 has 5 tokens and the length is 4"):
        Excluded()(ROWS, FREE, 4)
    with pytest.raises(DataError, match="row 1 has 1 tokens and 4 flags"):
        Excluded()(ROWS, [FREE[0], FREE[2], FREE[1]])
    with pytest.raises(StrategyError, match="block=0"):
        BlockFill(EOS, 0)
    with pytest.raises(StrategyError, match="did you mean 'block_fill'"):
        padding.from_dict({"name": "blockfill", "eos_id": 1, "block": 2})
    with pytest.raises(StrategyError, match="eos_id"):
        padding.from_dict({"name": "end_of_sequence"})


def written(folder, rows, **options):
    path = folder / "rows.txt"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return read(path, **options)


def test_padding_is_chosen_by_the_data(tmp_path, tokenizer):
    rows = ["the cat", "a dog sat", "mat"]
    text = written(tmp_path, rows * 4, documents=True)
    material = of_corpus(text, Recipe())
    assert (material.padding, material.length) == (EndFill(256), 10)  # the longest, and its end
    assert of_corpus(text, Recipe(padding="excluded")).padding == Excluded()
    assert of_corpus(text, Recipe(padding="excluded")).length == 9
    tokens = written(tmp_path, rows * 4, documents=True, tokenizer=tokenizer)
    assert (of_corpus(tokens, Recipe()).padding, of_corpus(tokens, Recipe()).length) == (
        EndFill(3), 4
    )  # fmt: skip
    # Samples are written without their end, and what follows.
    assert material.text(torch.tensor([97, 256, 98])) == "a"
    assert of_corpus(tokens, Recipe()).text(torch.tensor([5, 6, 3, 6])) == "the cat"
    stream = written(tmp_path, rows * 4, tokenizer=tokenizer, length=4)
    assert of_corpus(stream, Recipe()).padding == Excluded()
    assert of_corpus(stream, Recipe()).length == 4
    assert of_corpus(stream, Recipe(padding="end_of_sequence")).padding == EndFill(3)
