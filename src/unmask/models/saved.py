"""Denoisers of the folders that `unmask.save` wrote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from unmask.core.optional import library
from unmask.errors import CheckpointError
from unmask.models.adapter import Adapter
from unmask.models.checkpoint import (
    CARD,
    TRANSFORMERS,
    WEIGHTS,
    Card,
    locate,
    read_card,
    safetensors,
    without_bars,
)
from unmask.models.forwarding import Forwarding
from unmask.models.registry import DECODER, Entry, check_entries, made
from unmask.models.self_conditioning import SelfConditioning
from unmask.models.wrap import wrap


def load_saved(model: str | Path, net: nn.Module | None = None) -> Adapter | Forwarding:
    """Return the denoiser of a bundled name or of a folder that `save` wrote, as `unmask.load`."""
    folder, card = locate(model), read_card(model)
    classes = (
        [] if card.classes is None else [{"name": "ClassConditioned", "classes": card.classes}]
    )
    decoder, wrappers = _layers(folder, card)
    adapter = _adapter(folder, card, net, decoder)
    if adapter.spec.vocab_size != card.vocab_size:
        raise CheckpointError(
            f"{folder}: {CARD} says {card.vocab_size} ids, the network has "
            f"{adapter.spec.vocab_size}"
        )
    adapter.spec = replace(
        adapter.spec,
        recommended=card.about.get("preset"),
        grid=card.grid,
        end_id=card.end_id,
        reserved=card.absent,
    )
    denoiser: Adapter | Forwarding = adapter.eval()
    for entry in [*classes, *wrappers]:
        denoiser = made(folder / CARD, entry, denoiser)
    return denoiser.eval()


def _layers(folder: Path, card: Card) -> tuple[Entry | None, list[Entry]]:
    """Return the entry of the decoder, None for other networks, and those of wrappers."""
    entries = card.adapters
    check_entries(folder / CARD, entries)
    if not entries or entries[0]["name"] != DECODER.name:
        return None, entries
    if card.backbone != TRANSFORMERS:
        raise CheckpointError(
            f"{folder / CARD} has a Decoder of a {card.backbone}: its backbone is {TRANSFORMERS!r}"
        )
    return entries[0], entries[1:]


def _adapter(folder: Path, card: Card, net: nn.Module | None, decoder: Entry | None) -> Adapter:
    """Return the network of a folder as a denoiser."""
    names = ("forbidden", "length", "logit_shift")
    options: dict[str, Any] = {name: getattr(card, name) for name in names}
    if card.backbone != TRANSFORMERS:
        return _into(net, folder, card, options)
    if net is not None:
        raise CheckpointError(f"{folder} stores the network itself: leave net out")
    if decoder is None:
        return wrap(_pretrained(folder, "AutoModelForMaskedLM"), mask_id=card.mask_id, **options)
    attention = {} if card.attention is None else {"attn_implementation": card.attention}
    causal = _pretrained(folder, "AutoModelForCausalLM", **attention)
    found: Adapter = made(folder / CARD, decoder, causal.eval(), card.mask_id, **options)
    return found


def _into(net: nn.Module | None, folder: Path, card: Card, options: dict[str, Any]) -> Adapter:
    """Return a denoiser of the network, with the weights of a folder read into it."""
    if net is None:
        raise CheckpointError(
            f"{folder} has the weights of a {card.backbone}: make one and pass it, as in "
            "unmask.load(folder, net=...)"
        )
    if type(net).__qualname__ != card.backbone:
        raise CheckpointError(
            f"{folder} has the weights of a {card.backbone}, and net is a "
            f"{type(net).__qualname__}: pass a {card.backbone}"
        )
    width = card.self_conditioning
    parts = None if width is None else SelfConditioning(width)
    options |= {"vocab_size": card.vocab_size, "self_conditioning": parts}
    denoiser = wrap(net, mask_id=card.mask_id, try_network=False, **options)
    with _reading(folder):
        safetensors().load_model(denoiser, str(folder / WEIGHTS))
    denoiser.settle()  # by the weights that were read
    return denoiser


def _pretrained(folder: Path, kind: str, **options: Any) -> Any:
    """Return a network of transformers. kind: the class that opens it."""
    transformers = library("transformers", "hf", "this model needs transformers")
    options |= {"local_files_only": True, "use_safetensors": True, "trust_remote_code": False}
    with without_bars(), _reading(folder):
        net, found = getattr(transformers, kind).from_pretrained(
            str(folder), output_loading_info=True, **options
        )
    wrong = {name: sorted(map(str, keys)) for name, keys in found.items() if keys}
    if wrong:
        raise CheckpointError(f"{folder / WEIGHTS} has the weights of another network: {wrong}")
    return net


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Raise CheckpointError for whatever reading the weights raises."""
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(f"{folder} has no {WEIGHTS}: the folder is incomplete")
    try:
        yield
    except Exception as error:
        raise CheckpointError(
            f"{folder / WEIGHTS} cannot be read, perhaps cut short or of another network: {error}"
        ) from error
