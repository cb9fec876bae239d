"""Models of a known kind as denoisers, opened in classes of transformers."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, cast

from unmask.errors import CheckpointError, ModelError
from unmask.models.adapter import Adapter
from unmask.models.checkpoint import without_bars
from unmask.models.decoder import Decoder
from unmask.models.diffusion_gemma import DiffusionGemma
from unmask.models.dit import DiT, dit_class
from unmask.models.families.family import Family
from unmask.models.families.files import Files, library
from unmask.models.families.recognition import Found
from unmask.models.families.remote import RemoteNetwork
from unmask.models.families.renaming import reading_class, settled
from unmask.models.wrap import wrap

_AUTHORS = {
    *("architectures", "auto_map", "model_type", "transformers_version"),
    *("attn_implementation", "torch_dtype", "dtype"),
}
"""Entries of a config that are about its authors' code, or about reading."""


def open_pretrained(files: Files, found: Found, loading: Mapping[str, Any]) -> Adapter:
    """Return the denoiser of a model that `recognise` found, in evaluation mode.

    loading: arguments of `from_pretrained` beside those of the files, such as dtype, device_map.
    Raises CheckpointError for weights that are missing, cut short, or of another network.
    """
    options = {**files.options, **loading}
    row, mask = found.family, found.mask_id
    adapter: Adapter
    if row is not None:
        net = _stock(files, row, options)
        block, shift = found.block, row.logit_shift
        if row.own:
            adapter = DiT(net, cast("int", mask), block=block)
        elif row.canvases:
            adapter = DiffusionGemma(net, block)
        else:
            adapter = Decoder(net, cast("int", mask), block=block, logit_shift=shift)
    elif found.remote:
        adapter = wrap(_code_of_others(files, found.stock, options), mask_id=mask)
    else:
        net = read_network(getattr(library(), found.stock), files, options)
        adapter = wrap(net, mask_id=found.mask_id)
    size = adapter.spec.vocab_size
    ends = tuple(each for each in found.end_ids if each < size)
    adapter.spec = replace(
        adapter.spec,
        recommended=found.recommended(files),
        end_id=next(iter(ends), None),
        other_ends=ends[1:],
        reserved=tuple(each for each in found.reserved if each < size),
    )
    return adapter.eval()


def _stock(files: Files, family: Family, options: Mapping[str, Any]) -> Any:
    """Return the network of a family, in the stock class."""
    kind = files.config.get("model_type")
    stock = dit_class(str(kind)) if family.own else getattr(library(), family.stock)
    given = {name: value for name, value in files.config.items() if name not in _AUTHORS}
    if given.get("rope_scaling", 0) is None:
        del given["rope_scaling"]  # an older word, of which transformers would warn
    try:
        config = stock.config_class(**family.config(given))
    except Exception as error:  # ours, of entries that are not there, and of transformers' checks
        raise ModelError(
            f"{files.name} is not as {family.models}, which {family.stock} can run: {error}"
        ) from error
    reader, mapping = reading_class(stock, family)
    return settled(read_network(reader, files, {**options, **mapping, "config": config}), stock)


def _code_of_others(files: Files, kind: str, options: Mapping[str, Any]) -> RemoteNetwork:
    """Return a network that is code of its authors."""
    try:
        reader = getattr(library(), kind)
        return RemoteNetwork(read_network(reader, files, {**options, "trust_remote_code": True}))
    except CheckpointError as error:
        theirs, ours = files.config.get("transformers_version"), library().__version__
        raise CheckpointError(
            f"{error}. Its code is of its authors, who used transformers {theirs}; this is {ours}"
        ) from error


def read_network(kind: Any, files: Files, options: Mapping[str, Any]) -> Any:
    """Return a network with all of its weights. Raises CheckpointError where some are not there."""
    try:
        with nullcontext() if sys.stderr.isatty() else without_bars():
            net, told = kind.from_pretrained(files.name, output_loading_info=True, **options)
    except Exception as error:  # of many kinds: of files, shards, sizes and devices
        raise CheckpointError(
            f"{files.name} cannot be opened by {kind.__name__}: {error}"
        ) from error
    unread = ["unexpected_keys"] if "config" in options else []  # a stock class reads all there is
    for what in ("missing_keys", "mismatched_keys", *unread):
        if names := sorted(map(str, told.get(what, ()))):
            raise CheckpointError(
                f"{files.name}: {len(names)} weights are {what.removesuffix('_keys')} in "
                f"{kind.__name__}, such as {names[0]}: a part is missing, or is of another model"
            )
    return net
