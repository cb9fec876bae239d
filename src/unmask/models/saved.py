"""Denoisers of the folders that `unmask.save` wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import nn

from unmask.core.optional import library
from unmask.errors import CheckpointError, ModelError
from unmask.models.adapter import Adapter
from unmask.models.buffers import cast_buffers
from unmask.models.checkpoint import (
    CARD,
    TRANSFORMERS,
    WEIGHTS,
    Card,
    safetensors,
    without_bars,
)
from unmask.models.dit import dit_class
from unmask.models.forwarding import Forwarding
from unmask.models.registry import DIT, check_entries, made, network_of
from unmask.models.self_conditioning import SelfConditioning
from unmask.models.wrap import wrap

NOTHING: Mapping[str, Any] = MappingProxyType({})


def load_saved(
    folder: Path, card: Card, net: nn.Module | None = None, loading: Mapping[str, Any] = NOTHING
) -> Adapter | Forwarding:
    """Return the denoiser of a folder that `save` wrote, as `unmask.load`.

    loading: dtype, device_map and attn_implementation, where they are asked for.
    """
    classes = (
        [] if card.classes is None else [{"name": "ClassConditioned", "classes": card.classes}]
    )
    entries = card.adapters
    check_entries(folder / CARD, entries)
    kind = network_of(entries)
    if kind is not None and card.backbone != TRANSFORMERS:
        raise CheckpointError(
            f"{folder / CARD} has a {kind.name} of a {card.backbone}: its backbone is "
            f"{TRANSFORMERS!r}"
        )
    adapter = _adapter(folder, card, net, loading)
    if "dtype" not in loading:
        cast_buffers(adapter, card.buffers, folder / CARD)
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
        other_ends=tuple(card.spec.get("other_ends", ())),
        reserved=card.absent,
    )
    denoiser: Adapter | Forwarding = adapter.eval()
    for entry in [*classes, *entries[kind is not None :]]:
        denoiser = made(folder / CARD, entry, denoiser)
    return denoiser.eval()


def _adapter(
    folder: Path, card: Card, net: nn.Module | None, loading: Mapping[str, Any]
) -> Adapter:
    """Return the network of a folder as a denoiser."""
    names = ("mask_id", "forbidden", "length", "logit_shift")
    options: dict[str, Any] = {name: getattr(card, name) for name in names}
    if card.backbone != TRANSFORMERS:
        return _into(net, folder, card, options, loading)
    if net is not None:
        raise CheckpointError(f"{folder} stores the network itself: leave net out")
    kind = network_of(card.adapters)
    if kind is None:
        return wrap(_pretrained(folder, "AutoModelForMaskedLM", loading), **options)
    attention = {} if card.attention is None else {"attn_implementation": card.attention}
    opened = _pretrained(folder, str(kind.opened_by), {**attention, **loading}).eval()
    fixed = {name: options[name] for name in kind.of_card}
    found: Adapter = made(folder / CARD, card.adapters[0], opened, **fixed)
    return found


def _into(
    net: nn.Module | None,
    folder: Path,
    card: Card,
    options: dict[str, Any],
    loading: Mapping[str, Any],
) -> Adapter:
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
    for name, value in loading.items():
        how = "net.to(dtype) after loading" if name == "dtype" else "make net so, or move it"
        raise ModelError(
            f"{name}={value!r}: the weights of {folder} are read into the net that is passed, and "
            f"transformers has no part in it: {how}"
        )
    width = card.self_conditioning
    parts = None if width is None else SelfConditioning(width)
    options |= {"vocab_size": card.vocab_size, "self_conditioning": parts}
    denoiser = wrap(net, try_network=False, **options)
    with _reading(folder):
        _take_dtypes(denoiser, folder / WEIGHTS)
        safetensors().load_model(denoiser, str(folder / WEIGHTS))
    denoiser.settle()  # by the weights that were read
    return denoiser


def _take_dtypes(denoiser: nn.Module, path: Path) -> None:
    """Give parameters and buffers the dtypes of a file, which reading would convert from."""
    safe_open = library("safetensors", "hf", "loading needs safetensors").safe_open
    own = {**dict(denoiser.named_parameters()), **dict(denoiser.named_buffers())}
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 - no dict
            part = file.get_slice(name)
            there = part[:0] if part.get_shape() else file.get_tensor(name)
            if name in own and own[name].dtype != there.dtype:
                own[name].data = own[name].data.to(there.dtype)


def _pretrained(folder: Path, kind: str, loading: Mapping[str, Any]) -> Any:
    """Return a network of transformers. kind: the class that opens it."""
    transformers = library("transformers", "hf", "this model needs transformers")
    options: dict[str, Any] = {"local_files_only": True, "use_safetensors": True}
    options |= {"trust_remote_code": False, "dtype": "auto", **loading}
    if tuple(map(int, transformers.__version__.split(".")[:2])) < (4, 56):  # its older name
        options["torch_dtype"] = options.pop("dtype")
    with without_bars(), _reading(folder):
        opener = dit_class() if kind == DIT else getattr(transformers, kind)
        net, found = opener.from_pretrained(str(folder), output_loading_info=True, **options)
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
