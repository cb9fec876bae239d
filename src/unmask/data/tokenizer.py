"""Tokenizers of the Hugging Face libraries, from local files alone; nothing is downloaded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from unmask.core.optional import library
from unmask.errors import DataError
from unmask.models.families import Files
from unmask.models.families.files import CONFIG, quiet, special_ids
from unmask.models.families.recognition import family_of

FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "spiece.model",
         "vocab.txt", "vocab.json")  # fmt: skip
_NAME = re.compile(r"<[^<>]+>|\[[^\[\]]+\]")  # of a token that is no word, such as <null_1>
CONFIGS = ("tokenizer_config.json", CONFIG)
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
        """Ids of all special tokens, ascending; beside letters, every other name is one."""
        words = self.backend.get_vocab().items() if self.letters else ()
        names = {number for word, number in words if word not in self.letters}
        return tuple(sorted({*special_ids(self.backend), *names}))

    def role(self, name: str) -> int | None:
        """Return the id of the `mask`, `eos`, `pad` or `unk` token, or None."""
        found = getattr(self.backend, f"{name}_token_id")
        return None if found is None else int(found)

    @property
    def pad_id(self) -> int | None:
        """The id that is padding and nothing else, or None."""
        pad = self.role("pad")
        return None if pad in (self.role("eos"), self.role("unk")) else pad

    @cached_property
    def letters(self) -> frozenset[str]:
        """The words of a vocabulary of letters, as of proteins; of any other one, none.

        Each letter of a text is then one token, and a space is none, though the tokenizer itself
        may need one between letters, and writes one there.
        """
        special = special_ids(self.backend)
        words = [word for word, i in self.backend.get_vocab().items() if i not in special]
        found = frozenset(word for word in words if not _NAME.fullmatch(word))
        spaced = any(len(word) != 1 or word.isspace() or word in "▁Ġ" for word in found)
        return frozenset() if spaced else found

    def spelt(self, text: str, names: Iterable[str] = ()) -> str:
        """Return a text as the tokenizer reads it: letters with spaces between.

        Small letters become capitals if the vocabulary has capitals alone. names: of tokens that
        stay as they are.
        """
        if not self.letters:
            return text
        whole = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
        parts = re.findall(rf"{whole}|\S" if whole else r"\S", text)
        if not any(letter.islower() for letter in self.letters):
            parts = [part.upper() if len(part) == 1 else part for part in parts]
        return " ".join(parts)

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return ids (n,) int64 of each text, without special tokens around it."""
        read = list(texts)
        if self.letters:
            names = self.backend.convert_ids_to_tokens(list(self.specials))
            read = [self.spelt(text, names) for text in read]
        ids = self.backend(read, add_special_tokens=False, verbose=False)["input_ids"]
        return [np.array(row, dtype=np.int64) for row in ids]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, with special tokens by their names."""
        if self.letters:
            return "".join(self.backend.convert_ids_to_tokens(list(ids)))
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
            for start in range(len(whole) if bare else 0):
                if whole[start : start + len(bare)] == bare:
                    return whole[:start], whole[start + len(bare) :]
        return [], []

    def unknown(self, text: str) -> str | None:
        """Return the first word that has no token, or None."""
        unknown, named = self.role("unk"), str(self.backend.unk_token)
        words = [word for word in self.spelt(text, [named]).split() if named not in word]
        rows = self.encode(words) if words else []
        return next((w for w, ids in zip(words, rows, strict=True) if unknown in ids), None)


def load_tokenizer(path: str) -> Tokenizer:
    """Return a tokenizer, given the path of a `tokenizer.json` or of a folder with its files.

    Raises DataError if it is missing or broken, MissingExtraError without transformers.
    """
    where = Path(path)
    if not where.exists():
        raise DataError(
            f"tokenizer {where}: no such file or folder; nothing is downloaded, so pass the path "
            "of a tokenizer.json or of a folder that holds one"
        )
    files = [each for each in where.iterdir() if each.is_file()] if where.is_dir() else [where]
    return _loaded(path, tuple(sorted((each.name, each.stat().st_mtime_ns) for each in files)))


@lru_cache(maxsize=4)
def _loaded(path: str, files: tuple[tuple[str, int], ...]) -> Tokenizer:
    """Return the tokenizer of a path. files: their names and times, as others may replace them."""
    where, here = Path(path), {name for name, _ in files}
    if where.is_dir() and not here.intersection(FILES):
        raise DataError(f"tokenizer {where}: the folder holds none of {', '.join(FILES)}")
    transformers = library("transformers", "hf", f"tokenizer {path}: tokenizers need transformers")
    # A tokenizer.json without a config beside it does not say the roles of its tokens.
    bare = where if where.is_file() else where / "tokenizer.json"
    try:
        if bare.name in here and here.isdisjoint(CONFIGS):
            backend = transformers.PreTrainedTokenizerFast(tokenizer_file=str(bare))
            added = backend.added_tokens_decoder.values()
            special = {token.content for token in added if token.special}
            for role, names in ROLES.items():
                for name in [name for name in names if name in special][:1]:
                    setattr(backend, role, name)
        else:
            backend = _of_folder(where, transformers)
    except Exception as error:  # the libraries raise any kind of error
        raise DataError(f"tokenizer {path} cannot be read: {error}") from error
    return Tokenizer(backend, where)


def _of_folder(where: Path, transformers: Any) -> Any:
    """Return the tokenizer of a folder by the class that opens it for the model in the folder."""
    files = Files(str(where), {"local_files_only": True})
    row = family_of(files.config)[0] if (where / CONFIG).is_file() else None
    found = files.tokenizer(*(row.tokenizers if row else ()))
    if found is not None:
        return found
    with quiet():  # for the reason, or for files of other names
        return transformers.AutoTokenizer.from_pretrained(
            str(where), local_files_only=True, trust_remote_code=False
        )
