"""Tokenizers of the Hugging Face libraries, from local files alone; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from unmask.errors import DataError, MissingExtraError

FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "spiece.model",
         "vocab.txt", "vocab.json")  # fmt: skip
# A bare tokenizer.json names its special tokens but not their roles; these names are customary.
ROLES = {
    "mask_token": ("[MASK]", "<mask>", "<|mask|>", "<|mdm_mask|>", "<MASK>"),
    "eos_token": ("</s>", "<eos>", "<|endoftext|>", "<|end_of_text|>", "[EOS]", "<EOS>"),
    "pad_token": ("[PAD]", "<pad>", "<|pad|>", "<PAD>"),
    "unk_token": ("[UNK]", "<unk>", "<UNK>"),
}


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """A loaded tokenizer, with the roles of its special tokens."""

    backend: Any  # transformers' PreTrainedTokenizerBase
    path: Path

    @property
    def size(self) -> int:
        """Highest id + 1."""
        return 1 + max(int(number) for number in self.backend.get_vocab().values())

    @property
    def specials(self) -> tuple[int, ...]:
        """Ids of all special tokens, ascending."""
        return tuple(sorted(set(self.backend.all_special_ids) | self._added()))

    def role(self, name: str) -> int | None:
        """Return the id of the `mask`, `eos`, `pad` or `unk` token, or None."""
        found = getattr(self.backend, f"{name}_token_id")
        return None if found is None else int(found)

    @property
    def pad_id(self) -> int | None:
        """The id that is padding and nothing else, or None."""
        pad = self.role("pad")
        return None if pad in (self.role("eos"), self.role("unk")) else pad

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return ids (n,) int64 of each text, without special tokens around it."""
        ids = self.backend(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        return [np.array(row, dtype=np.int64) for row in ids]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, with special tokens by their names."""
        return str(self.backend.decode(list(ids), clean_up_tokenization_spaces=False))

    @property
    def around(self) -> tuple[list[int], list[int]]:
        """The ids that the tokenizer itself puts before and after a text, such as [CLS] and [SEP].

        Found by a word that has tokens without them, and is no special token itself.
        """
        numbers, special = self.backend.get_vocab(), set(self.specials)
        for word in sorted(word for word in numbers if numbers[word] not in special):
            bare = self.encode([word])[0].tolist()
            whole = [int(number) for number in self.backend(word, verbose=False)["input_ids"]]
            for start in range(len(whole) - len(bare) + 1 if bare else 0):
                if whole[start : start + len(bare)] == bare:
                    return whole[:start], whole[start + len(bare) :]
        return [], []

    def unknown(self, text: str) -> str | None:
        """Return the first word that has no token, or None."""
        unknown = self.role("unk")
        named = self.backend.unk_token
        for word in text.split():
            if unknown in self.encode([word])[0].tolist() and str(named) not in word:
                return word
        return None

    def _added(self) -> set[int]:
        added = self.backend.added_tokens_decoder
        return {number for number, token in added.items() if token.special}


@lru_cache(maxsize=4)
def load_tokenizer(path: str) -> Tokenizer:
    """Return a tokenizer, given the path of a `tokenizer.json` or of a folder with its files.

    Raises DataError if it is missing or broken, MissingExtraError without transformers.
    """
    where = Path(path)
    _check_files(where)
    try:
        from transformers import AutoTokenizer, PreTrainedTokenizerFast
    except ImportError:
        raise MissingExtraError(
            f"tokenizer {path}: tokenizers need transformers: pip install 'unmask[hf]'"
        ) from None
    bare = where if where.is_file() else _bare(where)
    backend: Any
    try:
        if bare is not None:
            backend = PreTrainedTokenizerFast(tokenizer_file=str(bare))
            _give_roles(backend)
        else:
            backend = AutoTokenizer.from_pretrained(str(where), local_files_only=True)
    except Exception as error:  # the libraries raise any kind of error
        raise DataError(f"tokenizer {path} cannot be read: {error}") from error
    return Tokenizer(backend, where)


def _check_files(where: Path) -> None:
    if not where.exists():
        raise DataError(
            f"tokenizer {where}: no such file or folder; nothing is downloaded, so pass the path "
            "of a tokenizer.json or of a folder that holds one"
        )
    if where.is_dir() and not any((where / name).is_file() for name in FILES):
        raise DataError(f"tokenizer {where}: the folder holds none of {', '.join(FILES)}")


def _bare(folder: Path) -> Path | None:
    """Return the tokenizer.json of a folder without a config of it, or None."""
    configured = any((folder / name).is_file() for name in ("tokenizer_config.json", "config.json"))
    found = folder / "tokenizer.json"
    return found if found.is_file() and not configured else None


def _give_roles(backend: Any) -> None:
    special = {t.content for t in backend.added_tokens_decoder.values() if t.special}
    for role, names in ROLES.items():
        found = [name for name in names if name in special]
        if found:
            setattr(backend, role, found[0])
