"""The data of a run: a built-in task or a corpus, in one form.

B examples, N positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from unmask.data import Corpus, Example, Vocabulary
from unmask.data.corpus import Lazy
from unmask.data.padding import EndFill, Excluded, Policy
from unmask.data.vocabulary import BYTES
from unmask.errors import DataError
from unmask.tasks import Task
from unmask.training.base_model import Base
from unmask.training.recipe import Recipe, padding_named
from unmask.training.stream import spread
from unmask.viz.layout import Layout

COUNTED = 4096  # held-out windows whose characters are counted, spread evenly


class TensorExamples(Lazy):
    """Rows of tokens (B,N), with classes (B,) or without, as a sequence of examples."""

    def __init__(self, tokens: Tensor, classes: Tensor | None):
        self.tokens, self.classes = tokens, classes

    def __len__(self) -> int:
        return len(self.tokens)

    def at(self, index: int) -> Example:
        """Return one row, of which every position may be hidden."""
        row = self.tokens[index]
        category = None if self.classes is None else int(self.classes[index])
        return Example(row, row >= 0, category)


@dataclass(frozen=True, eq=False)
class Material:
    """Examples for training and held out, and the properties that their network needs."""

    name: str
    train: Sequence[Example]
    held_out: Sequence[Example]
    layout: Layout
    length: int  # N of a network's positions
    vocabulary: Vocabulary
    classes: int = 0
    padding: Policy = field(default_factory=Excluded)
    stream: bool = False  # whether examples may begin anywhere in a longer text
    warp: Any = None  # of images: (b,N), seeds (b,) -> (b,N)
    base: Base | None = None  # the model that is trained further

    @property
    def padded(self) -> int | None:
        """Positions that rows are padded to; None: to the longest of their batch.

        Where all of a row's padding is learnt, its loss depends on them, so they are fixed.
        """
        varies = self.base is not None and not isinstance(self.padding, EndFill)
        return None if varies else self.length

    @property
    def pad_id(self) -> int:
        """The id at padding, which no network attends to."""
        return self.vocabulary.pad_id or 0

    def characters(self) -> float | None:
        """Return the characters of a token, on average over held-out windows; None of other data.

        Of documents they would not tell: their ends are tokens, too.
        """
        if not self.stream or self.vocabulary.kind == "ids" or self.base is not None:
            return None
        rows = [self.held_out[i].tokens for i in spread(len(self.held_out), COUNTED)]
        tokens = torch.cat(rows).tolist()
        return len(self.vocabulary.decode(tokens)) / len(tokens)

    def text(self, row: Tensor) -> str:
        """Return the text of generated ids (N,), up to its end."""
        return self.vocabulary.text(row.tolist(), self.padding.eos_id)


def of_task(task: Task, padding: str = "auto") -> Material:
    """Return the material of a built-in task. Raises StrategyError for padding without an end."""
    return Material(
        name=task.name,
        train=TensorExamples(task.train, task.train_labels),
        held_out=TensorExamples(task.held_out, task.held_out_labels),
        layout=task.layout,
        length=task.train.shape[1],
        vocabulary=Vocabulary("ids", size=task.mask_id, mask_id=task.mask_id),
        classes=task.classes,
        padding=padding_named(padding, None),
        warp=task.warp,
    )


def of_corpus(corpus: Corpus, recipe: Recipe) -> Material:
    """Return the material of a corpus, with a share held out.

    The network has positions for the longest example, and for the end of a document, or as many as
    recipe.data.length if those are not more.
    """
    train, rest = corpus.split(recipe.data.held_out)
    ends = corpus.documents and not corpus.inner_ends
    padding = padding_named(recipe.padding, corpus.vocabulary.eos_id, ends)
    ended = corpus.documents and isinstance(padding, EndFill)
    return Material(
        name="data",
        train=train.examples,
        held_out=rest.examples,
        layout=layout(corpus),
        length=max(corpus.longest, recipe.data.length or corpus.longest + ended),
        vocabulary=corpus.vocabulary,
        classes=corpus.classes,
        padding=padding,
        stream=corpus.stream,
    )


def of_base(corpus: Corpus, recipe: Recipe, base: Base) -> Material:
    """Return the material of a corpus for a model that is trained further.

    Raises DataError for a corpus of
    other ids, and for classes that the model does not have.
    """
    train, rest = corpus.split(recipe.data.held_out)
    card = base.known.card
    classes = (card.classes or 0) if card is not None else 0
    if corpus.vocabulary.mask_id != base.mask_id or corpus.vocabulary.total > base.size:
        raise DataError(
            f"the corpus has the ids of another vocabulary than {base.name}: read it by the model, "
            "as in base.read(PATH)"
        )
    if corpus.classes > classes:
        raise DataError(
            f"the data has {corpus.classes} classes, and {base.name} has {classes or 'none'}: "
            "leave the column out of the data"
        )
    told = None if card is None else card.about.get("layout")
    return Material(
        name="data",
        train=train.examples,
        held_out=rest.examples,
        layout=layout(corpus) if told is None else Layout.from_dict(told),
        length=max(corpus.longest, recipe.data.length or 0),
        vocabulary=corpus.vocabulary,
        classes=corpus.classes,
        padding=base.padding(recipe.padding),
        stream=corpus.stream,
        base=base,
    )


def layout(corpus: Corpus) -> Layout:
    """Return a layout that shows images as such, bytes as characters, and other ids as numbers."""
    vocabulary = corpus.vocabulary
    if corpus.shape is not None:
        return Layout.image(*corpus.shape, max(2, vocabulary.size))
    if vocabulary.kind != "bytes":
        return Layout.text()
    shown = [chr(i) if 32 <= i < 127 else "·" for i in range(vocabulary.size)]
    shown[ord("\n")] = "⏎"
    shown[BYTES:] = [" "] * (vocabulary.size - BYTES)  # the end of a document
    return Layout.text(tuple(shown), width=64)
