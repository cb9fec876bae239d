"""A byte-level BPE tokenizer trained on a corpus (1508.07909, on bytes as in GPT-2).

V ids.
"""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from unmask.core.optional import library
from unmask.data.corpus import Corpus
from unmask.data.pieces import byte_of
from unmask.errors import DataError

MASK, END = "[MASK]", "<|endoftext|>"
LEAST = 256 + 2  # ids: every byte, the mask and the end
_ASKED = re.compile(r"bpe:(.*)")


def asked(tokenizer: object) -> int | None:
    """Return V of `bpe:V`, which asks for a tokenizer to be trained; None of any other.

    Raises DataError for a V that is no number, or too small.
    """
    found = _ASKED.fullmatch(tokenizer) if isinstance(tokenizer, str) else None
    if found is None:
        return None
    if not found[1].isdecimal() or int(found[1]) < LEAST:
        raise DataError(
            f"tokenizer={tokenizer!r}: pass bpe: and a number of ids of {LEAST} or more (every "
            "byte, a mask and an end), such as bpe:4096"
        )
    return int(found[1])


def train_tokenizer(corpus: Corpus, size: int) -> Path:
    """Train a tokenizer of at most `size` ids on a corpus of bytes, and return its folder.

    It has fewer ids if the text has no more pairs to join.
    The folder is deleted when the process ends; a model that is saved has a copy. The same text
    gives the same tokenizer. Raises DataError for a corpus that is no text.
    """
    if not corpus.text or corpus.vocabulary.kind != "bytes":
        raise DataError(f"tokenizer='bpe:{size}' is trained on text, and this data has ids")
    tokenizers = library("tokenizers", "hf", "a tokenizer is trained by tokenizers")
    transformers = library("transformers", "hf", "a tokenizer is saved by transformers")
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    # As RoBERTa's mask: the space before it is a part of the token that it hides.
    mask = tokenizers.AddedToken(MASK, lstrip=True, special=True)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size,
        initial_alphabet=sorted(byte_of()),
        special_tokens=[mask, END],
        show_progress=False,
    )
    made.train_from_iterator(_texts(corpus), trainer)
    folder = Path(tempfile.mkdtemp(prefix="unmask-tokenizer-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    whole = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, mask_token=mask, eos_token=END, clean_up_tokenization_spaces=False
    )
    whole.save_pretrained(str(folder))
    return folder


def _texts(corpus: Corpus) -> Iterator[str]:
    """Yield the lines of running text, or the text of each example."""
    examples = corpus.examples
    rows = [np.asarray(example.tokens, dtype=np.uint8).tobytes() for example in examples]
    if corpus.stream:
        rows = b"".join(rows).splitlines(keepends=True)
    return (row.decode("utf-8", "ignore") for row in rows)
