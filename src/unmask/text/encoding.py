"""Text as ids and back: by a tokenizer of transformers, or as bytes."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unmask.data.tokenizer import Tokenizer
from unmask.data.vocabulary import BYTES, Vocabulary
from unmask.errors import DataError, ModelError
from unmask.models.families.files import lost_word

CONTEXT = 8  # tokens before a text that decide how it begins
_BYTE = re.compile("<0x[0-9A-F]{2}>")  # a byte of a character without a token of its own


class Encoding(ABC):
    """The tokenizer of a text model.

    size: ids are 0 to size − 1. mask_id, mask_token: the mask token that may stand in a text, None
    for none. special: ids that stand for no text. around: the ids that belong before and after a
    text. pending: ids whose text may change with the next id, as that of bytes which a tokenizer
    reads together.
    """

    size: int
    special: frozenset[int]
    mask_id: int | None = None
    mask_token: str | None = None
    around: tuple[list[int], list[int]] = ([], [])
    pending: frozenset[int] = frozenset()

    @abstractmethod
    def encode_all(self, texts: Sequence[str], special: bool = False) -> list[list[int]]:
        """Return the ids of each text; special: whether names of special tokens in it are these."""

    def encode(self, text: str, special: bool = False) -> list[int]:
        """Return the ids of a text, as `encode_all`."""
        return self.encode_all([text], special)[0]

    @abstractmethod
    def decode(self, ids: Sequence[int], special: bool = False) -> str:
        """Return the text of ids, without special tokens, or with their names."""

    def continued(self, ids: Sequence[int], context: Sequence[int]) -> str:
        """Return the text of ids behind others, which begins with a space where one comes between.

        context: the ids before, of which the last few are read; none for a text of its own.
        """
        before = list(context[-CONTEXT:])
        head, whole = self.decode(before), self.decode([*before, *ids])
        return whole[len(head) :] if whole.startswith(head) else self.decode(ids)

    @abstractmethod
    def template(self, messages: Sequence[dict[str, str]], options: dict[str, Any]) -> list[int]:
        """Return the ids of a talk, up to where the answer begins. DataError if that cannot be."""


class TokenizerEncoding(Encoding):
    """A tokenizer of transformers.

    mask_id: that of the network, None for none. surround: whether texts have the tokenizer's
    special tokens around them, as in networks that were trained with whole texts. letters: whether
    every word of the vocabulary is one letter, as of proteins; then each letter of a text is one
    token, and spaces are none. Raises ModelError for a tokenizer that does not know its own words.
    """

    def __init__(self, backend: Any, mask_id: int | None, *, surround: bool):
        if not hasattr(backend, "get_vocab"):
            raise ModelError(
                f"tokenizer={backend!r:.80}: pass a tokenizer of transformers, such as "
                "AutoTokenizer.from_pretrained(...)"
            )
        known = Tokenizer(backend, Path(str(backend.name_or_path)))
        _check_words(backend)
        self.backend, self.size = backend, known.size
        if mask_id is not None and mask_id < known.size:
            self.mask_id, self.mask_token = mask_id, str(backend.convert_ids_to_tokens(mask_id))
        self.special = frozenset({*known.specials, *(() if mask_id is None else (mask_id,))})
        ordinary = [word for word, i in backend.get_vocab().items() if i not in self.special]
        self.letters = all(len(word) == 1 for word in ordinary)
        if self.letters:
            self.mask_token = None  # which stands between letters, and is no letter
        tokens = backend.get_vocab().items()
        self.pending = frozenset(number for token, number in tokens if _BYTE.fullmatch(token))
        if surround:
            self.around = known.around

    def encode_all(self, texts: Sequence[str], special: bool = False) -> list[list[int]]:
        """Return the ids of each text; special: whether names of special tokens in it are these."""
        options = {"add_special_tokens": False, "verbose": False}
        if self.letters:
            texts = [" ".join("".join(text.split())) for text in texts]
        rows = self.backend(list(texts), split_special_tokens=not special, **options)["input_ids"]
        return [[int(number) for number in row] for row in rows]

    def decode(self, ids: Sequence[int], special: bool = False) -> str:
        """Return the text of ids, without special tokens, or with their names."""
        hidden = frozenset[int]() if special else self.special
        kept = [int(i) for i in ids if i not in hidden]
        text = str(self.backend.decode(kept, clean_up_tokenization_spaces=False))
        return text.replace(" ", "") if self.letters and not special else text

    def template(self, messages: Sequence[dict[str, str]], options: dict[str, Any]) -> list[int]:
        """Return the ids of a talk, by the tokenizer's own template. DataError if that fails."""
        if not self.backend.chat_template:
            raise DataError(
                "this tokenizer has no chat template: pass the whole prompt to complete(...)"
            )
        try:
            ids = self.backend.apply_chat_template(
                list(messages),
                add_generation_prompt=True,
                tokenize=True,
                return_dict=False,
                **options,
            )
        except Exception as error:  # of the template's own making
            raise DataError(f"the chat template fails on these messages: {error}") from error
        return [int(number) for number in ids]


class ByteEncoding(Encoding):
    """The bytes of UTF-8, of models that `unmask train` made of text without a tokenizer."""

    def __init__(self, vocabulary: Vocabulary):
        self.vocabulary, self.size = vocabulary, vocabulary.size
        self.special = frozenset(range(BYTES, vocabulary.total))

    def encode_all(self, texts: Sequence[str], special: bool = False) -> list[list[int]]:
        """Return the bytes of each text."""
        return [self.vocabulary.encode(text) for text in texts]

    def decode(self, ids: Sequence[int], special: bool = False) -> str:
        """Return the text of bytes; halves of characters become U+FFFD."""
        return bytes(i for i in ids if i < BYTES).decode("utf-8", errors="replace")

    def template(self, messages: Sequence[dict[str, str]], options: dict[str, Any]) -> list[int]:
        """Raise DataError: bytes have no template."""
        raise DataError("a model of bytes has no chat template: pass a prompt to complete(...)")


def _check_words(backend: Any) -> None:
    """Raise ModelError for a tokenizer that does not give its own words the ids that it has."""
    lost = lost_word(backend)
    if lost is not None:
        raise ModelError(
            f"the tokenizer turns words of its own vocabulary, such as {lost!r}, into "
            f"{backend.unk_token!r}: its files were not read; pass its tokenizer.json"
        )
