"""Text models in folders: the same completions, fillings and talk, wherever they came from."""

import json
import shutil

import pytest
from tests.text.models import byte_fallback, byte_level, canvases, decoder

import unmask
from unmask import presets
from unmask.data import Vocabulary
from unmask.data.vocabulary import BYTES
from unmask.errors import CheckpointError, InputError, ModelError
from unmask.models import Decoder, DiffusionGemma, ReusedCache
from unmask.text.encoding import ByteEncoding, Encoding

FREE = presets.random_order(steps=8)
TALK = [{"role": "user", "content": "the cat"}]


def same(one, other):
    """Whether two models say the same, by each of their ways."""
    for model in (one, other):
        model.texts = [
            [each.tokens for each in model.complete(["the cat", "on a"], 8, seed=1)],
            model.complete("the", 8, seed=2, strategy=FREE).text,
            model.infill("the cat", "the mat", tokens=3, seed=3).text,
            model.fill("the [MASK] sat", top_k=3),
        ]
    known = ("end_ids", "template", "strategy", "texts")
    return all(getattr(one, name) == getattr(other, name) for name in known)


@pytest.mark.parametrize("tokenizer", [byte_level, byte_fallback])
@pytest.mark.parametrize("kind", ["Dream", "sdar"])
def test_a_published_family_is_the_same_again(kind, tokenizer, tmp_path):
    model = unmask.TextModel.load(decoder(tmp_path / "published", tokenizer(), kind))
    folder = model.save(tmp_path / "saved")
    shutil.rmtree(tmp_path / "published")
    folder.rename(tmp_path / "moved")
    again = unmask.TextModel.load(tmp_path / "moved")
    assert same(model, again)
    assert isinstance(again.denoiser, Decoder)
    assert again.encoding.special == model.encoding.special
    if tokenizer is byte_level:
        assert again.chat(TALK, 8, seed=1).tokens == model.chat(TALK, 8, seed=1).tokens


def test_a_bert_has_its_special_tokens_around_texts(bert_model, tmp_path):
    again = unmask.TextModel.load(bert_model.save(tmp_path / "saved"))
    assert again.encoding.around == bert_model.encoding.around == ([2], [3])
    assert same(bert_model, again)


def test_a_network_of_canvases_is_the_same_again(tmp_path):
    model = unmask.TextModel.load(canvases(tmp_path / "published"))
    folder = model.save(tmp_path / "saved")
    shutil.rmtree(tmp_path / "published")
    again = unmask.TextModel.load(folder)
    for each in (model, again):
        each.denoiser.net.set_experts_implementation("eager")
    assert isinstance(again.denoiser, DiffusionGemma)
    for name in ("end_ids", "template", "strategy"):
        assert getattr(again, name) == getattr(model, name)
    assert again.encoding.mask_id is again.encoding.mask_token is None
    assert again.encoding.special == model.encoding.special
    ours, theirs = (each.complete(["the cat", "on a"], 12, seed=1) for each in (model, again))
    assert ours == theirs
    assert again.chat(TALK, 8, seed=1).tokens == model.chat(TALK, 8, seed=1).tokens


def test_what_was_chosen_is_saved_with_its_wrapper(byte_model, tmp_path):
    model = unmask.TextModel(
        ReusedCache(byte_model.denoiser, block=4),
        byte_model.encoding,
        strategy=presets.llada(8, 4).but(groups=unmask.Groups.blocks(4)),
        end_ids=[*byte_model.end_ids, 1],
        template={"tools": None},
    )
    again = unmask.TextModel.load(model.save(tmp_path / "saved", about={"score": 1.5}))
    assert isinstance(again.denoiser, ReusedCache)
    known = ("end_ids", "template", "strategy")
    assert all(getattr(again, name) == getattr(model, name) for name in known)
    ours, theirs = (each.complete("the cat", 8, seed=1) for each in (model, again))
    assert (ours.tokens, ours.forwards) == (theirs.tokens, theirs.forwards)
    assert unmask.TextModel.load(tmp_path / "saved", strategy=FREE).strategy == FREE


def test_bytes_are_saved(tmp_path):
    from transformers import BertConfig, BertForMaskedLM

    vocabulary = Vocabulary.of_bytes(end=True)
    config = BertConfig(
        vocab_size=vocabulary.total, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=32, initializer_range=0.5,
    )  # fmt: skip
    denoiser = unmask.wrap(BertForMaskedLM(config).eval(), mask_id=vocabulary.mask_id)
    model = unmask.TextModel(denoiser, ByteEncoding(vocabulary), end_ids=[BYTES])
    assert same(model, unmask.TextModel.load(model.save(tmp_path / "saved")))


def test_another_tokenizer_in_the_same_folder_is_read(byte_model, bert_model, tmp_path):
    folder = byte_model.save(tmp_path / "saved")
    unmask.TextModel.load(folder)
    again = unmask.TextModel.load(bert_model.save(folder))
    assert again.encoding.backend.get_vocab() == bert_model.encoding.backend.get_vocab()


class Own(Encoding):
    """A tokenizer of somebody else."""

    size = 8
    special = frozenset()

    def encode_all(self, texts, special=False):
        return [[] for _ in texts]

    def decode(self, ids, special=False):
        return ""

    def template(self, messages, options):
        return []


def test_a_tokenizer_of_ones_own_is_refused(byte_model, tmp_path):
    own = Own()
    own.size = byte_model.denoiser.spec.vocab_size
    model = unmask.TextModel(byte_model.denoiser, own)
    with pytest.raises(ModelError, match="Own cannot be saved: pass a TokenizerEncoding"):
        model.save(tmp_path / "saved")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [{"end_ids": [9999]}, {"end_ids": 3}, {"template": []}, {"surround": 1}, {"strategy": {}},
     {"ends": []}],
    ids=str,
)  # fmt: skip
def test_a_damaged_entry_is_named(change, byte_model, tmp_path):
    folder = byte_model.save(tmp_path / "saved")
    card = json.loads((folder / "unmask.json").read_text())
    assert card["format"] == "unmask-2"
    card["text"] |= change
    (folder / "unmask.json").write_text(json.dumps(card))
    with pytest.raises(InputError):
        unmask.TextModel.load(folder)


def test_a_foreign_folder_is_not_emptied(byte_model, tmp_path):
    (tmp_path / "thesis.txt").write_text("three years")
    with pytest.raises(CheckpointError, match="has other files"):
        byte_model.save(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "three years"
