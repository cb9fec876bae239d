"""Scenes of `unmask demo`: each is generated, drawn step by step, and written as pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unmask.cli.io import outputs
from unmask.cli.runs.watched_generation import Emerged, emerge
from unmask.cli.ui.live import print_frame, watching
from unmask.cli.ui.screen import say, waiting

if TYPE_CHECKING:
    from torch import Tensor

    from unmask.cli.io.models import Model
    from unmask.decoding import Canvas, Strategy

COLUMNS = 4
"""Tiles in a line: four fit into 80 characters for every layout."""
STEP_MS = 100


@dataclass
class Stage:
    """Options shared by all scenes, and the files written so far."""

    folder: Path
    seed: int
    fast: bool
    live: bool
    quiet: bool
    files: list[Path] = field(default_factory=list)

    def say(self, *parts: str | tuple[str, str]) -> None:
        """Print a line, unless only the JSON object is wanted."""
        if not self.quiet:
            say(*parts)

    def play(
        self,
        name: str,
        heading: tuple[str, str],
        model: Model,
        canvas: Canvas,
        strategy: Strategy,
        *,
        pause: float,
        columns: int = COLUMNS,
        arrange: Callable[[Tensor], Tensor] = lambda frame: frame,
        given: Tensor | None = None,
    ) -> Emerged:
        """Generate, draw and write one scene.

        name: that of its files, without suffix. pause: seconds that each step is shown. arrange:
        from the generated rows to those that are drawn, of which `given` (B,N) bool are known.
        """
        import torch

        self.say()
        self.say((heading[0], "bold"), (f"  {heading[1]}", "dim"))
        drawn: dict[str, Any] = {"given": given, "columns": columns}
        live, wait = self.live, 0.0 if self.fast else pause
        with watching(live, model.pictured, name, pause=wait, **drawn) as watch:
            emerged = emerge(
                model.denoiser,
                canvas,
                strategy,
                self.seed,
                lambda frame, counts: watch(arrange(frame), counts),
                keep=True,
            )
        frames = torch.stack([arrange(frame) for frame in emerged.frames])
        layout = model.pictured(frames)
        if not live and not self.quiet:
            print_frame(frames[-1], layout, name, **drawn)
        with waiting("Drawing pictures"):
            for suffix in outputs.PICTURES:
                path = self.folder / f"{name}{suffix}"
                outputs.write_picture(frames, layout, path, step_ms=STEP_MS, **drawn)
                self.files.append(path)
        return emerged
