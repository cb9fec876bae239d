"""A model named on the command line: its network, its card, and how its rows are displayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unmask.cli.options import Options
from unmask.cli.ui.screen import waiting
from unmask.core.checks import is_integer
from unmask.core.optional import library
from unmask.errors import CheckpointError, InputError

if TYPE_CHECKING:
    from torch import Tensor

    from unmask.core.network import Denoiser
    from unmask.data import Vocabulary
    from unmask.models.checkpoint import Card
    from unmask.models.loading import Recognised
    from unmask.tasks.boards import Board
    from unmask.text import Encoding
    from unmask.viz import Layout

COLUMNS = 72
"""Of a line of text in a picture."""


@dataclass(frozen=True)
class Model:
    """A model: its name, card and layout, and its network, which is loaded when it is used."""

    name: str
    card: Card
    layout: Layout
    recognised: Recognised

    @cached_property
    def denoiser(self) -> Denoiser:
        """The network. Raises CheckpointError if it cannot be loaded."""
        with waiting(f"Loading {self.name}"):
            return self.recognised.open()

    @property
    def task(self) -> str | None:
        """The built-in task that the model was trained on, None for another one."""
        return self.card.about.get("task")

    @property
    def rules(self) -> Board | None:
        """The rules of the model's puzzles, None for a model without puzzles."""
        from unmask.tasks.task import RULES

        return RULES.get(self.task or "")

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The vocabulary, which encodes text as ids; None if the model's ids are not text."""
        if self.card.vocabulary is None or self.card.vocabulary.get("kind") == "ids":
            return None
        from unmask.data import Vocabulary

        return Vocabulary.from_dict(self.card.vocabulary)

    @cached_property
    def encoding(self) -> Encoding | None:
        """The encoding of texts, as of a text model; None if the model's ids are not text."""
        from unmask.text.opening import encoding_of, has_surround

        vocabulary = self.vocabulary
        if vocabulary is None:
            return None
        surround = has_surround(self.name, self.recognised)
        return encoding_of(vocabulary, self.card.mask_id, surround)

    @property
    def around(self) -> tuple[list[int], list[int]]:
        """The ids that belong before and after a text, as in the data that the model has seen."""
        return ([], []) if self.encoding is None else self.encoding.around

    @property
    def documents(self) -> bool:
        """Whether the model was trained by `unmask train` on rows that were kept apart."""
        trained = self.card.about.get("recipe") or {}
        return bool((trained.get("data") or {}).get("documents"))

    def reserved(self, end_id: int | None = None) -> tuple[int, ...]:
        """Return the special ids of the tokenizer, which are no text, but for the end of a row."""
        vocabulary = self.vocabulary
        if vocabulary is None:
            return ()
        # In training data the end of a document is data.
        ends = () if self.card.training or vocabulary.eos_id is None else (vocabulary.eos_id,)
        never = {*vocabulary.forbidden, *ends} - {end_id}
        return tuple(sorted(never - {self.card.mask_id}))

    def text(self, rows: Sequence[Sequence[int]], given: Sequence[int]) -> list[str] | None:
        """Return rows as text, cut at the end id if training used one, or as symbols of the layout.

        None if the model has neither. given: positions from the first that are not cut off, of each
        row.
        """
        vocabulary, symbols = self.vocabulary, self.layout.symbols
        if vocabulary is not None:
            end = self.card.end_id
            pairs = zip(rows, given, strict=True)
            return [vocabulary.text(ids, end, kept) for ids, kept in pairs]
        if not symbols or any(len(symbol) != 1 for symbol in symbols):
            return None
        known = dict(enumerate(symbols))
        return ["".join(known.get(i, "?") for i in ids[self.layout.offset :]) for ids in rows]

    def pictured(self, frames: Tensor) -> Layout:
        """Return the layout of frames, of any shape: that of text with the text of their ids."""
        vocabulary = self.vocabulary
        if vocabulary is None or self.layout.kind != "text":
            return self.layout
        pieces = vocabulary.pieces(frames.unique().clamp_min(0).tolist())
        pieces += ("",) * (self.card.vocab_size - len(pieces))
        return replace(self.layout, symbols=pieces, width=COLUMNS)

    def valid(self, tokens: Tensor) -> list[bool] | None:
        """Return whether each row of tokens (B,N) keeps the task's rules; None if it has none."""
        return None if self.rules is None else self.rules.is_valid(tokens).tolist()

    def condition(self, classes: Sequence[int] | None, rows: int) -> Tensor | None:
        """Return (B,) int64: the given classes, repeated in turn; None if none is given."""
        if not classes:
            return None
        import torch

        count = self.card.classes
        if not count:
            raise InputError(f"{self.name} has no classes: leave --class out")
        for each in classes:
            if not 0 <= each < count:
                raise InputError(f"--class {each}: {self.name} has classes 0 to {count - 1}")
        return torch.tensor([classes[row % len(classes)] for row in range(rows)])


def open_model(name: str, options: Options | None = None, tokenizer: Path | None = None) -> Model:
    """Return a bundled model, or that of a folder or a repository; no weight is read.

    options: of `unmask.load`. tokenizer: in place of that of the card. Raises CheckpointError if
    there is no model.
    """
    from unmask.models.loading import recognised
    from unmask.viz import Layout

    known = recognised(name, {} if options is None else options.given())
    card = known.card or _card_of(name, known)
    if card.mask_id is None:
        raise InputError(f"{name} has no mask token: type unmask complete or unmask chat")
    if tokenizer is not None:
        card = replace(card, vocabulary=_vocabulary_of(tokenizer, card.vocab_size))
    described: Any = card.about.get("layout")
    try:
        layout = Layout.text() if described is None else Layout.from_dict(described)
    except (InputError, TypeError) as error:
        raise CheckpointError(f"the card of {name} holds a damaged layout: {error}") from error
    return Model(name, card, layout, known)


def _vocabulary_of(tokenizer: Path, size: int) -> dict[str, Any]:
    """Return the vocabulary of a tokenizer for a network of `size` ids, for a card."""
    from unmask.data import Vocabulary
    from unmask.text.inputs import check_size

    own = Vocabulary.of_tokenizer(tokenizer)
    check_size(f"--tokenizer {tokenizer}", own.size, size)
    return Vocabulary.of_tokenizer(tokenizer, size=size).to_dict()


def _card_of(name: str, known: Recognised) -> Card:
    """Return a card of what the files of a model of transformers say."""
    from unmask.data import Vocabulary
    from unmask.errors import DataError
    from unmask.models.checkpoint import TRANSFORMERS, Card

    files, found = known.files, known.found
    assert files is not None
    assert found is not None
    text: Any = files.config.get("text_config") or {}
    entries = {**text, **files.config}
    size = entries.get("embedding_size") or entries.get("vocab_size")
    if not is_integer(size, 1):
        raise CheckpointError(f"{name}: config.json has no vocab_size, a number of ids")
    where = files.tokenizer_folder
    try:
        vocabulary = None if where is None else Vocabulary.of_tokenizer(where, size=size).to_dict()
    except DataError:  # ids without a text
        vocabulary = None
    preset = found.recommended(files)
    never = [each for each in found.reserved if each < size]
    return Card(
        mask_id=found.mask_id,
        vocab_size=size,
        backbone=TRANSFORMERS,
        forbidden=never,
        spec={"reserved": never},
        vocabulary=vocabulary,
        about={} if preset is None else {"preset": preset},
    )


def weights(folder: Path) -> dict[str, int]:
    """Return the numbers of parameters and bytes of a model folder, without loading weights."""
    from math import prod

    from unmask.models.checkpoint import WEIGHTS

    safetensors = library("safetensors", "hf", "the weights are in safetensors files")
    path = folder / WEIGHTS
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            shapes = [file.get_slice(key).get_shape() for key in file.keys()]  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read, perhaps cut short: {error}") from error
    return {"parameters": sum(map(prod, shapes)), "bytes": path.stat().st_size}
