"""Text models opened: each file of theirs is read once, options are those of `unmask.load`."""

import json
from collections import Counter

import pytest
import torch
from tests.text.models import byte_level, decoder

import unmask
from unmask.errors import ArgumentError, ModelError
from unmask.models import checkpoint, loading
from unmask.models.families import files


def test_files_are_read_once(tmp_path, monkeypatch):
    folder = decoder(tmp_path, byte_level())
    read, opened, found = Counter(), Counter(), Counter()
    reading, tokenizing, recognising = files.Files._read, files.Files.tokenizer, loading.recognise

    def count(counter, name, real):
        def counted(*args, **options):
            counter[name or args[1]] += 1
            return real(*args, **options)

        return counted

    monkeypatch.setattr(files.Files, "_read", count(read, None, reading))
    monkeypatch.setattr(files.Files, "tokenizer", count(opened, "tokenizer", tokenizing))
    monkeypatch.setattr(loading, "recognise", count(found, "recognised", recognising))
    unmask.TextModel.load(folder)
    assert read == {"config.json": 1, "generation_config.json": 1}
    assert opened == {"tokenizer": 1}
    assert found == {"recognised": 1}


def test_a_card_is_read_once(byte_model, tmp_path, monkeypatch):
    folder = byte_model.save(tmp_path / "saved")
    read, parse = [], checkpoint._parse
    monkeypatch.setattr(
        checkpoint, "_parse", lambda path, data: read.append(path) or parse(path, data)
    )
    unmask.TextModel.load(folder)
    assert len(read) == 1


def test_an_end_outside_the_vocabulary_is_none(tmp_path):
    """As it is of `unmask.load`."""
    folder = decoder(tmp_path / "model", byte_level())
    config = json.loads((folder / "config.json").read_text()) | {"eos_token_id": [9999, 0]}
    (folder / "config.json").write_text(json.dumps(config))
    assert unmask.TextModel.load(folder).end_ids == (0,)
    assert unmask.load(folder).spec.end_id == 0


def test_an_unknown_option_is_told_with_the_nearest(masked):
    with pytest.raises(ArgumentError, match=r"TextModel.load\(\) takes no famly=.*'family'"):
        unmask.TextModel.load(masked, famly="llada")
    with pytest.raises(ArgumentError, match=r"takes no tokeniser=.*'tokenizer'"):
        unmask.TextModel.load(masked, tokeniser=None)


def test_options_of_a_saved_folder(byte_model, tmp_path):
    folder = byte_model.save(tmp_path / "saved")
    options = {"dtype": torch.bfloat16, "device_map": "cpu", "attn_implementation": "eager"}
    found = unmask.TextModel.load(folder, **options).denoiser
    assert found.backbone.dtype == torch.bfloat16
    assert found.backbone.config._attn_implementation == "eager"
    assert unmask.TextModel.load(folder, dtype="float16").denoiser.backbone.dtype == torch.float16
    with pytest.raises(ModelError, match=r"family='dream': .* folder of unmask.save"):
        unmask.TextModel.load(folder, family="dream")
