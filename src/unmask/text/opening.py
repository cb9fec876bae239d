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


def open_text(
    model: str | Path, tokenizer: Any, options: Mapping[str, Any]
) -> tuple[Denoiser, Beside]:
    """Return the network of a model, and what a text model has beside it. options: of `load`.

    tokenizer: one of transformers', where the model's own is missing or wrong.
    Raises ModelError for a model without a tokenizer, and for one of another model.
    """
    known = recognised(model, options)
    denoiser, beside = known.open(), beside_of(model, known, tokenizer)
    check_size(beside.encoding, denoiser.spec.vocab_size)
    return denoiser, beside


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
    encoding = TokenizerEncoding(backend, found.mask_id, surround=row is None)
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
        if vocabulary.tokenizer is None:
            return Beside(ByteEncoding(vocabulary), tuple(said.end_ids), strategy=strategy)
        tokenizer = load_tokenizer(vocabulary.tokenizer).backend
    encoding = TokenizerEncoding(tokenizer, card.mask_id, surround=said.surround)
    return Beside(encoding, tuple(said.end_ids), said.template, strategy)


def check_size(encoding: Encoding, size: int) -> None:
    """Raise ModelError for a tokenizer of another model than that of `size` ids."""
    if encoding.size > size or 2 * encoding.size < size:
        raise ModelError(
            f"the tokenizer has ids up to {encoding.size - 1}, and the network {size} ids: it is "
            "of another model; pass the one that the network was trained with, as tokenizer="
        )
