"""What is seen of a training run."""

import io

from rich.console import Console

from unmask import training
from unmask.cli.ui import screen, training_screen
from unmask.tasks import task


def test_screen_shows_bar_figures_and_samples(monkeypatch):
    told = io.StringIO()
    terminal = Console(file=told, force_terminal=True, width=80, height=24)
    monkeypatch.setattr(screen, "err", lambda: terminal)
    monkeypatch.setattr(training_screen, "is_terminal", lambda: True)
    view, data = training_screen.TrainingScreen("shidoku"), task("shidoku")
    with view.shown():
        view.report(training.Progress(20, 100, 0.75, 0.5, data.train[:4], data.layout))
        view.report(training.Progress(21, 100, 0.75, seconds_left=3900.0))
    for words in (
        "about 1 h 5 min left",
        "21/100",
        "loss 0.750",
        "held-out bound 0.500",
        "samples at step 20",
    ):
        assert words in told.getvalue()
