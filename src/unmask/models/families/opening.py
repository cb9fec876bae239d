"""Models on disk or on the hub as denoisers, opened in transformers' own classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from unmask.errors import CheckpointError, ModelError
from unmask.models.adapter import Adapter
from unmask.models.decoder import Decoder
from unmask.models.families.family import Family
from unmask.models.families.files import Files, library
from unmask.models.families.recognition import Found, recognise
from unmask.models.families.renaming import reading_class, settled
from unmask.models.hf import MaskedLMDenoiser

_AUTHORS = ("architectures", "auto_map", "model_type", "transformers_version")
_AUTHORS += ("attn_implementation", "torch_dtype", "dtype")
"""Entries of a config that are about the authors' code, or about loading."""


def open_pretrained(files: Files, found: Found, loading: Mapping[str, Any]) -> Adapter:
    """Return the denoiser of files that `recognise` found.

    loading: arguments of `from_pretrained` beside those of the files, such as dtype, device_map.
    Raises CheckpointError for weights that are missing, cut short, or of another network.
    """
    options = {**files.options, **loading}
    if found.family is None:
        net = _read(getattr(library(), found.stock), files, options)
        adapter: Adapter = MaskedLMDenoiser(net, found.mask_id)
    else:
        net = _stock(files, found.family, options)
        shift = found.family.logit_shift
        adapter = Decoder(net, found.mask_id, block=found.block, logit_shift=shift)
    adapter.spec = replace(
        adapter.spec,
        recommended=None if found.family is None else found.family.recommended(found.block),
        end_id=found.end_ids[0] if found.end_ids else None,
    )
    return adapter.eval()


def _stock(files: Files, family: Family, options: Mapping[str, Any]) -> Any:
    """Return the network of a family, in the stock class."""
    stock = getattr(library(), family.stock)
    given = {name: value for name, value in files.config().items() if name not in _AUTHORS}
    try:
        config = stock.config_class(**family.config(given))
    except (ModelError, KeyError) as error:
        raise ModelError(
            f"{files.name} is not as {family.models} are, which {family.stock} runs: {error}"
        ) from error
    reader, mapping = reading_class(stock, family)
    return settled(_read(reader, files, {**options, **mapping, "config": config}), stock)


def _read(kind: Any, files: Files, options: Mapping[str, Any]) -> Any:
    """Return a network with all of its weights. Raises CheckpointError for others."""
    try:
        net, told = kind.from_pretrained(files.name, output_loading_info=True, **options)
    except Exception as error:  # of many kinds: of files, shards, sizes and devices
        raise CheckpointError(f"{files.name} cannot be opened as {kind.__name__}: {error}") from error
    ours = "config" in options  # a head that masked language models do not have may stay unread
    for what in ("missing_keys", "mismatched_keys", *(["unexpected_keys"] if ours else [])):
        names = sorted(map(str, told.get(what, ())))
        if names:
            raise CheckpointError(
                f"{files.name}: {len(names)} weights are {what.split('_')[0]} in {kind.__name__}, "
                f"such as {names[0]}: files of another model, or some of them are not there"
            )
    return net
