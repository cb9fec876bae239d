"""A data file as rows for a model: read, checked against the model's positions, and padded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unmask.cli.io.models import Model, class_count
from unmask.cli.ui.screen import waiting
from unmask.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from unmask.data import Corpus, Example
    from unmask.data.padding import Padding
    from unmask.decoding import Canvas


def read_corpus(model: Model, file: Path, length: int | None, reading: dict[str, Any]) -> Corpus:
    """Read the file; running text is cut into windows of at most the model's length."""
    from unmask import data

    known = model.card.vocabulary or {}
    if reading["tokenizer"] is None:
        reading = {**reading, "tokenizer": known.get("tokenizer")}
    if model.length is not None:
        reading = {**reading, "window": model.length}
    with waiting(f"Reading {file}"):
        corpus = data.read(file, length=length, **reading)
    if corpus.vocabulary.kind == "bytes" and known.get("kind") != "bytes":
        raise InputError(
            f"{file} is text, and the card of {model.name} does not say how text becomes ids: pass "
            "ids, such as an array in .npy, or --tokenizer PATH"
        )
    return corpus


def canvas_of_examples(
    model: Model, file: Path, examples: Sequence[Example], class_: str | None
) -> Canvas:
    """Return a canvas (B,N) of all examples; the positions to score are its editable ones."""
    from unmask.data.padding import Excluded
    from unmask.decoding import Canvas

    each = list(examples)
    for row, example in enumerate(each):
        _check_length(model, f"{file}, row {row}", len(example.tokens))
    condition = None if class_ is None else _condition(model, class_, each)
    policy = _padding(model)
    tokens, maskable = [one.tokens for one in each], [one.maskable for one in each]
    padded = policy(tokens, maskable, None if policy == Excluded() else model.length)
    return Canvas.infill(padded.tokens, padded.maskable, valid=padded.valid, condition=condition)


def _padding(model: Model) -> Padding:
    """Return the padding policy that the model was trained with."""
    from unmask.data.padding import Excluded, from_dict

    known = (model.card.training or {}).get("padding")
    return Excluded() if known is None else from_dict(known)


def _check_length(model: Model, where: str, found: int) -> None:
    if model.length is None or found == model.length:
        return
    if found > model.length:
        raise InputError(
            f"{where}: {found} tokens, and {model.name} has {model.length} positions: cut windows "
            f"with --length {model.length}, or pass shorter rows"
        )
    if model.layout.kind != "text":
        raise InputError(
            f"{where}: {found} tokens, and {model.name} generates {model.layout.kind}s of "
            f"{model.length}: pass whole rows"
        )


def _condition(model: Model, class_: str, examples: Sequence[Example]) -> Tensor | None:
    """Return (B,) int64: the class of every row."""
    import torch

    if class_ != "file":
        if not class_.lstrip("-").isdigit():
            raise InputError(f"--class {class_}: pass a number, or 'file'")
        return model.condition([int(class_)], len(examples))
    count = class_count(model.card)
    if not count:
        raise InputError(f"{model.name} has no classes: leave --class out")
    for row, example in enumerate(examples):
        if example.category is None or not 0 <= example.category < count:
            found = "no class" if example.category is None else f"class {example.category}"
            raise InputError(
                f"--class file: row {row} has {found}, and {model.name} has classes 0 to "
                f"{count - 1}: pass one for all rows, such as --class 0, or leave --class out"
            )
    return torch.tensor([example.category for example in examples])
