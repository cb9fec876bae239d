"""Canvases, seeds, steps and schedules for Hypothesis to vary."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from tests.conformance.toys import VOCAB, Toy

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

    def canvas(self, rows=None, padding=None):
        """These rows, in this order; all of them by default. At least as wide as `padding` says."""
        chosen = range(len(self.rows)) if rows is None else rows
        padding = self.padding if padding is None else padding
        lines, flags = ([part[i] for i in chosen] for part in (self.rows, self.editable))
        canvas = Canvas.ragged(lines, flags, pad_id=1)
        wider = torch.nn.functional.pad
        return Canvas(
            wider(canvas.tokens, (0, padding), value=3),
            wider(canvas.editable, (0, padding)),
            wider(canvas.valid, (0, padding)),
        )

    def steps_of(self, rows):
        return self.steps if isinstance(self.steps, int) else [self.steps[i] for i in rows]

    def strategy(self, entry, rows=None, length=None):
        rows = range(len(self.rows)) if rows is None else rows
        length = self.canvas().shape[1] if length is None else length
        return entry.make(length, self.steps_of(rows), self.schedule)


@st.composite
def cases(draw, max_rows=4, max_length=7):
    lengths = draw(st.lists(st.integers(1, max_length), min_size=1, max_size=max_rows))
    content = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    rows, editable = [], []
    for length in lengths:
        pattern = draw(st.integers(0, 2**length - 1) | st.just(2**length - 1))
        flags = [bool(pattern >> i & 1) for i in range(length)]
        given_ids = torch.randint(VOCAB, (length,), generator=content).tolist()
        editable.append(flags)
        rows.append(
            [GARBAGE[i % 3] if flag else given_ids[i] for i, flag in enumerate(flags)],
        )
    count = len(lengths)
    steps = st.integers(1, 9)
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
