"""Columns of talks: OpenAI's messages, ShareGPT's conversations, prompts with completions."""

import json

import pytest

from unmask.data import read
from unmask.data.blocks import from_jsonl, from_parquet
from unmask.data.talks import Pair, Talk, columns_of, talks_of
from unmask.errors import DataError

MESSAGES = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]


def rows_of(folder, *rows, column=None):
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    table = from_jsonl(path)
    return list(talks_of(table, columns_of(table, column)))


def test_names_of_columns_and_of_senders(tmp_path):
    theirs = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]
    for row in ({"messages": MESSAGES}, {"conversations": theirs}, {"conversation": MESSAGES}):
        [found] = rows_of(tmp_path, row)
        assert found == Talk(MESSAGES, found.where)
        assert "line 1 (counted from 1)" in found.where
        assert found.turns == [1]
    [pair] = rows_of(tmp_path, {"prompt": "2 + 2 = ", "completion": "4"})
    assert (pair.prompt, pair.completion) == ("2 + 2 = ", "4")
    assert isinstance(pair, Pair)
    [lists] = rows_of(tmp_path, {"prompt": MESSAGES, "completion": MESSAGES})
    assert (lists.messages, lists.given, lists.turns) == (MESSAGES * 2, 2, [3])


def test_ids_go_before_talks_and_a_column_may_be_named(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"ids": [1], "messages": MESSAGES, "text": "a"}) + "\n")
    table = from_jsonl(path)
    assert columns_of(table, None) == ()
    assert columns_of(table, "messages") == ("messages",)
    assert columns_of(table, "text") == ()


def test_entries_that_are_null_in_other_rows_are_left_out(tmp_path):
    """Arrow gives every message the entries of all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    called = [*MESSAGES, {"role": "tool", "content": "4", "name": "sum"}, MESSAGES[1]]
    pq.write_table(pa.table({"messages": [MESSAGES, called]}), tmp_path / "a.parquet")
    table = from_parquet(tmp_path / "a.parquet")
    plain, found = talks_of(table, columns_of(table, None))
    assert plain.messages == MESSAGES
    assert found.messages == called


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"messages": MESSAGES[:1]}, "no message of the assistant, so there is nothing to learn"),
        ({"messages": []}, "no message of the assistant"),
        ({"messages": "hi"}, "str instead of a list of messages"),
        ({"messages": ["hi"]}, "message 0: str instead of a message"),
        ({"messages": [{"role": "user"}]}, "message 0: 'content' is None"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]},
            "'content' is in parts, and images and other media are not read",
        ),
        ({"messages": [{"rol": "user", "content": "a"}]}, "did you mean 'rol'?"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "half a character"),
        ({"conversations": [{"from": "human", "value": 3}]}, "'value' is 3; write a text"),
        ({"prompt": "a", "completion": ""}, "the completion is empty"),
        ({"prompt": "a", "completion": 3}, "'prompt' and 'completion' are str and int"),
    ],
)  # fmt: skip
def test_what_is_no_talk_is_told_with_its_place(row, words, tmp_path):
    with pytest.raises(DataError) as error:
        rows_of(tmp_path, {next(iter(row)): MESSAGES, **{k: "a" for k in row if k == "completion"}}
                if "messages" in row else row, row)  # fmt: skip
    assert words in str(error.value)
    assert f"line {2 if 'messages' in row else 1} (counted from 1)" in str(error.value)


def test_a_reader_without_a_model_says_what_talks_need(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"messages": MESSAGES}) + "\n")
    with pytest.raises(DataError, match=r"has talks, in 'messages'.*--from MODEL"):
        read(path)
