"""Pieces: joined, they are the text of the ids, for each kind of tokenizer."""

from pathlib import Path

import pytest
from tests.text.models import byte_fallback, byte_level, wordpiece

from unmask.data import Vocabulary
from unmask.data.pieces import of_tokens
from unmask.data.tokenizer import Tokenizer


def text_of(pieces, ids):
    joined = "".join(pieces[i] for i in ids)
    return joined.encode("utf-8", "surrogateescape").decode()


@pytest.mark.parametrize("make", [wordpiece, byte_level, byte_fallback])
@pytest.mark.parametrize("text", ["the cats sat, on the house", "naïve café 🙂 日本語", "a  \n\tb"])
def test_joined_they_are_the_text(make, text):
    tokenizer = Tokenizer(make(), Path("x"))
    ids = [i for i in tokenizer.encode([text])[0].tolist() if i not in tokenizer.specials]
    # A tokenizer that is read whole; the space before the first word is of a text before.
    assert text_of(of_tokens(tokenizer, ids), ids).removeprefix(" ") == tokenizer.decode(ids)


def test_a_byte_of_a_character_is_kept():
    tokenizer = Tokenizer(byte_fallback(), Path("x"))
    ids = tokenizer.encode(["日"])[0].tolist()
    assert [of_tokens(tokenizer, ids)[i] for i in ids] == ["\udce6", "\udc97", "\udca5"]


def test_special_tokens_and_other_ids_are_empty():
    tokenizer = Tokenizer(wordpiece(), Path("x"))
    pieces = of_tokens(tokenizer, [2, 5, 9])
    assert (len(pieces), pieces[2], pieces[5], pieces[6], pieces[9]) == (10, "", " the", "", " dog")
    assert of_tokens(tokenizer, []) == ("",)


def test_pieces_of_bytes_and_of_ids():
    vocabulary = Vocabulary.of_bytes(end=True)
    pieces = vocabulary.pieces([])
    assert text_of(pieces, vocabulary.encode("é\n日")) == "é\n日"
    assert pieces[256:] == ("", "")
    assert Vocabulary.of_ids(3).pieces([]) == ("0 ", "1 ", "2 ", "3 ")
