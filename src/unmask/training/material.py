"""What a run trains on: a built-in task or a corpus of the user's, in one form.

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
    """Rows of tokens (B,N), with classes (B,) or without, as examples."""

    def __init__(self, tokens: Tensor, classes: Tensor | None):
        self.tokens, self.classes = tokens, classes

    def __len__(self) -> int:
        return len(self.tokens)

    def at(self, index: int) -> Example:
        """One row, every position of which may be hidden."""
        row = self.tokens[index]
        category = None if self.classes is None else int(self.classes[index])
        return Example(row, row >= 0, category)


@dataclass(frozen=True, eq=False)
class Material:
    """Examples to train on and held out, and what a network for them needs to know."""

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
        """What stands at padding, which no network looks at."""
        return self.vocabulary.pad_id or 0


def of_task(task: Task) -> Material:
    """A built-in task."""
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
    """The user's data, a share of it held out; positions for documents up to the length asked."""
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
    """Bytes as characters, a line each; other ids as numbers."""
    if vocabulary.kind != "bytes":
        return Layout.text()
    shown = [chr(i) if 32 <= i < 127 else "·" for i in range(vocabulary.size)]
    shown[ord("\n")] = "⏎"
    return Layout.text(tuple(shown), width=64)
