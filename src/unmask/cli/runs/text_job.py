"""The text model of a command, and the strategy of its options."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from unmask.cli.io import presets
from unmask.cli.ui.screen import waiting

if TYPE_CHECKING:
    from unmask.decoding import Strategy
    from unmask.text import TextModel

MODEL = (
    "MODEL: A folder, or a repository of transformers' hub, such as google-bert/bert-base-uncased."
)
KIND = """
--family NAME: The kind of model, if its files do not say it: llada, dream, sdar, ...
    (docs/language-models.md).
--mask-id N: The id of unknown positions, if its files do not say it.
--block N: Positions of a block, for attention that is block-causal.
--revision NAME: The branch, tag or commit of a repository.
--trust-remote-code: Allow the code of a model of no known family to be run.
"""
OPENING = f"""{KIND.rstrip()}
--dtype NAME: bfloat16, float16, float32, or auto.
--device-map NAME: The device, or auto, as transformers has it.
"""


@dataclass(frozen=True)
class Kind:
    """The options about the files of a model of transformers."""

    family: str | None = None
    mask_id: int | None = None
    block: int | None = None
    revision: str | None = None
    trust_remote_code: bool = False

    def given(self) -> dict[str, Any]:
        """Return those that are given."""
        unsaid = (None, False)  # by identity, for the id 0 may be a mask
        return {k: v for k, v in asdict(self).items() if all(v is not each for each in unsaid)}


@dataclass(frozen=True)
class Opened(Kind):
    """The options about opening it."""

    dtype: str | None = None
    device_map: str | None = None


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
