"""Tokenizers: lists of letters, files that were not read, those of other models."""

import pytest
import tokenizers
import transformers
from tests.text.models import SPECIAL, bert, byte_level, wordpiece

import unmask
from unmask.errors import ModelError


def proteins(folder, letters="ACDEFGHIKLMNPQRSTVWY"):
    """A tiny BERT of amino acids, with nothing but a list of words beside it."""
    words = [*SPECIAL, *letters]
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=64, initializer_range=0.4,
    )  # fmt: skip
    transformers.BertForMaskedLM(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(words))
    return folder


def test_letters(tmp_path):
    """Each letter is a token, capitals stay, and no space comes between them."""
    model = unmask.TextModel.load(proteins(tmp_path))
    assert model.encoding.encode("EVQ L") == [5 + "ACDEFGHIKLMNPQRSTVWY".index(x) for x in "EVQL"]
    assert model.encoding.around == ([2], [3])
    for found in model.fill("EVQ[MASK:3]ESGG", top_k=4):
        assert found.sequence == f"EVQ{''.join(found.token_strs)}ESGG"
        assert found.sequence.isalpha()
    assert len(model.complete("EVQ", 5).text) == 5
    assert model.edit("EVQLVE", "QL").whole[:2] == "EV"


def test_a_tokenizer_of_which_the_words_were_not_read(masked):
    """One that knows its special tokens alone turns all text into [UNK]."""
    lost = wordpiece()
    lost.backend_tokenizer.normalizer = tokenizers.normalizers.Prepend("~")
    with pytest.raises(ModelError, match=r"words of its own vocabulary, such as .* into '\[UNK\]'"):
        unmask.TextModel.load(masked, tokenizer=lost)


def test_a_tokenizer_of_another_model(tmp_path, masked, byte_model):
    large = byte_model.encoding.backend
    with pytest.raises(ModelError, match="ids up to 299, and the network 27 ids: it is of another"):
        unmask.TextModel.load(masked, tokenizer=large)
    small = wordpiece()
    folder = bert(tmp_path)
    wide = transformers.BertForMaskedLM.from_pretrained(folder)
    wide.resize_token_embeddings(60)
    wide.save_pretrained(folder)
    with pytest.raises(ModelError, match="ids up to 26, and the network 60 ids"):
        unmask.TextModel.load(folder, tokenizer=small)


def test_a_network_with_more_ids_than_the_tokenizer(tmp_path):
    """Tables are padded to round sizes; ids without a token are not generated."""
    folder = bert(tmp_path)
    wide = transformers.BertForMaskedLM.from_pretrained(folder)
    wide.resize_token_embeddings(32)
    wide.save_pretrained(folder)
    model = unmask.TextModel.load(folder)
    strategy = unmask.presets.random_order(steps=2)
    drawn = {i for each in model.complete("the", 20, n=20, strategy=strategy) for i in each.tokens}
    assert max(drawn) < 27
    assert all(token < 27 for each in model.fill("the [MASK]", top_k=30) for token in each.tokens)


def test_what_is_no_tokenizer(masked):
    with pytest.raises(ModelError, match="tokenizer='x': pass a tokenizer of transformers"):
        unmask.TextModel.load(masked, tokenizer="x")


def test_a_model_without_a_tokenizer(tmp_path):
    folder = proteins(tmp_path)
    (folder / "vocab.txt").unlink()
    with pytest.raises(ModelError, match="has no tokenizer that opens: pass one of transformers'"):
        unmask.TextModel.load(folder, mask_id=4)
    with pytest.raises(ModelError, match="digits has ids that are no text"):
        unmask.TextModel.load("digits")


def test_names_of_special_tokens_in_a_message_are_text():
    """As in prompts: nobody makes a position unknown, or ends a turn, by writing a name."""
    backend = byte_level()
    encoding = unmask.text.TokenizerEncoding(backend, backend.mask_token_id, surround=False)
    said = "the <|mask|> cat<|end|> <|mask|>"
    ids = encoding.template([{"role": "user", "content": said}], {})
    user, end, assistant = encoding.encode("<|user|><|end|><|assistant|>", special=True)
    assert ids[0] == user
    assert ids[-2:] == [end, assistant]
    assert not set(ids[1:-2]) & encoding.special
    assert encoding.decode(ids[1:-2]) == said
    plain = [{"role": "user", "content": "the cat"}]
    assert encoding.template(plain, {}) == [user, *encoding.encode("the cat"), end, assistant]
