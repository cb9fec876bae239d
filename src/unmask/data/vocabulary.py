"""The meaning of ids: plain ids, the bytes of text, or the tokens of a tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from unmask.core.checks import is_integer
from unmask.data import pieces
from unmask.data import tokenizer as tokenizers
from unmask.errors import DataError, nearest

BYTES = 256
KINDS = ("bytes", "ids", "tokenizer")


@dataclass(frozen=True)
class Vocabulary:
    """The ids of data, and their conversion from and to text.

    Raises DataError for fields that contradict each other.
    """

    kind: str  # `ids`, `bytes` or `tokenizer`
    size: int  # ids are 0 to size − 1, including a tokenizer's own mask id
    mask_id: int  # the tokenizer's own mask token if it has one, else `size`, an additional id
    eos_id: int | None = None
    pad_id: int | None = None
    forbidden: tuple[int, ...] = ()  # other ids that the data never has, such as special tokens
    tokenizer: str | None = None  # path of the tokenizer, as it was passed
    absent: tuple[int, ...] = field(default=(), compare=False)
    """Bytes, or tokens of a tokenizer trained on the data, that the data has nowhere: a model takes
    them, and draws none by itself."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise DataError(f"vocabulary of kind {self.kind!r}: {nearest(self.kind, KINDS)}")
        if not (self.size >= 1 and 0 <= self.mask_id <= self.size):
            raise DataError(
                f"vocabulary of size={self.size} with mask_id={self.mask_id}: the mask id is one "
                "of 0 to size"
            )
        if (self.kind == "tokenizer") != (self.tokenizer is not None):
            raise DataError(
                f"vocabulary of kind {self.kind!r} with tokenizer={self.tokenizer!r}: "
                "a path belongs to the kind 'tokenizer', and to no other"
            )

    @property
    def total(self) -> int:
        """The number of ids of the network: `size`, plus the mask id if that is `size`."""
        return max(self.size, self.mask_id + 1)

    @classmethod
    def of_ids(cls, size: int) -> Vocabulary:
        """Return a vocabulary of ids without text; the mask id is `size`."""
        return cls("ids", size, size)

    @classmethod
    def of_bytes(cls, end: bool = False, absent: Iterable[int] = ()) -> Vocabulary:
        """Return the vocabulary of bytes of UTF-8 text, 0 to 255; the mask id is one more.

        end: whether 256 is the end of a document, and the mask id 257. absent: bytes that the data
        has nowhere.
        """
        size, eos = (BYTES + 1, BYTES) if end else (BYTES, None)
        return cls("bytes", size, size, eos, absent=tuple(absent))

    @classmethod
    def of_tokenizer(
        cls, path: str | Path, *, size: int | None = None, seen: Iterable[int] = ()
    ) -> Vocabulary:
        """Return the vocabulary of a tokenizer on disk (a tokenizer.json or a folder).

        size: at least the tokenizer's own, for networks with a padded vocabulary. seen: special
        tokens in the data, which are not forbidden. Raises DataError without a tokenizer, or for
        a size that is too small.
        """
        loaded = tokenizers.load_tokenizer(str(path))
        total = loaded.size if size is None else size
        if total < loaded.size:
            raise DataError(
                f"vocab_size={size} with tokenizer {path}, which has ids 0 to {loaded.size - 1}: "
                f"pass {loaded.size} or more, or leave it out"
            )
        mask, eos, pad = map(loaded.role, ("mask", "eos", "pad"))
        unused = [*loaded.specials, *range(loaded.size, total)]
        forbidden = tuple(number for number in unused if number not in {mask, eos, *seen})
        mask = total if mask is None else mask
        return cls("tokenizer", total, mask, eos, pad, forbidden, str(path))

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without special tokens around it.

        For plain ids the text is numbers, such as `3 1 4`. Raises DataError for text that cannot be
        encoded.
        """
        if self.kind == "tokenizer":
            return [int(number) for number in self._loaded().encode([text])[0]]
        try:
            if self.kind == "bytes":
                return list(text.encode("utf-8"))
            ids = [int(word) for word in text.replace(",", " ").split()]
        except UnicodeEncodeError as error:
            raise DataError(f"{text!r}: half a character (a surrogate) has no bytes") from error
        except ValueError:
            raise DataError(
                f"{text!r}: this vocabulary has ids and no text; type numbers such as '3 1 4'"
            ) from None
        return self._checked(ids)

    @property
    def around(self) -> tuple[list[int], list[int]]:
        """The ids that a tokenizer puts before and after a text; none of other vocabularies."""
        return self._loaded().around if self.kind == "tokenizer" else ([], [])

    @property
    def letters(self) -> bool:
        """Whether texts are letters without spaces, as those of FASTA."""
        if self.kind == "tokenizer":
            return bool(self._loaded().letters)
        return self.kind == "bytes" and {*b" \t\r\n>;"} <= {*self.absent}

    def unknown(self, text: str) -> str | None:
        """Return the first word of a text that a tokenizer has no token for, or None."""
        return self._loaded().unknown(text) if self.kind == "tokenizer" else None

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids; bytes that are not UTF-8 become U+FFFD, and end at their eos_id.

        Raises DataError for ids outside the vocabulary.
        """
        numbers = self._checked([int(number) for number in ids])
        if self.kind == "tokenizer":
            return self._loaded().decode(numbers)
        if self.kind == "bytes":
            return bytes(until(numbers, self.eos_id)).decode("utf-8", errors="replace")
        return " ".join(map(str, numbers))

    def text(self, ids: Sequence[int], end_id: int | None, given: int = 0) -> str:
        """Return the text of the ids before the first end_id, or of all if there is none.

        given: ids from the first that a text has at least; ends among them are left out.
        """
        kept = [token for token in ids[:given] if token != end_id]
        return self.decode([*kept, *until(ids[given:], end_id)])

    def pieces(self, ids: Iterable[int]) -> tuple[str, ...]:
        """Return what each id adds to a text, by its number; those not among `ids` may be empty.

        Bytes that are no character alone are surrogate escapes.
        """
        if self.kind == "tokenizer":
            return pieces.of_tokens(self._loaded(), ids)
        if self.kind == "bytes":
            return pieces.of_bytes(self.total)
        return tuple(f"{number} " for number in range(self.total))

    def to_dict(self) -> dict[str, Any]:
        """Return the vocabulary as JSON values, for a model card."""
        return {**asdict(self), "forbidden": list(self.forbidden), "absent": list(self.absent)}

    @classmethod
    def from_dict(cls, card: Mapping[str, Any]) -> Vocabulary:
        """Return the vocabulary of a dict of `to_dict`. Raises DataError for wrong entries."""
        for name in card:
            if name not in _TYPES:
                raise DataError(f"vocabulary: unknown entry {name!r}: {nearest(name, _TYPES)}")
        card = {"absent": (), **card}  # which older cards do not have
        for name in _TYPES:
            if name not in card or not _fits(name, card[name]):
                raise DataError(f"vocabulary: entry {name!r} is {card.get(name, 'missing')!r}")
        ids = {name: tuple(card[name]) for name in ("forbidden", "absent")}
        return cls(**{**card, **ids})

    def _checked(self, ids: list[int]) -> list[int]:
        for wrong in (number for number in ids if not 0 <= number < self.size):
            raise DataError(f"id {wrong} is not one of 0 to {self.size - 1}")
        return ids

    def _loaded(self) -> tokenizers.Tokenizer:
        assert self.tokenizer is not None
        return tokenizers.load_tokenizer(self.tokenizer)


def until(ids: Sequence[int], end_id: int | None) -> list[int]:
    """Return the ids before the first end_id."""
    before = list(ids)
    return before[: before.index(end_id)] if end_id in before else before


_TYPES: dict[str, Any] = {
    "kind": str,
    "size": int,
    "mask_id": int,
    "eos_id": int | None,
    "pad_id": int | None,
    "forbidden": list | tuple,
    "tokenizer": str | None,
    "absent": list | tuple,
}


def _fits(name: str, value: Any) -> bool:
    integers = all(map(is_integer, value)) if isinstance(value, list | tuple) else True
    return isinstance(value, _TYPES[name]) and not isinstance(value, bool) and integers
