"""A tokenizer on disk: seven words, and special tokens whose roles their names tell."""

from __future__ import annotations

from pathlib import Path

import pytest

WORDS = ["[UNK]", "[MASK]", "[PAD]", "</s>", "[CLS]", "the", "cat", "sat", "on", "mat", "a", "dog"]


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory) -> Path:
    """A bare tokenizer.json of WORDS."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

    made = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.add_special_tokens([AddedToken(word, special=True) for word in WORDS[:5]])
    ends = [("[CLS]", 4), ("</s>", 3)]  # put around a text, unless the caller says not to
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A </s>", special_tokens=ends)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made.save(str(path))
    return path
