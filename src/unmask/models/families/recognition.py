"""The kind of a model, found from its files before any weight is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unmask.core.checks import check_count, is_integer
from unmask.errors import ModelError, nearest
from unmask.models.families.catalogue import CATALOGUE
from unmask.models.families.family import Family
from unmask.models.families.files import Files, library

MASKED = "masked language model"


@dataclass(frozen=True)
class Found:
    """What the files of a model are.

    family: the row of the catalogue, None for a transformers `*ForMaskedLM`. stock: the class that
    runs it. mask_id and end_ids: ids, with `sources`, the place each was read from.
    block: positions of a block, None for bidirectional attention.
    """

    family: Family | None
    stock: str
    mask_id: int
    end_ids: tuple[int, ...]
    block: int | None
    sources: Mapping[str, str]


def recognise(
    files: Files,
    *,
    family: str | None = None,
    mask_id: int | None = None,
    block: int | None = None,
) -> Found:
    """Return what these files are. family, mask_id, block: what the user says, before the files.

    Raises ModelError for files of an unknown kind, or ids that are nowhere.
    """
    config = files.config()
    row, why = _family(files, config, family)
    stock, known = (_masked_class(config), None) if row is None else (row.stock, row)
    if stock is None:
        raise ModelError(_unknown(files, config))
    if block is not None and known is None:
        raise ModelError(f"block={block!r}: a {stock} attends to all positions: leave it out")
    sources = {"family": why}
    mask, sources["mask_id"] = _mask_id(files, config, known, mask_id)
    ends, sources["end_ids"] = _end_ids(files, config)
    if known is not None:
        block, sources["block"] = _block(config, known, block)
    return Found(known, stock, mask, ends, block, sources)


def _family(
    files: Files, config: Mapping[str, Any], asked: str | None
) -> tuple[Family | None, str]:
    """Return the row of the catalogue, None for a masked language model, and the reason."""
    names = [row.name for row in CATALOGUE]
    if asked is not None:
        if asked not in names:
            raise ModelError(f"family={asked!r}: {nearest(str(asked), names)}")
        return CATALOGUE[names.index(asked)], "as asked for"
    kind, classes = config.get("model_type"), [*(config.get("architectures") or [])]
    for row in CATALOGUE:
        fits = not row.architecture or any(each.startswith(row.architecture) for each in classes)
        if row.model_type is not None and row.model_type == kind and fits:
            told = f", architectures {classes}" if row.architecture else ""
            return row, f"model_type {kind!r}{told} in config.json"
    if kind == "qwen2" and config.get("is_causal") is False:
        return CATALOGUE[names.index("open_dllm")], "model_type 'qwen2', is_causal false"
    return None, f"model_type {kind!r} in config.json"


def _masked_class(config: Mapping[str, Any]) -> str | None:
    """Return the `*ForMaskedLM` of a model_type that transformers knows."""
    library()
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as known

    return known.get(config.get("model_type"))


def _unknown(files: Files, config: Mapping[str, Any]) -> str:
    """Return the message on files of an unknown kind, with the ways to go on."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL,
    )

    kind = config.get("model_type")
    found = f"{files.name} has model_type={kind!r}, architectures={config.get('architectures')}"
    if kind in CAUSAL:
        alike = [row.name for row in CATALOGUE if row.stock == CAUSAL[kind]]
        ways = f", such as family={alike[0]!r}" if alike else ""
        return (
            f"{found}: a left-to-right model. If it was trained as a masked one, say which kind"
            f"{ways}, or wrap it: unmask.models.Decoder(net, mask_id)"
        )
    if "auto_map" in config:
        return (
            f"{found}: its network is code of its authors. To run that code, which can do "
            "anything, pass trust_remote_code=True; a model of a known family opens by family="
        )
    return f"{found}: no family of the catalogue, and no masked language model of transformers"


def _mask_id(
    files: Files, config: Mapping[str, Any], row: Family | None, asked: int | None
) -> tuple[int, str]:
    size = config.get("vocab_size") or config.get("embedding_size")
    if asked is not None:
        if not is_integer(asked, 0):
            raise ModelError(f"mask_id={asked!r}: pass an integer id")
        return int(asked), "as asked for"
    for name, entries in (("config.json", config), ("generation_config.json", files.generation())):
        if is_integer(entries.get("mask_token_id")):
            return entries["mask_token_id"], f"mask_token_id in {name}"
    known = getattr(files.tokenizer(), "mask_token_id", None)
    if known is not None:
        return int(known), "the tokenizer's mask token"
    default = None if row is None else row.default_mask_id
    if default is not None and (size is None or default < size):
        assert row is not None
        return default, f"the code of the authors of {row.models}"
    raise ModelError(
        f"{files.name} says of no id that it is the mask token: pass mask_id=, the id of unknown "
        "positions in training"
    )


def _end_ids(files: Files, config: Mapping[str, Any]) -> tuple[tuple[int, ...], str]:
    for name, entries in (("generation_config.json", files.generation()), ("config.json", config)):
        found = entries.get("eos_token_id")
        if found is not None:
            ids = tuple(found) if isinstance(found, list) else (found,)
            return tuple(int(each) for each in ids), f"eos_token_id in {name}"
    return (), "none is named"


def _block(
    config: Mapping[str, Any], row: Family, asked: int | None
) -> tuple[int | None, str]:
    if asked is not None:
        check_count("block", asked, ModelError)
        return asked, "as asked for"
    if row.default_block is None:
        return None, f"attention of {row.models} is bidirectional"
    for name in ("block_size", "bd_size"):
        if is_integer(config.get(name), 1):
            return config[name], f"{name} in config.json"
    return row.default_block, f"the code of the authors of {row.models}"
