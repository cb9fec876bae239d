"""Seeing a generation: contact sheets, animations, the terminal, and records kept on disk."""

from unmask.core.calls import check_calls
from unmask.viz.animation import gif
from unmask.viz.layout import Layout
from unmask.viz.record import Record
from unmask.viz.sheet import save_png, sheet
from unmask.viz.terminal import frame_panel, replay

__all__ = ["Layout", "Record", "frame_panel", "gif", "replay", "save_png", "sheet"]

check_calls(__name__)
