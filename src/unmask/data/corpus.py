"""A corpus: examples, made when they are indexed, and their vocabulary.

E examples; n positions of one example.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import overload

import numpy as np
import torch
from torch import Tensor

from unmask.core.random import fold
from unmask.data.vocabulary import Vocabulary
from unmask.errors import DataError


@dataclass(frozen=True, eq=False)
class Example:
    """One training sequence."""

    tokens: Tensor  # (n,) int64
    maskable: Tensor  # (n,) bool, False at a prompt, which is never hidden and in no loss
    category: int | None = None  # the class, counted from 0


class Lazy(Sequence[Example]):
    """A sequence that makes an example when it is indexed; a slice is a view."""

    @abstractmethod
    def at(self, index: int) -> Example:
        """Return the example of an index from 0 to len − 1."""

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        if isinstance(index, slice):
            return Subset(self, np.arange(len(self))[index])
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"example {index} of {len(self)}")
        return self.at(place)


class Subset(Lazy):
    """Some examples of another sequence."""

    def __init__(self, examples: Sequence[Example], indices: np.ndarray):
        self.examples, self.indices = examples, indices

    def __len__(self) -> int:
        return len(self.indices)

    def at(self, index: int) -> Example:
        """Return the chosen example of this index."""
        return self.examples[int(self.indices[index])]


@dataclass(frozen=True, eq=False)
class Corpus:
    """Examples with their vocabulary, as `read` returns them."""

    examples: Sequence[Example]  # (E,), each made when it is indexed
    vocabulary: Vocabulary
    longest: int  # positions of the longest example
    classes: int = 0  # the highest class + 1, or 0 without classes
    notes: list[str] = field(default_factory=list)  # sentences on how the data was read
    stream: bool = False  # whether examples are windows, of which neighbours continue each other
    documents: bool = False  # whether examples are whole texts: told so, or of different lengths
    shape: tuple[int, int] | None = None  # height and width, if examples are images
    text: bool = False  # whether the files had text, and not ids
    inner_ends: int = 0  # how many documents go on after an end-of-sequence id
    tokenizer: str | None = None  # as it was asked for: a path, or `bpe:` and a number of ids
    groups: np.ndarray | None = None  # (E,) int64: examples of one number are held out together

    def split(self, share: float = 0.1) -> tuple[Corpus, Corpus]:
        """Return (train, held out), with `share` of the examples held out, at least one.

        Of windows the last ones are held out, because neighbours continue each other; of documents
        the last ones of a fixed permutation, and of talks with several examples all of them. Both
        parts keep `longest` and `classes` of the whole, so that one network fits both. Raises
        DataError for a share outside (0, 1), and if a part would be empty.
        """
        if not 0 < share < 1:
            raise DataError(
                f"share={share}, of examples held out: pass a number between 0 and 1, such as 0.1"
            )
        every = len(self.examples)
        group = np.arange(every) if self.groups is None else self.groups
        count = len(np.unique(group))
        held = max(1, round(share * count))
        if held >= count:
            raise DataError(
                f"{count} {self._unit}(s) cannot be split with share={share}: nothing is left to "
                "train on; pass more data, shorter windows, or a smaller share of more examples"
            )
        order = np.arange(count) if self.stream else fold(0, torch.arange(count)).argsort().numpy()
        last = "the last " if self.stream else ""
        note = f"held out: {last}{held:,} of {count:,} {self._unit}s"
        apart = np.isin(group, np.unique(group)[order[count - held :]])
        train, held_out = (
            replace(
                self,
                examples=Subset(self.examples, np.flatnonzero(part)),
                notes=[*self.notes, note],
                groups=None if self.groups is None else self.groups[part],
            )
            for part in (~apart, apart)
        )
        return train, held_out

    @property
    def _unit(self) -> str:
        return "example" if self.groups is None else "talk"
