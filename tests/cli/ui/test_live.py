"""What is seen of a generation."""

import time
from io import StringIO

import pytest
import torch
from rich.console import Console
from rich.text import Text

from unmask.cli.ui import live
from unmask.tasks import TASKS


def board(frame):
    """The layout of each frame."""
    return TASKS["shidoku"]().layout


def test_live_shows_each_step_and_highlights_what_changed(monkeypatch):
    told = StringIO()
    terminal = Console(file=told, force_terminal=True, width=80, height=24)
    monkeypatch.setattr(live, "out", lambda: terminal)
    frames = torch.full((3, 1, 16), -1)
    frames[1, :, :8], frames[2] = 0, 0
    seen = []
    real = live._Panels.panel
    monkeypatch.setattr(
        live._Panels, "panel", lambda self, *a: seen.append(real(self, *a)) or seen[-1]
    )
    begun = time.monotonic()
    with live.watching(True, board, "boards", pause=0.05) as watch:
        for step, frame in enumerate(frames):
            watch(frame, live.Counts(step, 2, done=0, rows=1, share=step / 2))
    assert time.monotonic() - begun >= 0.1
    changed = [panel.renderable.changed for panel in seen]
    assert changed[0] is None
    assert changed[1].tolist() == [[True] * 8 + [False] * 8]
    assert changed[2] is None
    for words in ("boards", "step 0/2", "step 1/2", "step 2/2 · 100% known"):
        assert words in told.getvalue()


@pytest.mark.parametrize(
    ("done", "words"),
    [(0, "─ step 1/2 · 50% known"), (2, "─ 2 of 4 rows done · step 1/2"), (4, "─ step 1/2")],
)
def test_rows_that_are_done_are_counted_while_others_are_not(monkeypatch, done, words):
    told = StringIO()
    terminal = Console(file=told, force_terminal=True, width=80, height=24)
    monkeypatch.setattr(live, "out", lambda: terminal)
    frame = torch.full((4, 16), -1)
    frame[:2] = 0
    with live.watching(True, board, "boards", pause=0) as watch:
        watch(frame, live.Counts(1, 2, done=done, rows=4, share=0.5))
    plain = Text.from_ansi(told.getvalue()).plain
    assert words in plain


def test_a_bar_goes_through_all_rows_once(monkeypatch):
    shares = []
    update = live.Progress.update
    monkeypatch.setattr(
        live.Progress, "update", lambda self, task, **k: shares.append(k) or update(self, task, **k)
    )
    with live.watching(False, board, "boards") as watch:
        for step in (1, 2, 1, 2):
            watch(torch.zeros(2, 16), live.Counts(step, 2, 0, 2, (len(shares) + 1) / 4))
    assert shares == [{"completed": share} for share in (0.25, 0.5, 0.75, 1.0)]
