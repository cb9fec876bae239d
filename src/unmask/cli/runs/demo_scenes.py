"""Scenes of `unmask demo`: each is generated, drawn step by step, and written as pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

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


def _as_it_is(frame: Tensor) -> Tensor:
    return frame


@dataclass(frozen=True, eq=False)
class Scene:
    """How a generation is drawn."""

    name: str
    """The name of its files, without suffix."""
    pause: float
    """Seconds that each step is shown."""
    arrange: Callable[[Tensor], Tensor] = _as_it_is
    """A function from the generated rows to the rows that are drawn."""
    given: Tensor | None = None
    """(B,N) bool: given positions of the drawn rows."""


@dataclass
class Stage:
    """Options shared by all scenes, and the files written so far."""

    folder: Path
    seed: int
    fast: bool
    live: bool
    quiet: bool
    files: list[Path] = field(default_factory=list)
    scenes: int = 0

    def heading(self, title: str, below: str) -> None:
        """Print the title of a scene."""
        self.scenes += 1
        if not self.quiet:
            say()
            say((f"{self.scenes}. {title}", "bold"), (f"  {below}", "dim"))

    def report(self, message: str) -> None:
        """Print a result."""
        if not self.quiet:
            say((message, "bold green"))

    def play(self, model: Model, canvas: Canvas, strategy: Strategy, scene: Scene) -> Emerged:
        """Generate, draw and write one scene."""
        live = self.live
        layout, given, title = model.layout, scene.given, scene.name
        pause = 0.0 if self.fast else scene.pause
        with watching(live, layout, title, given=given, columns=COLUMNS, pause=pause) as watch:
            emerged = emerge(
                model.denoiser,
                canvas,
                strategy,
                self.seed,
                lambda frame, counts: watch(scene.arrange(frame), counts),
                keep=True,
            )
        if not live and not self.quiet:
            print_frame(
                scene.arrange(emerged.frames[-1]), layout, title, given=given, columns=COLUMNS
            )
        self._write(emerged, model, scene)
        return emerged

    def _write(self, emerged: Emerged, model: Model, scene: Scene) -> None:
        import torch

        frames = torch.stack([scene.arrange(frame) for frame in emerged.frames])
        with waiting("Drawing pictures"):
            for suffix in outputs.PICTURES:
                path = self.folder / f"{scene.name}{suffix}"
                outputs.write_picture(
                    frames, model.layout, path, given=scene.given, columns=COLUMNS, step_ms=STEP_MS
                )
                self.files.append(path)
