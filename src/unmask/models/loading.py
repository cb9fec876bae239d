"""`load`: the denoiser of a bundled name, a folder, or a repository of the hub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from unmask.core.checks import check_path
from unmask.core.files import previous
from unmask.errors import ArgumentError, ModelError
from unmask.models.adapter import Adapter
from unmask.models.checkpoint import CARD, Card, bundled, locate, read_card
from unmask.models.families import Files, Found, open_pretrained, recognise
from unmask.models.families.files import CONFIG
from unmask.models.forwarding import Forwarding
from unmask.models.saved import load_saved

LOADING = ("dtype", "device_map", "attn_implementation")
FILES = ("revision", "subfolder", "cache_dir", "token", "local_files_only")
OPTIONS = ("net", "family", "mask_id", "block", "trust_remote_code", *LOADING, *FILES)
"""The arguments of `load` beside the model."""
REPOSITORY = r"[\w-][\w.-]*/[\w.-]+"
"""Names of repositories, of an owner and a model."""


def load(
    model: str | Path,
    *,
    net: nn.Module | None = None,
    family: str | None = None,
    mask_id: int | None = None,
    block: int | None = None,
    trust_remote_code: bool = False,
    dtype: Any = None,
    device_map: Any = None,
    attn_implementation: str | None = None,
    revision: str | None = None,
    subfolder: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
) -> Adapter | Forwarding:
    """Return the denoiser of a model, in evaluation mode.

    model: a bundled name ("digits", "shakespeare", "shidoku", "sudoku"), a folder that
    `unmask.save` wrote, a folder of transformers', or a repository of its hub, such as
    "GSAI-ML/LLaDA-8B-Instruct".

    Of a folder that `unmask.save` wrote: net, the network that the weights are loaded into, with
    their dtypes, if it is not transformers'. dtype, device_map and attn_implementation apply to
    networks of transformers in any folder.

    Of transformers' models, the kind is found in `config.json`: a `*ForMaskedLM`, or a family of
    the catalogue (`unmask.models.families.CATALOGUE`), which runs in a class of transformers' own.
    family, mask_id, block: the row of the catalogue, the id of unknown positions, and the positions
    of a block of block-causal attention, where the files do not say them. trust_remote_code: allow
    the code of a model of no known family to be run. The others are arguments of transformers'
    `from_pretrained`; nothing is copied, and weights are renamed while they are read.

    Raises CheckpointError for a missing, truncated or foreign model, ModelError for an unknown
    kind, and for options that do not apply.
    """
    options = dict(locals())
    return recognised(options.pop("model"), options).open()


@dataclass(frozen=True)
class Recognised:
    """A model before a weight is read, each of its files read once.

    files, found: of transformers' models, None for others. folder, card: of what `unmask.save`
    wrote, None for others. loading: arguments of transformers' `from_pretrained`.
    """

    files: Files | None
    found: Found | None
    folder: Path | None
    card: Card | None
    net: nn.Module | None
    loading: Mapping[str, Any]

    def open(self) -> Adapter | Forwarding:
        """Return the denoiser, in evaluation mode. Raises as `load` does."""
        if self.files is not None and self.found is not None:
            return open_pretrained(self.files, self.found, self.loading)
        assert self.folder is not None
        assert self.card is not None
        return load_saved(self.folder, self.card, self.net, self.loading)


def recognised(model: str | Path, options: Mapping[str, Any]) -> Recognised:
    """Return what is known of a model before its weights are read. options: as of `load`.

    Raises as `load` does, but for what is wrong with the weights.
    """
    check_path("model", model)
    for name in options:
        if name not in OPTIONS:
            raise ArgumentError.unknown("load", name, OPTIONS, OPTIONS)
    # By identity, for the id 0 may be a mask.
    given = {k: v for k, v in options.items() if all(v is not each for each in (None, False))}
    loading = {name: given.pop(name) for name in LOADING if name in given}
    net = given.pop("net", None)
    if not is_pretrained(model):
        for name, value in given.items():
            raise ModelError(
                f"{name}={value!r}: {model} is a folder of unmask.save, to which it does not apply"
            )
        return Recognised(None, None, locate(model), read_card(model), net, loading)
    if net is not None:
        raise ModelError(f"net={net!r}: {model} is a model of transformers, which opens its own")
    files = Files(str(model), {name: given.pop(name) for name in FILES if name in given})
    return Recognised(files, recognise(files, **given), None, None, None, loading)


def is_pretrained(model: str | Path) -> bool:
    """Return whether this is a folder of transformers', or the name of a repository."""
    name, folder = str(model), Path(model)
    if name in bundled() or (folder / CARD).exists() or previous(folder.resolve()).is_dir():
        return False
    if folder.exists():
        return (folder / CONFIG).exists()
    return isinstance(model, str) and re.fullmatch(REPOSITORY, name) is not None
