"""The text model of a command, and the strategy of its options."""

from __future__ import annotations

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


def open_text_model(name: str, opened: Opened) -> TextModel:
    """Return the text model of a name."""
    with waiting(f"Loading {name}"):
        from unmask.text import TextModel

        return TextModel.load(name, **opened.given())


def strategy_of(model: TextModel, drawn: presets.Drawn) -> Strategy | None:
    """Return the strategy of these options, None for what the model recommends."""
    from unmask.presets import by_name

    asked = presets.merged(drawn.flags, drawn.set_ or ())
    if drawn.preset is not None:
        return presets.build_strategy(drawn.preset, asked)
    if not asked:
        return None
    name, options = by_name.name_and_options(model.denoiser.spec.recommended)
    return presets.build_strategy(name, {**options, **asked})
