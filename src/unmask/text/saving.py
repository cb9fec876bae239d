"""Folders of text models: a denoiser, its tokenizer, and what belongs to texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from unmask.core.checks import is_integer
from unmask.core.network import Denoiser
from unmask.data import Vocabulary
from unmask.decoding import Strategy
from unmask.errors import CheckpointError, ModelError, nearest
from unmask.models.checkpoint import CARD, Card
from unmask.models.saving import write
from unmask.text.encoding import ByteEncoding, Encoding, TokenizerEncoding


@dataclass(frozen=True)
class TextCard:
    """The entry `text` of `unmask.json`.

    end_ids, template: as of `TextModel`. surround: as of `TokenizerEncoding`. strategy: that of
    all calls, by `Strategy.to_dict`.
    """

    end_ids: list[int] = field(default_factory=list)
    template: dict[str, Any] = field(default_factory=dict)
    surround: bool = False
    strategy: dict[str, Any] | None = None

    @classmethod
    def of(cls, model: str | Path, card: Card) -> TextCard:
        """Return the entry of a card, or what older cards say. CheckpointError if it is damaged."""
        if card.text is None:
            ends = [] if card.end_id is None else [card.end_id]
            return cls(ends, surround=not card.training)
        known = [each.name for each in fields(cls)]
        for name in card.text:
            if name not in known:
                raise CheckpointError(
                    f"{model}: text has {name!r} in {CARD}: {nearest(name, known)}"
                )
        found = cls(**card.text)
        ids = found.end_ids if isinstance(found.end_ids, list) else [None]
        for name, fits in (
            ("end_ids", all(is_integer(each, 0) and each < card.vocab_size for each in ids)),
            ("template", isinstance(found.template, dict)),
            ("surround", isinstance(found.surround, bool)),
        ):
            if not fits:
                value = getattr(found, name)
                raise CheckpointError(f"{model}: text has {name}={value!r} in {CARD}: wrong value")
        return found


def save_text(
    folder: str | Path,
    denoiser: Denoiser,
    encoding: Encoding,
    strategy: Strategy | None,
    end_ids: Sequence[int],
    template: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Path:
    """Write the parts of a text model to a folder and return its path. options: of `save`."""
    chosen = None if strategy is None else strategy.to_dict()
    text = TextCard(list(end_ids), dict(template), any(encoding.around), chosen)
    with _vocabulary(encoding, denoiser) as vocabulary:
        return write(denoiser, folder, vocabulary=vocabulary, text=asdict(text), **options)


@contextmanager
def _vocabulary(encoding: Encoding, denoiser: Denoiser) -> Iterator[dict[str, Any]]:
    """Yield the vocabulary for a card, while the files of its tokenizer are in a folder."""
    if isinstance(encoding, ByteEncoding):
        yield encoding.vocabulary.to_dict()
        return
    if not isinstance(encoding, TokenizerEncoding):
        raise ModelError(
            f"{type(encoding).__name__} cannot be saved: pass a TokenizerEncoding, or save the "
            "network by unmask.save"
        )
    spec = denoiser.spec
    mask = spec.vocab_size if spec.mask_id is None else spec.mask_id
    with TemporaryDirectory() as folder:
        encoding.backend.save_pretrained(folder)
        found = Vocabulary.of_tokenizer(folder, size=spec.vocab_size)
        never = tuple(each for each in found.forbidden if each != mask)
        known = replace(found, mask_id=mask, forbidden=never).to_dict()
        del known["absent"]  # the ids that the spec reserves
        yield known
