"""The network, tokenizer and ends of a text model, from its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
class Beside:
    """What a text model has beside its network. template: options of the chat template.

    strategy: of calls that name none, where a folder says it.
    """

    encoding: Encoding
    end_ids: tuple[int, ...] = ()
    template: Mapping[str, Any] = field(default_factory=dict)
    strategy: Strategy | None = None

    def of_size(self, size: int) -> Beside:
        """Return it with the ends that a network of `size` ids has.

        Raises ModelError for a tokenizer of another model.
        """
        check_size("the tokenizer (tokenizer=)", self.encoding.size, size)
        return replace(self, end_ids=tuple(each for each in self.end_ids if each < size))


def open_text(
    model: str | Path, tokenizer: Any, options: Mapping[str, Any]
) -> tuple[Denoiser, Beside]:
    """Return the network of a model, and what a text model has beside it. options: of `load`.

    tokenizer: one of transformers', where the model's own is missing or wrong.
    Raises ModelError for a model without a tokenizer, and for one of another model.
    """
    known = recognised(model, options)
    denoiser, beside = known.open(), beside_of(model, known, tokenizer)
    return denoiser, beside.of_size(denoiser.spec.vocab_size)


def beside_of(model: str | Path, known: Recognised, tokenizer: Any) -> Beside:
    """Return what a text model has beside its network, before a weight is read, as `open_text`."""
    found = known.found
    if found is None:
        assert known.card is not None
        return _saved(model, known.card, tokenizer)
    row = found.family
    backend = tokenizer or found.tokenizer
    if backend is None:
        raise ModelError(
            f"{model} has no tokenizer that opens: pass one of transformers', as tokenizer=, or "
            "--tokenizer PATH on the command line"
        )
    encoding = TokenizerEncoding(backend, found.mask_id, surround=has_surround(model, known))
    if row is None:
        return Beside(encoding, found.end_ids)
    words = backend.get_vocab()
    ends = dict.fromkeys([*found.end_ids, *(words[n] for n in row.end_tokens if n in words)])
    return Beside(encoding, tuple(ends), row.template)


def _saved(model: str | Path, card: Card, tokenizer: Any) -> Beside:
    """Return what a folder of `unmask.save` has."""
    said = TextCard.of(model, card)
    strategy = None if said.strategy is None else Strategy.from_dict(said.strategy)
    if tokenizer is None:
        if card.vocabulary is None or card.vocabulary.get("kind") == "ids":
            raise ModelError(f"{model} has ids that are no text: use unmask.load and generate")
        vocabulary = Vocabulary.from_dict(card.vocabulary)
        encoding = encoding_of(vocabulary, card.mask_id, said.surround)
    else:
        encoding = TokenizerEncoding(tokenizer, card.mask_id, surround=said.surround)
    return Beside(encoding, tuple(said.end_ids), said.template, strategy)


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
