"""What stands beside the tokens of a table: labels, prompts and classes."""

from __future__ import annotations

import pytest
from tests.data.conftest import WORDS
from tests.data.test_formats import RAGGED, ids, write_lines, write_table

from unmask.data import read
from unmask.errors import DataError

KINDS = pytest.mark.parametrize("kind", ["jsonl", "parquet", "datasets"])


def maskable(corpus):
    return [example.maskable.tolist() for example in corpus.examples]


@KINDS
def test_labels_say_what_is_given(tmp_path, kind):
    labels = [[-100, 1, 4], [1], [-100, -100, 2, -100], [5, 3]]
    corpus = read(write_table(tmp_path, kind, {"input_ids": RAGGED, "labels": labels}))
    assert ids(corpus) == RAGGED
    assert maskable(corpus) == [[label != -100 for label in row] for row in labels]


@KINDS
def test_a_number_says_how_many_lead(tmp_path, kind):
    prompts = [2, 0, 1, None]
    corpus = read(write_table(tmp_path, kind, {"ids": RAGGED, "prompt": prompts}))
    assert maskable(corpus) == [
        [position >= (prompt or 0) for position in range(len(row))]
        for row, prompt in zip(RAGGED, prompts, strict=True)
    ]


@KINDS
def test_labels_and_prompts_add_up(tmp_path, kind):
    labels = [[3, -100, 4], [1], [5, 9, 2, 6], [5, 3]]
    columns = {"ids": RAGGED, "labels": labels, "prompt": [1, 0, 3, 0]}
    corpus = read(write_table(tmp_path, kind, columns))
    assert maskable(corpus)[0] == [False, False, True]
    assert maskable(corpus)[2] == [False, False, False, True]


@KINDS
@pytest.mark.parametrize("given_tokenizer", [False, True])
def test_a_text_stands_before_a_text(tmp_path, kind, tokenizer, given_tokenizer):
    columns = {
        "prompt": ["the cat", "mat", None, "on"],
        "text": ["sat", "", "a dog", "a mat"],
        "label": [1, 3, 0, None],
    }
    chosen = tokenizer if given_tokenizer else None
    corpus = read(write_table(tmp_path, kind, columns), tokenizer=chosen)

    def numbers(text):
        return [WORDS.index(w) for w in text.split()] if given_tokenizer else list(text.encode())

    pairs = [(columns["prompt"][row], columns["text"][row]) for row in (0, 2, 3)]
    heads = [numbers(prompt or "") for prompt, _ in pairs]
    assert ids(corpus) == [
        head + numbers(text) for head, (_, text) in zip(heads, pairs, strict=True)
    ]
    assert maskable(corpus) == [
        [False] * len(head) + [True] * len(numbers(text))
        for head, (_, text) in zip(heads, pairs, strict=True)
    ]
    assert [example.category for example in corpus.examples] == [1, 0, None]
    assert corpus.classes == 2  # of the rows that are kept
    assert corpus.notes[-1] == "1 rows without text left out"


@KINDS
def test_a_number_leads_in_text_too(tmp_path, kind):
    corpus = read(write_table(tmp_path, kind, {"text": ["abc", "d"], "prompt": [2, 0]}))
    assert maskable(corpus) == [[False, False, True], [True]]


@KINDS
@pytest.mark.parametrize("name", ["class", "label"])
def test_classes(tmp_path, kind, name):
    corpus = read(write_table(tmp_path, kind, {"ids": RAGGED, name: [4, None, 0, 2]}))
    assert [example.category for example in corpus.examples] == [4, None, 0, 2]
    assert corpus.classes == 5
    assert corpus.notes == ["4 examples of 1 to 4 tokens, in 5 classes"]


@KINDS
@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"labels": [[3, 1], [1], [5, 9, 2, 6], [5, 3]]}, "column 'labels': 2 labels of 3 tokens"),
        (
            {"labels": [[3, 1, 4], [1], [5, 9, 2, 7], [5, 3]]},
            r"{third}, column 'labels', position 3 \(counted from 0\): label 7 of token 6",
        ),
        (
            {"labels": [[3, 1, 4], [-100], [5, 9, 2, 6], [5, 3]]},
            "{second}, column 'ids': nothing is left to generate: all labels are -100",
        ),
        ({"labels": [3, 1, 5, 5]}, "labels"),
        ({"prompt": [3, 0, 0, 0]}, "nothing is left to generate: the prompt covers all 3 tokens"),
        ({"prompt": [0, 2, 0, 0]}, "{second}, column 'ids': prompt=2 of 1 tokens"),
        ({"prompt": [0, 0, -1, 0]}, "{third}, column 'ids': prompt=-1 of 4 tokens"),
        ({"prompt": ["a", "b", "c", "d"]}, "column 'prompt': 'a'; write a whole number"),
        ({"class": [0, 1, -1, 0]}, "{third}, column 'class': class -1; classes count from 0"),
        ({"label": [0.5, 1.0, 2.0, 0.0]}, "column 'label': 0.5; write a whole number"),
        ({"label": ["a", "b", "c", "d"]}, "column 'label': 'a'; write a whole number"),
        ({"label": [True, False, True, True]}, "column 'label': True; write a whole number"),
    ],
)
def test_what_stands_beside_and_is_wrong(tmp_path, kind, columns, told):
    path = write_table(tmp_path, kind, {"ids": RAGGED, **columns})
    line = kind == "jsonl"
    second = r"line 2 \(counted from 1\)" if line else r"row 1 \(counted from 0\)"
    third = r"line 3 \(counted from 1\)" if line else r"row 2 \(counted from 0\)"
    with pytest.raises(DataError, match=told.format(second=second, third=third)):
        read(path)


@pytest.mark.parametrize("name", ["labels", "prompt", "class"])
def test_windows_take_no_rows_apart_that_something_is_said_of(tmp_path, name):
    value = {"labels": [1, 2], "prompt": 1, "class": 0}[name]
    path = write_lines(tmp_path / "a.jsonl", [{"ids": [1, 2], name: value}] * 3)
    with pytest.raises(DataError, match=f"column '{name}'.*documents=True"):
        read(path, length=2)
    assert len(read(path, length=2, documents=True).examples) == 3


def test_labels_belong_to_ids(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [{"text": "ab", "labels": [97, 98]}])
    with pytest.raises(DataError, match="'labels' belongs to ids, and column 'text' holds text"):
        read(path)


@KINDS
def test_a_prompt_that_is_read_itself_leads_nothing(tmp_path, kind):
    path = write_table(tmp_path, kind, {"text": ["ab", "c"], "prompt": ["de", "f"]})
    corpus = read(path, column="prompt")
    assert ids(corpus) == [list(b"de"), list(b"f")]
    assert maskable(corpus) == [[True, True], [True]]
    path = write_table(tmp_path, kind, {"labels": ["ab", "c"]})
    assert ids(read(path, column="labels")) == [list(b"ab"), list(b"c")]
