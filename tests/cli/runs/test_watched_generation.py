"""What is seen and kept of a generation, all rows at once or some at a time."""

import pytest
import torch

import unmask
from unmask import Canvas, presets
from unmask.cli.runs.watched_generation import emerge


def watched(strategy, rows=4, keep=True, **limits):
    seen = []
    denoiser = unmask.load("shidoku")
    made = emerge(
        denoiser, Canvas.blank(rows, 16), strategy, 0, lambda *a: seen.append(a), keep, **limits
    )
    return made, [frame for frame, _ in seen], [counts for _, counts in seen]


def test_rows_in_parts_are_counted_by_their_own_steps():
    _, frames, counts = watched(presets.confidence(steps=2), max_rows=2)
    found = [(c.step, c.steps, c.done, c.rows, c.share) for c in counts]
    assert found == [
        (0, 2, 0, 4, 0.0),
        (1, 2, 0, 4, 0.25), (2, 2, 2, 4, 0.5),
        (1, 2, 2, 4, 0.75), (2, 2, 4, 4, 1.0),
    ]  # fmt: skip
    assert [int((frame >= 0).all(1).sum()) for frame in frames] == [0, 0, 2, 2, 4]


@pytest.mark.parametrize(
    "strategy",
    [presets.confidence(steps=5), presets.p2(steps=6), presets.entropy_bound(0.5)],
    ids=lambda strategy: strategy.name,
)
def test_what_is_kept_is_that_of_all_rows_at_once(strategy):
    whole, frames, counts = watched(strategy, rows=7)
    assert torch.equal(whole.frames, torch.stack(frames))
    assert len(whole.frames) == 1 + int(whole.generation.steps.max())
    assert counts[-1].share == 1.0
    for limits in ({"max_rows": 2}, {"max_rows": 3}, {"max_tokens": 50}):
        made, frames, counts = watched(strategy, rows=7, **limits)
        assert torch.equal(made.frames, whole.frames)
        assert len(frames) > len(whole.frames)
        shares = [each.share for each in counts]
        assert shares == sorted(shares)
        assert shares[-1] == 1.0
        last, _, _ = watched(strategy, rows=7, keep=False, **limits)
        assert torch.equal(last.frames, whole.frames[-1:])
