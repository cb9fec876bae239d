"""The data of a run: a built-in task or a corpus, in one form.

B examples, N positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from unmask.data import Corpus, Example, Vocabulary
from unmask.data.corpus import Lazy
from unmask.tasks import Task
from unmask.training.recipe import DataOptions
from unmask.viz.layout import Layout


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
    warp: Any = None  # of images: (b,N), seeds (b,) -> (b,N)

    @property
    def pad_id(self) -> int:
        """The id at padding, which no network attends to."""
        return self.vocabulary.pad_id or 0


def of_task(task: Task) -> Material:
    """Return the material of a built-in task."""
    return Material(
        name=task.name,
        train=TensorExamples(task.train, task.train_labels),
        held_out=TensorExamples(task.held_out, task.held_out_labels),
        layout=task.layout,
        length=task.train.shape[1],
        vocabulary=Vocabulary("ids", size=task.mask_id, mask_id=task.mask_id),
        classes=task.classes,
        warp=task.warp,
    )


def of_corpus(corpus: Corpus, options: DataOptions) -> Material:
    """Return the material of a corpus, with a share held out.

    The network has positions for the longest example, and for options.length if that is more.
    """
    train, rest = corpus.split(options.held_out)
    return Material(
        name="data",
        train=train.examples,
        held_out=rest.examples,
        layout=text_layout(corpus.vocabulary),
        length=max(corpus.longest, options.length or 0),
        vocabulary=corpus.vocabulary,
        classes=corpus.classes,
    )


def text_layout(vocabulary: Vocabulary) -> Layout:
    """Return a layout that shows bytes as characters and other ids as numbers."""
    if vocabulary.kind != "bytes":
        return Layout.text()
    shown = [chr(i) if 32 <= i < 127 else "·" for i in range(vocabulary.size)]
    shown[ord("\n")] = "⏎"
    return Layout.text(tuple(shown), width=64)
