"""Examples with the ids that belong before and after a text.

n positions of an example.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from unmask.data import Corpus, Example
from unmask.data.corpus import Lazy

Around = tuple[list[int], list[int]]


class Surrounded(Lazy):
    """Examples with given ids around them, or a learnt end behind them."""

    def __init__(self, examples: Sequence[Example], around: Around, end: int | None):
        self.examples, self.around, self.end = examples, around, end

    def __len__(self) -> int:
        return len(self.examples)

    def at(self, index: int) -> Example:
        """Return the example of this index."""
        one = self.examples[index]
        before, after = (torch.tensor(ids, dtype=torch.int64) for ids in self.around)
        end = torch.tensor([] if self.end is None else [self.end], dtype=torch.int64)
        if len(end) and int(one.tokens[-1]) == self.end:
            end = end[:0]
        never = [torch.zeros(len(ids), dtype=torch.bool) for ids in (before, after)]
        flags = [never[0], one.maskable, torch.ones(len(end), dtype=torch.bool), never[1]]
        tokens = torch.cat([before, one.tokens, end, after])
        return replace(one, tokens=tokens, maskable=torch.cat(flags))


def surrounded(corpus: Corpus, around: Around, end: int | None) -> Corpus:
    """Return the corpus with ids around each example, and an end that is learnt behind it."""
    more = sum(map(len, around)) + (end is not None)
    if not more:
        return corpus
    examples = Surrounded(corpus.examples, around, end)
    return replace(corpus, examples=examples, longest=corpus.longest + more)
