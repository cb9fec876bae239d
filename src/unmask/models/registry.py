"""The adapters and wrappers that a model's card may name, with their options.

A card has a list of entries, the innermost denoiser first, such as
[{"name": "Decoder", "block": 32}, {"name": "BlockCache"}].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from unmask.errors import CheckpointError, ModelError, UnmaskError, nearest
from unmask.models.cached import BlockCache, ReusedCache
from unmask.models.captured import Captured
from unmask.models.compiled import Compiled
from unmask.models.conditioning import ClassConditioned
from unmask.models.decoder import Decoder
from unmask.models.diffusion_gemma import DiffusionGemma
from unmask.models.dit import DiT
from unmask.models.forwarding import Forwarding
from unmask.models.packing import Packed

DIT = "DiTForMaskedLM"
"""The class of `models/dit.py`, which is none of transformers' own."""
Entry = dict[str, Any]
"""The name of a kind, and its options."""


@dataclass(frozen=True)
class Kind:
    """A class that takes a network or a denoiser first, and options that are JSON values."""

    make: type[Any]
    options: Mapping[str, str] = field(default_factory=dict)
    """Arguments of the class, and the attributes that hold their values."""
    opened_by: str | None = None
    """The class that opens the network within: transformers' or DIT; None for wrappers."""
    of_card: tuple[str, ...] = ()
    """Entries of the card that are arguments, too."""

    @property
    def name(self) -> str:
        """The name in a card."""
        return self.make.__name__


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            Decoder,
            {"block": "block"},
            "AutoModelForCausalLM",
            ("mask_id", "forbidden", "length", "logit_shift"),
        ),
        Kind(DiffusionGemma, {"canvas": "canvas"}, "DiffusionGemmaForBlockDiffusion"),
        Kind(DiT, {"block": "block"}, DIT, ("mask_id",)),
        Kind(ClassConditioned, {"classes": "classes"}),
        Kind(Packed, {"length": "packed_length"}),
        Kind(BlockCache),
        Kind(ReusedCache, {"block": "block", "reuse": "reuse"}),
        Kind(Compiled, {"mode": "mode", "backend": "backend"}),
        Kind(Captured, {"after": "after", "most": "most"}),
    )
}


def network_of(entries: list[Entry]) -> Kind | None:
    """Return the kind of the first entry, if it is made of a network of transformers."""
    kind = KINDS[entries[0]["name"]] if entries else None
    return None if kind is None or kind.opened_by is None else kind


def entry_of(denoiser: Any) -> Entry:
    """Return the entry of a denoiser. Raises ModelError if it has none that can be written."""
    kind = KINDS.get(type(denoiser).__name__)
    if kind is None or type(denoiser) is not kind.make:
        name, wraps = type(denoiser).__name__, isinstance(denoiser, Forwarding)
        within = (
            "save the denoiser within it" if wraps else "write it by net.save_pretrained(folder)"
        )
        raise ModelError(
            f"{name} cannot be saved, for a card names {', '.join(KINDS)} only: {within}, and make "
            f"the {name} again after loading"
        )
    options = {name: attrgetter(place)(denoiser) for name, place in kind.options.items()}
    for name, value in options.items():
        if not isinstance(value, str | int | None):
            raise ModelError(
                f"{kind.name} with {name}={value!r} cannot be saved: pass a name or a number as "
                f"{name}, or save the denoiser within it"
            )
    return {"name": kind.name, **options}


def layers_of(denoiser: Any) -> tuple[Any, list[Entry]]:
    """Return the adapter within all wrappers, and the entries of the wrappers, innermost first."""
    entries: list[Entry] = []
    while isinstance(denoiser, Forwarding):
        entries.insert(0, entry_of(denoiser))
        denoiser = denoiser.inner
    return denoiser, entries


def check_entries(where: object, entries: list[Entry]) -> None:
    """Raise CheckpointError for entries of no kind, or with options of another. where: the card."""
    for entry in entries:
        name = entry.get("name")
        if not isinstance(name, str) or name not in KINDS:
            raise CheckpointError(
                f"{where} has an unknown adapter {name!r}: {nearest(str(name), KINDS)}"
            )
        known = KINDS[name].options
        for option in entry.keys() - known.keys() - {"name"}:
            advice = nearest(option, known) if known else "it takes none"
            raise CheckpointError(f"{where}: {name} has no option {option!r}: {advice}")
        for option in known.keys() - entry.keys():
            raise CheckpointError(f"{where} is incomplete: {name} has no {option!r}")
        if KINDS[name].opened_by is not None and entry is not entries[0]:
            raise CheckpointError(
                f"{where} has {name} around another denoiser: it is the first of adapters, as in "
                "[{'name': 'Decoder', 'block': 32}, {'name': 'BlockCache'}]"
            )


def made(where: object, entry: Entry, inner: Any, **fixed: Any) -> Any:
    """Return the denoiser of an entry. Raises CheckpointError where it does not fit `inner`."""
    options = {name: value for name, value in entry.items() if name != "name"}
    try:
        return KINDS[entry["name"]].make(inner, **options, **fixed)
    except (UnmaskError, TypeError) as error:
        raise CheckpointError(
            f"{where}: {entry} does not fit a {type(inner).__name__}: {error}"
        ) from error
