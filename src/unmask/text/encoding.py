"""Text as ids and back: by a tokenizer of transformers, or as bytes."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unmask.data.pieces import BROKEN, BYTE
from unmask.data.tokenizer import Tokenizer
from unmask.data.vocabulary import BYTES, Vocabulary
from unmask.errors import DataError, ModelError
from unmask.models.families.files import lost_word

CONTEXT = 8  # tokens before a text that decide how it begins
PRIVATE = (0xE000, 0xF900)  # characters that stand for nothing
PENDING = 16  # tokens of characters that run into each other, at most


class Encoding(ABC):
    """The tokenizer of a text model.

    size: ids are 0 to size − 1. mask_id, mask_token: the mask token that may stand in a text, None
    for none. unknown_id: that of words which have no token, None where all have. special: ids that
    stand for no text. around: the ids that belong before and after a text. pending: ids whose text
    may change with the next id, as that of bytes which a tokenizer reads together. letters: whether
    texts are letters alone, each a token, and no space.
    """

    size: int
    special: frozenset[int]
    mask_id: int | None = None
    mask_token: str | None = None
    unknown_id: int | None = None
    around: tuple[list[int], list[int]] = ([], [])
    pending: frozenset[int] = frozenset()
    letters: bool = False

    @abstractmethod
    def encode_all(self, texts: Sequence[str], special: bool = False) -> list[list[int]]:
        """Return the ids of each text; special: whether names of special tokens in it are these."""

    def encode(self, text: str, special: bool = False) -> list[int]:
        """Return the ids of a text, as `encode_all`."""
        return self.encode_all([text], special)[0]

    @abstractmethod
    def decode(self, ids: Sequence[int], special: bool = False) -> str:
        """Return the text of ids, without special tokens, or with their names."""

    def unknown(self, text: str) -> str | None:
        """Return the first word of a text that has no token, or None."""
        return None

    def continued(self, ids: Sequence[int], context: Sequence[int]) -> str:
        """Return the text of ids behind others, which begins with a space where one comes between.

        context: the ids before, of which the last few are read; none for a text of its own.
        """
        before = list(context[-CONTEXT:])
        head, whole = self.decode(before), self.decode([*before, *ids])
        return whole[len(head) :] if whole.startswith(head) else self.decode(ids)

    def pieces(self, ids: Sequence[int], context: Sequence[int]) -> list[str]:
        """Return what each id adds to a text behind others, a character with its last byte."""
        found, run, before = list[str](), list[int](), list(context)
        for number, token in enumerate(ids, 1):
            run.append(token)
            text = self.continued(run, before)
            if text.endswith(BROKEN) and number < len(ids) and len(run) < PENDING:
                found.append("")
                continue
            found.append(text)
            before, run = [*before, *run][-CONTEXT:], []
        return found

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
        self.known, self.letters = known, bool(known.letters)
        self.unknown_id = known.role("unk")
        tokens = backend.get_vocab().items()
        self.pending = frozenset(number for token, number in tokens if BYTE.fullmatch(token))
        if surround:
            self.around = known.around

    def encode_all(self, texts: Sequence[str], special: bool = False) -> list[list[int]]:
        """Return the ids of each text; special: whether names of special tokens in it are these."""
        if not texts:  # of which tokenizers make an error
            return []
        options = {"add_special_tokens": False, "verbose": False}
        if self.letters:
            names = self.backend.convert_ids_to_tokens(sorted(self.special)) if special else ()
            texts = [self.known.spelt(text, names) for text in texts]
        rows = self.backend(list(texts), split_special_tokens=not special, **options)["input_ids"]
        return [[int(number) for number in row] for row in rows]

    def decode(self, ids: Sequence[int], special: bool = False) -> str:
        """Return the text of ids, without special tokens, or with their names."""
        hidden = frozenset[int]() if special else self.special
        return self.known.decode([int(i) for i in ids if i not in hidden])

    def unknown(self, text: str) -> str | None:
        """Return the first word of a text that has no token, or None."""
        return self.known.unknown(text)

    def template(self, messages: Sequence[dict[str, str]], options: dict[str, Any]) -> list[int]:
        """Return the ids of a talk, by the tokenizer's own template. DataError if that fails.

        Names of special tokens in a message, such as that of the mask, are text.
        """
        if not self.backend.chat_template:
            raise DataError(
                "this tokenizer has no chat template: pass the whole prompt to complete(...)"
            )
        messages, names = self._without_names(messages)
        how = {"add_generation_prompt": True, "return_dict": False, "tokenize": not names}
        try:
            found = self.backend.apply_chat_template(messages, **how, **options)
        except Exception as error:  # of the template's own making
            raise DataError(f"the chat template fails on these messages: {error}") from error
        if not names:
            return [int(number) for number in found]
        parts = re.split(f"([{''.join(names)}])", found)
        ids = [self.encode(names.get(part, part), special=part not in names) for part in parts]
        return [number for each in ids for number in each]

    def _without_names(
        self, messages: Sequence[dict[str, str]]
    ) -> tuple[list[dict[str, str]], dict[str, str]]:
        """Return messages with a character in place of each name of a special token; and these."""
        text = "".join(each["content"] for each in messages)
        every = self.backend.convert_ids_to_tokens(sorted(self.special))
        names = sorted({name for name in every if name and name in text}, key=len, reverse=True)
        free = (sign for sign in map(chr, range(*PRIVATE)) if sign not in text)
        signs = dict(zip(names, free, strict=False))
        changed = list[dict[str, str]]()
        for each in messages:
            content = each["content"]
            for name, sign in signs.items():
                content = content.replace(name, sign)
            changed.append({**each, "content": content})
        return changed, {sign: name for name, sign in signs.items()}


class ByteEncoding(Encoding):
    """The bytes of UTF-8, of models that `unmask train` made of text without a tokenizer."""

    def __init__(self, vocabulary: Vocabulary):
        self.vocabulary, self.size = vocabulary, vocabulary.size
        self.special = frozenset(range(BYTES, vocabulary.total))
        self.letters = vocabulary.letters

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
