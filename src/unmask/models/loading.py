"""`load`: the denoiser of a bundled name, a folder, or a repository of the hub."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from torch import nn

from unmask.core.checks import check_path
from unmask.core.files import previous
from unmask.errors import ModelError
from unmask.models.adapter import Adapter
from unmask.models.checkpoint import CARD, bundled
from unmask.models.families import open_pretrained, recognise
from unmask.models.families.files import CONFIG, Files
from unmask.models.forwarding import Forwarding
from unmask.models.saved import load_saved

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

    model: a bundled name ("digits", "shidoku", "sudoku"), a folder that `unmask.save` wrote, a
    folder of transformers', or a repository of its hub, such as "GSAI-ML/LLaDA-8B-Instruct".

    Of a folder that `unmask.save` wrote: net, the network that the weights are loaded into, if it
    is not transformers'.

    Of transformers' models, the kind is found in `config.json`: a `*ForMaskedLM`, or a family of
    the catalogue (`unmask.models.families.CATALOGUE`), which runs in a class of transformers' own.
    family, mask_id, block: the row of the catalogue, the id of unknown positions, and the positions
    of a block of block-causal attention, where the files do not say them. trust_remote_code: allow
    the code of a model of no known family to be run. The others are arguments of transformers'
    `from_pretrained`; nothing is copied, and weights are renamed while they are read.

    Raises CheckpointError for a missing, truncated or foreign model, ModelError for an unknown
    kind, and for options that do not apply.
    """
    check_path("model", model)
    kind: dict[str, Any] = {"family": family, "mask_id": mask_id, "block": block}
    kind["trust_remote_code"] = trust_remote_code or None
    loading = {
        "dtype": dtype,
        "device_map": device_map,
        "attn_implementation": attn_implementation,
    }
    files = {
        "revision": revision,
        "subfolder": subfolder,
        "cache_dir": cache_dir,
        "token": token,
        "local_files_only": local_files_only or None,
    }
    if not is_pretrained(model):
        _refuse(f"{model} is a folder of unmask.save", {**kind, **loading, **files})
        return load_saved(model, net)
    _refuse(f"{model} is a model of transformers", {"net": net})
    known = Files(str(model), _given(files))
    return open_pretrained(known, recognise(known, **_given(kind)), _given(loading))


def is_pretrained(model: str | Path) -> bool:
    """Return whether this is a folder of transformers', or the name of a repository."""
    name, folder = str(model), Path(model)
    if name in bundled() or (folder / CARD).exists() or previous(folder.resolve()).is_dir():
        return False
    if folder.exists():
        return (folder / CONFIG).exists()
    return isinstance(model, str) and re.fullmatch(REPOSITORY, name) is not None


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _refuse(what: str, options: dict[str, Any]) -> None:
    """Raise ModelError for options that were given."""
    for name in _given(options):
        raise ModelError(f"{name}={options[name]!r}: {what}, to which it does not apply")
