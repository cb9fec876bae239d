"""What is seen of a generation."""

import time
from io import StringIO

import torch
from rich.console import Console

from unmask.cli.ui import live
from unmask.tasks import TASKS


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
    with live.watching(True, TASKS["shidoku"]().layout, "boards", pause=0.05) as watch:
        for step, frame in enumerate(frames):
            watch(frame, step, 2)
    assert time.monotonic() - begun >= 0.1
    changed = [panel.renderable.changed for panel in seen]
    assert changed[0] is None
    assert changed[1].tolist() == [[True] * 8 + [False] * 8]
    assert changed[2] is None
    for words in ("boards", "step 0/2", "step 1/2", "step 2/2 · 100% known"):
        assert words in told.getvalue()
