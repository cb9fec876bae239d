"""A data file as rows for a model: read, checked against the model's positions, and padded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unmask.cli.io.canvas_input import Around
from unmask.cli.io.models import Model
from unmask.cli.ui.screen import waiting
from unmask.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from unmask.data import Corpus, Example
    from unmask.decoding import Canvas


def read_corpus(model: Model, file: Path, length: int | None, reading: dict[str, Any]) -> Corpus:
    """Read the file; running text is cut into windows of at most the model's length."""
    from unmask import data
    from unmask.data.reading import is_stream

    known = model.card.vocabulary or {}
    around = sum(map(len, model.around))
    with waiting(f"Reading {file}"):
        if length is None and model.card.length is not None and not reading["documents"]:
            most = max(1, model.card.length - around)
            length = most if is_stream(file, reading["column"]) else None
        corpus = data.read(file, length=length, tokenizer=known.get("tokenizer"), **reading)
    if corpus.vocabulary.kind == "bytes" and known.get("kind") != "bytes":
        raise InputError(
            f"{file} is text, and the card of {model.name} does not say how text becomes ids: pass "
            "ids, such as an array in .npy, or --tokenizer PATH"
        )
    return corpus


def canvas_of_examples(
    model: Model, file: Path, corpus: Corpus, class_: str | None
) -> tuple[Canvas, list[str]]:
    """Return a canvas (B,N) of all examples, and notes on how they were read.

    The positions to score are the editable ones: not the special tokens that the tokenizer puts
    around a text, nor ids that the model never generates, such as separators.
    """
    from unmask.data.padding import Excluded, from_dict
    from unmask.decoding import Canvas

    around = model.around if corpus.text else ([], [])
    # The mask id is never generated either, but no data has it.
    never = {*model.card.forbidden, *model.reserved()} - {model.card.mask_id}
    each, given = _with_special_tokens(corpus.examples, around, never)
    for row, example in enumerate(each):
        _check_length(model, f"{file}, row {row}", len(example.tokens), sum(map(len, around)))
    condition = None if class_ is None else _condition(model, class_, each)
    trained = (model.card.training or {}).get("padding")
    policy = Excluded() if trained is None else from_dict(trained)
    tokens, maskable = [one.tokens for one in each], [one.maskable for one in each]
    padded = policy(tokens, maskable, None if policy == Excluded() else model.card.length)
    canvas = Canvas.infill(padded.tokens, padded.maskable, valid=padded.valid, condition=condition)
    note = (
        f"{given:,} of the tokens are special ids, which this model never generates: given, not "
        "scored"
    )
    return canvas, [*corpus.notes, *([note] if given else [])]


def _with_special_tokens(
    examples: Sequence[Example], around: Around, never: set[int]
) -> tuple[list[Example], int]:
    """Return examples with ids around them and ids of `never` given, and how many those are."""
    import torch

    excluded = torch.tensor(sorted(never), dtype=torch.int64)
    given, each = 0, []
    for one in examples:
        special = torch.isin(one.tokens, excluded) & one.maskable
        given += int(special.sum())
        ids = [torch.tensor(part, dtype=torch.int64) for part in around]
        flags = [torch.zeros(len(part), dtype=torch.bool) for part in around]
        tokens = torch.cat([ids[0], one.tokens, ids[1]])
        maskable = torch.cat([flags[0], one.maskable & ~special, flags[1]])
        each.append(replace(one, tokens=tokens, maskable=maskable))
    return each, given


def _check_length(model: Model, where: str, found: int, around: int) -> None:
    """Raise InputError for rows of `found` tokens, `around` of them special, that do not fit."""
    most = model.card.length
    if most is not None and found > most:
        raise InputError(
            f"{where}: {found} tokens, and {model.name} has {most} positions: cut windows with "
            f"--length {most - around}, or pass shorter rows"
        )
    if most not in (None, found) and model.layout.kind != "text":
        raise InputError(
            f"{where}: {found} tokens, and {model.name} generates {model.layout.kind}s of {most}: "
            "pass whole rows"
        )


def _condition(model: Model, class_: str, examples: Sequence[Example]) -> Tensor | None:
    """Return (B,) int64: the class of every row."""
    import torch

    if class_ != "file":
        if not class_.lstrip("-").isdigit():
            raise InputError(f"--class {class_}: pass a number, or 'file'")
        return model.condition([int(class_)], len(examples))
    count = model.card.classes
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
