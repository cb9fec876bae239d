"""The text model of a command, and the strategy of its options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unmask.cli.io import presets
from unmask.cli.options import Opened
from unmask.cli.ui.screen import waiting

if TYPE_CHECKING:
    from unmask.decoding import Strategy
    from unmask.text import TextModel

MODEL = (
    "MODEL: A folder, or a repository of transformers' hub, such as google-bert/bert-base-uncased."
)


@dataclass(frozen=True)
class Drawn:
    """The options about drawing text."""

    preset: str | None = None
    steps: int | None = None
    temperature: float | None = None
    schedule: str | None = None
    set_: list[str] | None = None
    seed: int = 0


def open_text_model(name: str, opened: Opened) -> TextModel:
    """Return the text model of a name."""
    with waiting(f"Loading {name}"):
        from unmask.text import TextModel

        return TextModel.load(name, **opened.given())


def strategy_of(model: TextModel, drawn: Drawn) -> Strategy | None:
    """Return the strategy of these options, None for what the model recommends."""
    from unmask.presets import by_name

    flags = {flag: getattr(drawn, flag) for flag in presets.FLAGS}
    asked = presets.merged(flags, drawn.set_ or ())
    if drawn.preset is not None:
        return presets.build_strategy(drawn.preset, asked)
    if not asked:
        return None
    name, options = by_name.name_and_options(model.denoiser.spec.recommended)
    return presets.build_strategy(name, {**options, **asked})


def lines_of(texts: Sequence[str] | None) -> list[str]:
    """Return the texts, or the lines of standard input that are not empty."""
    if texts:
        return list(texts)
    from unmask.cli.io.canvas_input import text_of

    return [line for line in text_of(None).splitlines() if line.strip()]
