"""The bytes of ids: every kind of tokenizer, and what has none."""

import random

import pytest
from tests.text.models import byte_fallback, wordpiece
from tests.text.test_patterns import accepted
from tokenizers import decoders

from unmask.data import Vocabulary
from unmask.errors import ModelError
from unmask.text.encoding import ByteEncoding, TokenizerEncoding
from unmask.text.spelling import spelling_of
from unmask.text.structured import Structure


@pytest.mark.parametrize("name", ["byte_model", "fallback_model", "bert_model"])
def test_the_bytes_of_ids_are_what_they_decode_to(name, request):
    """Any ids at the beginning and behind others, as far as they are whole characters."""
    encoding = request.getfixturevalue(name).encoding
    spelling, rng = spelling_of(encoding), random.Random(0)
    ids = [i for i, text in enumerate(spelling.inside) if text]
    assert len(ids) > 0.9 * (encoding.size - len(encoding.special))
    assert not encoding.special & {*ids}
    compared = 0
    for _ in range(400):
        first, *rest = row = rng.choices(ids, k=rng.randint(1, 6))
        written = spelling.first[first] + b"".join(spelling.inside[i] for i in rest)
        try:
            text = written.decode()
        except UnicodeDecodeError:
            continue
        compared += 1
        assert encoding.decode(row) == text
        behind = b"".join(spelling.inside[i] for i in row).decode()
        before = encoding.encode("the cat")
        assert encoding.continued(row, before) == behind
    assert compared > 20


def test_bytes_alone():
    encoding = ByteEncoding(Vocabulary.of_bytes(end=True))
    spelling = spelling_of(encoding)
    assert spelling.first == spelling.inside == (*(bytes([b]) for b in range(256)), None)


def test_words_begin_with_a_space_behind_others(bert_model):
    spelling = spelling_of(bert_model.encoding)
    numbers = bert_model.encoding.backend.get_vocab()
    assert spelling.inside[numbers["cat"]] == b" cat"
    assert spelling.first[numbers["cat"]] == b"cat"
    assert spelling.inside[numbers["##s"]] == b"s"
    assert spelling.inside[numbers[","]] in (b",", b" ,")


def test_a_tokenizer_whose_ids_have_no_bytes_of_their_own():
    """One that writes an id once that stands twice is told before any work."""
    backend = wordpiece()
    backend.backend_tokenizer.decoder = decoders.CTC(pad_token="[PAD]", word_delimiter_token="a")
    with pytest.raises(ModelError, match="each id writes the same text wherever it stands"):
        spelling_of(TokenizerEncoding(backend, 4, surround=False))


BEGINNINGS = {
    "Llama's, which drops a space": [
        decoders.Replace("▁", " "),
        decoders.ByteFallback(),
        decoders.Fuse(),
        decoders.Strip(" ", 1, 0),
    ],
    "one that drops ▁, but no byte": [decoders.ByteFallback(), decoders.Metaspace()],
}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_texts_that_begin_with_a_space_where_the_decoder_drops_one(name):
    backend = byte_fallback()
    backend.backend_tokenizer.decoder = decoders.Sequence(BEGINNINGS[name])
    encoding = TokenizerEncoding(backend, backend.mask_token_id, surround=False)
    spelling, rng = spelling_of(encoding), random.Random(0)
    ids = [i for i, text in enumerate(spelling.inside) if text and text < b"\x80"]
    spaced = [i for i in ids if spelling.inside[i].startswith(b" ")]
    for _ in range(300):
        first, *rest = row = [rng.choice(spaced), *rng.choices([*ids, *spaced * 20], k=3)]
        written = spelling.first[first] + b"".join(spelling.inside[i] for i in rest)
        assert encoding.decode(row) == written.decode()
    word = tuple(backend.convert_tokens_to_ids(["▁", "▁cat"]))
    found = Structure.of(choices=[" cat"]).automaton(encoding, encoding.size, (), None, False)
    assert accepted(found, word)
