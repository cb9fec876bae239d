"""Canvases, seeds, steps and schedules for Hypothesis to vary."""

import itertools
import operator
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from tests.conformance.toys import FORBIDDEN, MASK, VOCAB, Toy

from unmask import Canvas

SCHEDULES = ["linear", "cosine", "cosine_mdlm", "arccos", "power(3)", lambda t: (1 - t) ** 2]
GARBAGE = [-7, 10**9, VOCAB]  # what stands where generation may write is ignored


@dataclass
class Case:
    """Rows of their own lengths, prompts (the mask id among them), seeds and steps."""

    rows: list[list[int]]
    editable: list[list[bool]]
    seeds: list[int]
    steps: int | list[int]
    schedule: object
    padding: int  # columns beyond the longest row

    def canvas(self, rows=None, padding=None, entry=None):
        """These rows, in this order; all of them by default. At least as wide as `padding` says.

        entry: the strategy that they are for, which may take the steps of each row.
        """
        chosen = range(len(self.rows)) if rows is None else rows
        padding = self.padding if padding is None else padding
        lines, flags = ([part[i] for i in chosen] for part in (self.rows, self.editable))
        if entry is not None and entry.grows:  # nothing given behind what is to be generated
            flags = [list(itertools.accumulate(row, operator.or_)) for row in flags]
        canvas = Canvas.ragged(lines, flags, pad_id=1)
        wider = torch.nn.functional.pad
        # Of a strategy for one length all rows are as long as the canvas is wide, by prompts of 1.
        whole = entry is not None and entry.fixed_length
        steps = None
        if entry is not None and entry.takes_steps and not isinstance(self.steps, int):
            steps = [self.steps[i] for i in chosen]
        return Canvas(
            wider(canvas.tokens, (0, padding), value=1 if whole else 3),
            wider(canvas.editable, (0, padding)),
            wider(canvas.valid | whole, (0, padding), value=whole),
            steps=steps,
        )

    def strategy(self, entry, length=None):
        """The strategy; steps of rows, where they differ, are the canvas'."""
        length = self.canvas().shape[1] if length is None else length
        steps = self.steps if isinstance(self.steps, int) else self.steps[0]
        return entry.make(length, steps, self.schedule)


def hard():
    """The case that every test begins with: counts that divide and do not, more steps than
    unknown positions, a row with nothing to do, prompts of the mask id and the forbidden one."""
    rows = [[-7] * 6, [MASK, -7, -7, FORBIDDEN, -7], [-7, 3, MASK, 10**9], [1, MASK], [VOCAB] * 7]
    return Case(
        rows,
        [[not 0 <= token < VOCAB for token in row] for row in rows],
        seeds=[0, 2**63 - 1, 3, 4, 2**32],
        steps=[3, 2, 9, 5, 4],
        schedule="linear",
        padding=1,
    )


@st.composite
def cases(draw, max_rows=4, max_length=7):
    sizes = st.sampled_from([6, *range(max_length, 0, -1)])
    lengths = draw(st.lists(sizes, min_size=1, max_size=max_rows))
    content = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    rows, editable = [], []
    for length in lengths:
        known = draw(st.just(0) | st.integers(0, 2**length - 1))
        flags = [not known >> i & 1 for i in range(length)]
        given_ids = torch.randint(VOCAB, (length,), generator=content).tolist()
        editable.append(flags)
        rows.append(
            [GARBAGE[i % 3] if flag else given_ids[i] for i, flag in enumerate(flags)],
        )
    count = len(lengths)
    steps = st.sampled_from([2, 3, 4, 1, 5, 9])
    return Case(
        rows,
        editable,
        draw(st.lists(st.integers(0, 2**63 - 1), min_size=count, max_size=count, unique=True)),
        draw(steps | st.lists(steps, min_size=count, max_size=count)),
        draw(st.sampled_from(SCHEDULES)),
        draw(st.integers(0, 2)),
    )


DTYPES = st.sampled_from([torch.float32, torch.bfloat16, torch.float16, torch.float64])
TOYS = st.builds(Toy, dtype=DTYPES, eager=st.sampled_from([0.0, 12.0, 300.0]))
