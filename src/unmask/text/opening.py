"""The network, tokenizer and ends of a text model, from its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unmask.core.network import Denoiser
from unmask.data import Vocabulary
from unmask.data.tokenizer import load_tokenizer
from unmask.decoding import Strategy
from unmask.errors import ModelError
from unmask.models.checkpoint import Card
from unmask.models.loading import Recognised, recognised
from unmask.text.encoding import ByteEncoding, Encoding, TokenizerEncoding
from unmask.text.inputs import check_size
from unmask.text.saving import TextCard


@dataclass(frozen=True)
class Parts:
    """What a text model consists of. template: options of the chat template.

    strategy: of calls that name none, where a folder says it.
    """

    denoiser: Denoiser
    encoding: Encoding
    end_ids: tuple[int, ...] = ()
    template: Mapping[str, Any] = field(default_factory=dict)
    strategy: Strategy | None = None


def open_text(model: str | Path, tokenizer: Any, options: Mapping[str, Any]) -> Parts:
    """Return the parts of a model. options: as in `unmask.load`.

    tokenizer: one of transformers', where the model's own is missing or wrong.
    Raises ModelError for a model without a tokenizer, and for one of another model.
    """
    known = recognised(model, options)
    denoiser = known.open()
    if known.found is None:
        assert known.card is not None
        return _saved(model, known.card, denoiser, tokenizer)
    found = known.found
    row = found.family
    backend = tokenizer or found.tokenizer
    if backend is None:
        raise ModelError(
            f"{model} has no tokenizer that opens: pass one of transformers', as tokenizer=, or "
            "--tokenizer PATH on the command line"
        )
    encoding = TokenizerEncoding(backend, found.mask_id, surround=has_surround(model, known))
    check_size("the tokenizer (tokenizer=)", encoding.size, denoiser.spec.vocab_size)
    spec = denoiser.spec
    said = [each for each in (spec.end_id, *spec.other_ends) if each is not None]
    if row is None:
        return Parts(denoiser, encoding, tuple(said))
    words = backend.get_vocab()
    ends = dict.fromkeys([*said, *(words[n] for n in row.end_tokens if n in words)])
    return Parts(denoiser, encoding, tuple(ends), row.template)


def _saved(model: str | Path, card: Card, denoiser: Denoiser, tokenizer: Any) -> Parts:
    """Return the parts of a folder of `unmask.save`."""
    said = TextCard.of(model, card)
    strategy = None if said.strategy is None else Strategy.from_dict(said.strategy)
    if tokenizer is None:
        if card.vocabulary is None or card.vocabulary.get("kind") == "ids":
            raise ModelError(f"{model} has ids that are no text: use unmask.load and generate")
        vocabulary = Vocabulary.from_dict(card.vocabulary)
        encoding = encoding_of(vocabulary, card.mask_id, said.surround)
    else:
        encoding = TokenizerEncoding(tokenizer, card.mask_id, surround=said.surround)
    if isinstance(encoding, TokenizerEncoding):
        check_size("the tokenizer (tokenizer=)", encoding.size, denoiser.spec.vocab_size)
    return Parts(denoiser, encoding, tuple(said.end_ids), said.template, strategy)


def encoding_of(vocabulary: Vocabulary, mask_id: int | None, surround: bool) -> Encoding:
    """Return the encoding of a vocabulary of text: of a tokenizer, or of bytes.

    mask_id, surround: as of `TokenizerEncoding`.
    """
    if vocabulary.tokenizer is None:
        return ByteEncoding(vocabulary)
    backend = load_tokenizer(vocabulary.tokenizer).backend
    return TokenizerEncoding(backend, mask_id, surround=surround)


def has_surround(model: str | Path, known: Recognised) -> bool:
    """Return whether the texts of a model have its tokenizer's special tokens around them.

    Those of families have none; those of other models of transformers do, and of a folder of
    `unmask.save` as it says.
    """
    if known.found is not None:
        return known.found.family is None
    assert known.card is not None
    return TextCard.of(model, known.card).surround
