"""The kind of a model, found from its files before a weight is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unmask.core.checks import check_count, is_integer
from unmask.errors import CheckpointError, ModelError, nearest
from unmask.models.families.catalogue import CATALOGUE
from unmask.models.families.family import Family
from unmask.models.families.files import Files, library, special_ids

ASKED = "as asked for"
AUTOMATIC = ("AutoModelForMaskedLM", "AutoModelForCausalLM", "AutoModel")
"""Classes of transformers that a model's own code is registered for, the best one first."""


@dataclass(frozen=True)
class Found:
    """The kind of a model.

    family: the row of the catalogue, None for others. stock: the class of transformers that opens
    it; remote: whether that runs code of the model's authors. end_ids, reserved: ids that end a
    text, and other special ids. block: positions of a block, None for bidirectional attention.
    mask_id: None where the network has none. reasons: where each was found, in words. tokenizer:
    that of the files, None where none opens.
    """

    family: Family | None
    stock: str
    remote: bool
    mask_id: int | None
    end_ids: tuple[int, ...]
    reserved: tuple[int, ...]
    block: int | None
    reasons: Mapping[str, str]
    tokenizer: Any

    def recommended(self, files: Files) -> Any:
        """Return the authors' decoding as a preset, a dict; None of a model of no family."""
        row = self.family
        return None if row is None else row.recommended(self.block, files.generation)


def recognise(
    files: Files,
    *,
    family: str | None = None,
    mask_id: int | None = None,
    block: int | None = None,
    trust_remote_code: bool = False,
) -> Found:
    """Return the kind of a model. Arguments as in `unmask.load`, which go before the files.

    Raises ModelError for an unknown kind, and where no mask id is found.
    """
    row, why = family_of(files.config, family)
    stock, remote = row.stock if row else _masked(files.config), False
    if stock is None:
        stock, remote = _remote(files.config) if trust_remote_code else None, True
        why = f"code of its authors, for {stock}"
    if stock is None:
        raise ModelError(f"{files.name}: {_unknown(files.config)}")
    if block is not None and row is None:
        raise ModelError(f"block={block!r}: {stock} attends to all positions; leave block out")
    tokenizer = files.tokenizer(*(row.tokenizers if row else ()))
    reasons = {"kind": why}
    mask, reasons["mask_id"] = _mask_id(files, tokenizer, row, mask_id)
    ends, reasons["end_ids"] = _end_ids(files)
    if row is not None and (block is not None or row.default_block is not None):
        block, reasons["block"] = _block(files.config, row, block)
    reserved = tuple(each for each in special_ids(tokenizer) if each not in {mask, *ends})
    return Found(row, stock, remote, mask, ends, reserved, block, reasons, tokenizer)


def family_of(config: Mapping[str, Any], asked: str | None = None) -> tuple[Family | None, str]:
    """Return the row of the catalogue, None for a masked language model, and the reason."""
    rows = {row.name: row for row in CATALOGUE}
    if asked is not None:
        if asked not in rows:
            raise ModelError(f"family={asked!r}: {nearest(str(asked), rows)}")
        return rows[asked], ASKED
    kind, classes = config.get("model_type"), config.get("architectures") or [""]
    for row in CATALOGUE:
        named = str(classes[0]).startswith(row.architecture)
        marked = all(config.get(name, ...) == value for name, value in row.marks.items())
        if kind in row.model_types and named and marked:
            marks = "".join(f", {name} {value!r}" for name, value in row.marks.items())
            marks += f", architecture {classes[0]!r}" if row.architecture else ""
            return row, f"model_type {kind!r}{marks} in config.json"
    return None, f"model_type {kind!r} in config.json"


def _masked(config: Mapping[str, Any]) -> str | None:
    """Return the `*ForMaskedLM` of a model_type that transformers knows."""
    library()
    from transformers.models.auto import modeling_auto

    return modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES.get(str(config.get("model_type")))


def _remote(config: Mapping[str, Any]) -> str | None:
    """Return the class that code of the model's authors is registered for."""
    known = config.get("auto_map") or {}
    return next((name for name in AUTOMATIC if name in known), None)


def _unknown(config: Mapping[str, Any]) -> str:
    """Return the message on files of an unknown kind, with the ways to go on."""
    from transformers.models.auto import modeling_auto

    kind = str(config.get("model_type"))
    causal = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(kind)
    found = f"model_type={kind!r}, architectures={config.get('architectures')}"
    if causal is not None:
        alike = [row.name for row in CATALOGUE if row.stock == causal]
        ways = " or ".join(f"family={name!r}" for name in alike)
        return (
            f"{found} is a left-to-right model. If it was trained as a masked one, pass "
            f"{ways + ', or ' if ways else ''}unmask.models.Decoder(net, mask_id) around it; to "
            "make it one, train it by unmask train --from MODEL --convert, or open it by "
            "unmask.convert, and train it on"
        )
    if _remote(config):
        return (
            f"{found} is code of its authors, who trust_remote_code=True would let do anything "
            f"here; a model of a known kind opens without it, by family= one of "
            f"{', '.join(row.name for row in CATALOGUE)}"
        )
    return (
        f"{found} is no masked language model of transformers, and in no family of the catalogue: "
        f"pass family=, one of {', '.join(row.name for row in CATALOGUE)}, or wrap a network by "
        "unmask.wrap"
    )


def _mask_id(
    files: Files, tokenizer: Any, row: Family | None, asked: int | None
) -> tuple[int | None, str]:
    if row is not None and row.canvases:
        if asked is not None:
            raise ModelError(f"mask_id={asked!r}: {row.models} has no mask id; leave it out")
        return None, f"none in {row.models}"
    if asked is not None:
        if not is_integer(asked, 0):
            raise ModelError(f"mask_id={asked!r}: pass an id")
        return asked, ASKED
    places = {"config.json": files.config, "generation_config.json": files.generation}
    for name, entries in places.items():
        if is_integer(known := entries.get("mask_token_id"), 0):
            return known, f"mask_token_id in {name}"
    if (own := getattr(tokenizer, "mask_token_id", None)) is not None:
        return int(own), "the mask token of the tokenizer"
    size = files.config.get("embedding_size") or files.config.get("vocab_size") or 0
    if row is not None and row.default_mask_id is not None and row.default_mask_id < size:
        return row.default_mask_id, f"that of {row.models}"
    raise ModelError(
        f"{files.name} names no mask token: pass mask_id= (--mask-id on the command line), the id "
        "that stood at unknown positions in training (there is no unmask.json, which would say it, "
        "either)"
    )


def _end_ids(files: Files) -> tuple[tuple[int, ...], str]:
    places = {
        "generation_config.json": files.generation,
        "config.json": files.config,
        "text_config in config.json": files.config.get("text_config") or {},
    }
    for name, entries in places.items():
        found = entries.get("eos_token_id")
        if found is not None:
            ids = found if isinstance(found, list) else [found]
            if not all(is_integer(each, 0) for each in ids):
                raise CheckpointError(
                    f"{files.name}: {name} has eos_token_id={found!r}, which is an id, or a list "
                    "of ids, in models of transformers"
                )
            return tuple(ids), f"eos_token_id in {name}"
    return (), "no file names one"


def _block(config: Mapping[str, Any], row: Family, asked: int | None) -> tuple[Any, str]:
    if asked is not None:
        check_count("block", asked, ModelError)
        return asked, ASKED
    for name in ("block_size", "bd_size", "canvas_length"):
        if is_integer(known := config.get(name), 1):
            return known, f"{name} in config.json"
    return row.default_block, f"that of {row.models}"
