"""What the files of a base say, before a weight is read."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from unmask.data.tokenizer import load_tokenizer
from unmask.errors import ModelError
from unmask.models.families import Files
from unmask.models.families.files import CONFIG
from unmask.models.loading import Recognised, recognised
from unmask.text.converting import Convertible, convertible
from unmask.training.recipe import BaseOptions

POSITIONS = ("max_sequence_length", "max_position_embeddings", "model_length")


def known_of(options: BaseOptions, dtype: str | None) -> Recognised:
    """Return what is known of the model of a recipe's entry `base`.

    dtype: of its weights, where the options do not say it. Raises as `unmask.load` does, or
    `unmask.convert`; ModelError for options of conversion without it, and for others beside it.
    """
    _check_conversion(options)
    name, dtype = str(options.model), options.dtype or dtype
    if not options.convert:
        given = asdict(options)
        for each in ("model", "tokenizer", "convert", "logit_shift"):
            del given[each]
        return recognised(name, {**given, "dtype": dtype})
    loading = {"dtype": dtype, "revision": options.revision}
    return convertible(
        name,
        tokenizer=None if options.tokenizer is None else load_tokenizer(options.tokenizer).backend,
        mask_id=options.mask_id,
        block=options.block,
        logit_shift=options.logit_shift is not False,
        options={name: value for name, value in loading.items() if value is not None},
    )


def _check_conversion(options: BaseOptions) -> None:
    if not options.convert and options.logit_shift is not None:
        raise ModelError(
            f"base.logit_shift={options.logit_shift} is of a model to be converted, and others "
            "have one or not: leave it out, or pass base.convert=true (--convert)"
        )
    for name in ("family", "trust_remote_code"):
        value = getattr(options, name)
        if options.convert and value:
            raise ModelError(
                f"base.{name}={value!r} beside base.convert=true: a left-to-right model is opened "
                "by transformers' own class; leave it out"
            )


def size_of(known: Recognised) -> int:
    """Return the number of ids of a network; of one to be converted, as it will be."""
    if known.card is not None:
        return known.card.vocab_size
    assert known.files is not None
    config = known.files.config
    entries: dict[str, Any] = {**(config.get("text_config") or {}), **config}
    size = int(entries.get("embedding_size") or entries["vocab_size"])
    mask = known.found.mask_id if isinstance(known, Convertible) and known.found else None
    return size if mask is None else max(size, mask + 1)


def positions_of(known: Recognised) -> int | None:
    """Return the positions of a network; None where its files do not say it."""
    card, folder, files = known.card, known.folder, known.files
    if card is not None and card.length is not None:
        return card.length
    if folder is not None and (folder / CONFIG).is_file():
        files = Files(str(folder))
    config = {} if files is None else files.config
    found = [config[name] for name in POSITIONS if isinstance(config.get(name), int)]
    return min(found, default=None)
