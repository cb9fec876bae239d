"""Models of a known kind as denoisers, opened in classes of transformers."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any, cast

import torch

from unmask.errors import CheckpointError, ModelError
from unmask.models.adapter import Adapter
from unmask.models.checkpoint import without_bars
from unmask.models.decoder import Decoder
from unmask.models.diffusion_gemma import DiffusionGemma
from unmask.models.dit import DiT, dit_class
from unmask.models.families.family import Family
from unmask.models.families.files import CONFIG, Files, library, quiet
from unmask.models.families.recognition import ASKED, Found
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
    with _asking(files, found):
        adapter = _opened(files, found, {**files.options, **loading})
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


def parameters(files: Files, found: Found) -> int | None:
    """Return the number of parameters of a model, of which no weight is read.

    None of a network that cannot be made without its weights. Raises ModelError for a config that
    the family cannot be.
    """
    if found.remote:
        return None
    kind: Any = _class_of(files, found)
    with _asking(files, found):
        known = None if found.family is None else _stock_config(files, found.family, kind)
    try:
        with torch.device("meta"), quiet():
            net = kind._from_config(known or kind.config_class.from_dict(files.config))
    except Exception:  # of as many kinds as there are networks
        return None
    count: int = sum(each.numel() for each in net.parameters())
    return count


def _opened(files: Files, found: Found, options: Mapping[str, Any]) -> Adapter:
    """Return the denoiser, without what the files say beside its network."""
    row, mask = found.family, found.mask_id
    adapter: Adapter
    if row is not None:
        net = _stock(files, found, row, options)
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
        net = read_network(_class_of(files, found), files, options)
        adapter = wrap(net, mask_id=found.mask_id)
    return adapter


@contextmanager
def _asking(files: Files, found: Found) -> Iterator[None]:
    """Add to errors within the block that a family was asked for, and what the files say."""
    try:
        yield
    except (CheckpointError, ModelError) as error:
        row, said = found.family, files.config
        if row is None or found.reasons["kind"] != ASKED:
            raise
        types = " or ".join(map(repr, row.model_types))
        raise type(error)(
            f"{error}. family={row.name!r} was asked for, {row.models}"
            f"{f', of model_type {types}' if types else ''}, and {CONFIG} has "
            f"model_type={said.get('model_type')!r}, architectures={said.get('architectures')}: "
            "leave family= (--family) out, or pass that of the model"
        ) from error


def _class_of(files: Files, found: Found) -> Any:
    """Return the class that opens a model: of transformers, or a network of unmask's own."""
    if found.family is not None and found.family.own:
        return dit_class(str(files.config.get("model_type")))
    return getattr(library(), found.stock)


def _stock_config(files: Files, family: Family, stock: Any) -> Any:
    """Return the config of the stock class. Raises ModelError for one that it cannot be."""
    given = {name: value for name, value in files.config.items() if name not in _AUTHORS}
    if given.get("rope_scaling", 0) is None:
        del given["rope_scaling"]  # an older word, of which transformers would warn
    try:
        return stock.config_class(**family.config(given))
    except Exception as error:  # ours, of entries that are not there, and of transformers' checks
        lacks = f"{CONFIG} has no entry {error}" if isinstance(error, KeyError) else error
        raise ModelError(
            f"{files.name} is not as {family.models}, which {family.stock} can run: {lacks}"
        ) from error


def _stock(files: Files, found: Found, family: Family, options: Mapping[str, Any]) -> Any:
    """Return the network of a family, in the stock class."""
    stock = _class_of(files, found)
    config = _stock_config(files, family, stock)
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
    """Return a network with all of its weights. Raises CheckpointError where some are not there.

    transformers' own report of weights is not shown: the error says what is in it.
    """
    try:
        with nullcontext() if sys.stderr.isatty() else without_bars(), quiet():
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
