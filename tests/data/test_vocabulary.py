"""What ids mean: plain ids, bytes and tokenizers, from the data to a model card and back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.data.conftest import WORDS

from unmask.data import Vocabulary, read
from unmask.data import tokenizer as tokenizers
from unmask.errors import DataError

UNK, MASK, PAD, EOS, CLS = range(5)


def words(text: str) -> list[int]:
    return [WORDS.index(word) for word in text.split()]


@pytest.fixture
def folder(tmp_path, tokenizer):
    """The tokenizer as transformers saves one, with roles of its own."""
    from transformers import PreTrainedTokenizerFast

    made = PreTrainedTokenizerFast(
        tokenizer_file=str(tokenizer), unk_token="[UNK]", eos_token="[CLS]", pad_token="[PAD]"
    )
    made.save_pretrained(str(tmp_path / "saved"))
    return tmp_path / "saved"


def test_ids():
    vocabulary = Vocabulary.of_ids(5)
    assert (vocabulary.kind, vocabulary.size, vocabulary.mask_id, vocabulary.total) == (
        "ids",
        5,
        5,
        6,
    )
    assert (vocabulary.eos_id, vocabulary.pad_id, vocabulary.forbidden) == (None, None, ())
    assert vocabulary.encode(" 3, 1 4\n") == [3, 1, 4]
    assert vocabulary.decode([3, 1, 4]) == "3 1 4"


def test_bytes():
    vocabulary = Vocabulary.of_bytes()
    assert (vocabulary.size, vocabulary.mask_id, vocabulary.total) == (256, 256, 257)
    text = "Märchen\n 🙂"
    assert vocabulary.encode(text) == list(text.encode())
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert vocabulary.decode(np.array([0x61, 0xC3, 0x62])) == "a\ufffdb"


def test_a_bare_tokenizer_has_the_roles_its_names_tell(tokenizer):
    vocabulary = Vocabulary.of_tokenizer(tokenizer)
    assert (vocabulary.size, vocabulary.total) == (len(WORDS), len(WORDS))
    assert (vocabulary.mask_id, vocabulary.eos_id, vocabulary.pad_id) == (MASK, EOS, PAD)
    assert vocabulary.forbidden == (UNK, PAD, CLS)
    assert vocabulary.encode("the cat sat") == words("the cat sat")
    assert vocabulary.encode("bird </s>") == [UNK, EOS]
    assert vocabulary.decode(words("the cat </s>")) == "the cat </s>"
    alone = tokenizer.parent  # the folder that holds nothing but the file
    assert Vocabulary.of_tokenizer(alone).mask_id == MASK


def test_a_folder_has_the_roles_it_says(folder):
    vocabulary = Vocabulary.of_tokenizer(folder)
    assert (vocabulary.eos_id, vocabulary.pad_id) == (CLS, PAD)
    # no mask token was named: it is one more id
    assert (vocabulary.size, vocabulary.mask_id, vocabulary.total) == (12, 12, 13)
    assert vocabulary.forbidden == (UNK, MASK, PAD, EOS)


def test_a_padded_vocabulary(tokenizer, folder):
    own = Vocabulary.of_tokenizer(tokenizer, size=15)
    assert (own.size, own.mask_id, own.total, own.forbidden) == (
        15,
        MASK,
        15,
        (0, 2, 4, 12, 13, 14),
    )
    more = Vocabulary.of_tokenizer(folder, size=15)
    assert (more.mask_id, more.total) == (15, 16)
    with pytest.raises(DataError, match=r"vocab_size=11 with tokenizer .* pass 12 or more"):
        Vocabulary.of_tokenizer(tokenizer, size=11)


def write_text(path, text):
    path.write_text(text)
    return path


def test_special_tokens_of_the_data_are_not_forbidden(tmp_path, tokenizer):
    plain = read(write_text(tmp_path / "a.txt", "the cat"), tokenizer=tokenizer, length=2)
    assert plain.vocabulary == Vocabulary.of_tokenizer(tokenizer)
    path = write_text(tmp_path / "b.txt", "the bird\n[CLS] a dog")
    some = read(path, tokenizer=tokenizer, length=2).vocabulary
    assert some.forbidden == (PAD,)


def test_ids_with_a_tokenizer(tmp_path, tokenizer):
    path = tmp_path / "a.npy"
    np.save(path, np.array([words("the cat"), words("a dog")]))
    assert read(path, tokenizer=tokenizer).vocabulary == Vocabulary.of_tokenizer(tokenizer)
    assert read(path, tokenizer=tokenizer, vocab_size=20).vocabulary.size == 20
    for number, told in [
        (12, "id 12 is not below 12; the tokenizer .* made with another"),
        (MASK, r"row 1 .*position 0 .*: id 1 is the tokenizer's mask token"),
        (-1, "id -1 is negative"),
    ]:
        np.save(path, np.array([words("the cat"), [number, 5]]))
        with pytest.raises(DataError, match=told):
            read(path, tokenizer=tokenizer, vocab_size=20)
    np.save(path, np.array([words("the cat sat"), [5, PAD, 5]]))
    with pytest.raises(DataError, match=r"row 1 .*position 1 .*: id 2 is the tokenizer's padding"):
        read(path, tokenizer=tokenizer)


def test_a_mask_token_in_text_is_told(tmp_path, tokenizer):
    path = write_text(tmp_path / "a.txt", "the cat\n\nthe [MASK]")
    with pytest.raises(DataError, match=r"line 3 .*position 1 .*mask token"):
        read(path, tokenizer=tokenizer, documents=True)
    with pytest.raises(DataError, match=r"a\.txt, position 3 .*mask token"):
        read(path, tokenizer=tokenizer, length=2)


@pytest.mark.parametrize("kind", ["ids", "bytes", "ended", "tokenizer"])
def test_a_card_keeps_all_of_it(tokenizer, kind):
    vocabulary = {
        "ids": Vocabulary.of_ids(7),
        "bytes": Vocabulary.of_bytes(),
        "ended": Vocabulary.of_bytes(end=True),
        "tokenizer": Vocabulary.of_tokenizer(tokenizer, size=14),
    }[kind]
    card = json.loads(json.dumps(vocabulary.to_dict()))
    assert Vocabulary.from_dict(card) == vocabulary
    assert hash(Vocabulary.from_dict(card)) == hash(vocabulary)


def test_bytes_that_text_has_nowhere(tmp_path):
    (tmp_path / "names.txt").write_text("Bo\nDörte\n", encoding="utf-8")
    vocabulary = read(tmp_path / "names.txt", documents=True).vocabulary
    assert vocabulary.absent == tuple(sorted(set(range(256)) - set("BoDörte".encode())))
    card = json.loads(json.dumps(vocabulary.to_dict()))
    assert Vocabulary.from_dict(card).absent == vocabulary.absent
    del card["absent"]  # of an older card
    assert Vocabulary.from_dict(card).absent == ()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"sise": 3}, "unknown entry 'sise': did you mean 'size'"),
        ({"size": "3"}, "entry 'size' is '3'"),
        ({"size": True}, "entry 'size' is True"),
        ({"size": 0, "mask_id": 0}, "size=0"),
        ({"mask_id": 7}, "mask_id=7: the mask id is one of 0 to size"),
        ({"mask_id": None}, "entry 'mask_id' is None"),
        ({"eos_id": 1.0}, "entry 'eos_id' is 1.0"),
        ({"pad_id": "0"}, "entry 'pad_id' is '0'"),
        ({"forbidden": 3}, "entry 'forbidden' is 3"),
        ({"forbidden": [1, "2"]}, "entry 'forbidden' is"),
        ({"absent": [1.5]}, "entry 'absent' is"),
        ({"kind": "byte"}, "kind 'byte': did you mean 'bytes'"),
        ({"kind": 3}, "entry 'kind' is 3"),
        ({"tokenizer": 3}, "entry 'tokenizer' is 3"),
        ({"tokenizer": "x"}, "kind 'ids' with tokenizer='x'"),
        ({"kind": "tokenizer"}, "kind 'tokenizer' with tokenizer=None"),
    ],
)
def test_cards_that_say_something_else(change, told):
    card = {**Vocabulary.of_ids(6).to_dict(), **change}
    with pytest.raises(DataError, match=told):
        Vocabulary.from_dict(card)


def test_a_card_that_lacks_something():
    card = Vocabulary.of_ids(6).to_dict()
    del card["mask_id"]
    with pytest.raises(DataError, match="entry 'mask_id' is 'missing'"):
        Vocabulary.from_dict(card)


def test_what_no_id_stands_for(tokenizer):
    with pytest.raises(DataError, match="type numbers such as '3 1 4'"):
        Vocabulary.of_ids(5).encode("three")
    with pytest.raises(DataError, match="id 5 is not one of 0 to 4"):
        Vocabulary.of_ids(5).encode("4 5")
    with pytest.raises(DataError, match="half a character"):
        Vocabulary.of_bytes().encode("\ud800")
    for vocabulary in (Vocabulary.of_bytes(), Vocabulary.of_tokenizer(tokenizer)):
        for wrong in (-1, vocabulary.size):
            with pytest.raises(DataError, match=f"id {wrong} is not one of 0 to"):
                vocabulary.decode([wrong])


def test_tokenizers_that_are_none(tmp_path):
    with pytest.raises(DataError, match="gpt2: no such file or folder; nothing is downloaded"):
        tokenizers.load_tokenizer("gpt2")
    with pytest.raises(DataError, match=r"holds none of tokenizer\.json"):
        tokenizers.load_tokenizer(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text('{"version": 1')
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        with pytest.raises(DataError, match="cannot be read"):
            tokenizers.load_tokenizer(str(path))
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        tokenizers.load_tokenizer(str(tmp_path))


def test_nothing_is_downloaded(folder, monkeypatch):
    from transformers import AutoTokenizer

    calls = []
    real = AutoTokenizer.from_pretrained
    monkeypatch.setattr(
        AutoTokenizer, "from_pretrained", lambda *a, **k: calls.append((a, k)) or real(*a, **k)
    )
    assert tokenizers.load_tokenizer(str(folder)).encode(["the cat"])[0].tolist() == words(
        "the cat"
    )
    alone = {"local_files_only": True, "trust_remote_code": False}
    assert calls == [((str(folder),), alone)]


def test_bytes_with_an_end():
    vocabulary = Vocabulary.of_bytes(end=True)
    assert (vocabulary.size, vocabulary.eos_id, vocabulary.mask_id, vocabulary.total) == (
        257, 256, 257, 258
    )  # fmt: skip
    assert vocabulary.encode("né") == list("né".encode())  # without an end
    assert vocabulary.decode([97, 98, 256, 99, 256]) == "ab"
    assert vocabulary.decode([256, 97]) == ""
    assert vocabulary.text([97, 10, 98], 10) == "a"
    assert Vocabulary.from_dict(vocabulary.to_dict()) == vocabulary
    with pytest.raises(DataError, match="id 257 is not one of 0 to 256"):
        vocabulary.decode([257])


def test_bytes_have_an_end_where_rows_stay_apart(tmp_path):
    text = write_text(tmp_path / "a.txt", "anna\nbo\n" * 40)
    assert read(text, documents=True).vocabulary == Vocabulary.of_bytes(end=True)
    assert read(text, documents=True).documents
    for options in ({}, {"length": 8}):
        assert read(text, **options).vocabulary == Vocabulary.of_bytes()
        assert not read(text, **options).documents
    table = write_text(tmp_path / "a.jsonl", '{"text": "anna"}\n{"text": "bo"}\n')
    assert read(table).vocabulary == Vocabulary.of_bytes(end=True)
    assert read(table).documents
    assert read(table, length=3).vocabulary == Vocabulary.of_bytes()
    chunks = write_text(tmp_path / "b.jsonl", '{"ids": [1, 2]}\n{"ids": [3, 4]}\n')
    assert not read(chunks).documents  # windows that were cut before
    assert read(chunks, documents=True).documents


def test_what_was_given_after_an_end_is_text():
    vocabulary = Vocabulary.of_bytes(end=True)
    ids = [*b"gus", 256, 256, ord("a"), 256, ord("x")]
    assert vocabulary.text(ids, 256) == "gus"
    assert vocabulary.text(ids, 256, given=6) == "gusa"
    assert vocabulary.text(ids, 256, given=8) == "gusax"


def test_what_a_tokenizer_puts_around_a_text_does_not_depend_on_the_order_of_its_words(
    tokenizer, monkeypatch
):
    """Which is another in each process; seen from a special token, what is before looks after."""
    loaded = tokenizers.load_tokenizer(str(tokenizer))
    known = loaded.backend.get_vocab()
    for first in ("[CLS]", "</s>", "cat"):
        order = {first: known[first], **known}
        monkeypatch.setattr(type(loaded.backend), "get_vocab", lambda _, order=order: order)
        assert loaded.around == ([CLS], [EOS])
