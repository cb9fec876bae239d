"""`unmask info`: a description of a model, or the list of bundled models."""

from __future__ import annotations

from itertools import starmap
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from unmask.cli.command import paragraphs
from unmask.cli.io import presets
from unmask.cli.io.models import weights
from unmask.cli.options import Kind
from unmask.cli.ui.screen import out, print_json, say
from unmask.cli.ui.table import facts, value_text
from unmask.errors import InputError, StrategyError

if TYPE_CHECKING:
    from unmask.models.checkpoint import Card
    from unmask.models.loading import Recognised

EXAMPLES = [
    ("The bundled models", "unmask info"),
    ("One model: its size, its figures, its presets", "unmask info digits"),
    ("The kind of a model of transformers", "unmask info GSAI-ML/LLaDA-8B-Instruct"),
    ("As JSON", "unmask info shidoku --json"),
]
APART = ("task", "layout", "preset", "classes")
"""Entries of `about` that are printed elsewhere or not at all."""


OPTIONS = """
MODEL: A bundled name, a folder, or a repository of transformers' hub; without it, the bundled
    models are listed.
"""


def command(model: str | None = None, *, kind: Kind, json: bool = False) -> None:
    """Describe a model, or list the bundled ones.

    Prints the vocabulary, size and figures of the model, and all presets with their options; of a
    model of transformers, the kind that was found in its files, and where. No weight is read.
    """
    from unmask.models import checkpoint
    from unmask.models.loading import recognised

    if model is None:
        for name, value in kind.given().items():
            raise InputError(f"{name}={value!r} says something of a model: name one")
        found = [_short(name, checkpoint.read_card(name)) for name in checkpoint.bundled()]
        print_json({"models": found}) if json else _print_list(found)
        return
    known = recognised(model, kind.given())
    if known.card is None:
        description = _of_files(model, known)
        print_json(description) if json else _print_recognised(description)
    else:
        description = _described(model, known.card)
        print_json(description) if json else _print_model(description, known.card)


def _of_files(name: str, known: Recognised) -> dict[str, Any]:
    """Return the kind of a model of transformers, and the places where each part was found."""
    from unmask.models.families import parameters

    files, found = known.files, known.found
    assert files is not None
    assert found is not None
    row = found.family
    return {
        "model": name,
        "family": None if row is None else row.name,
        "about": "a masked language model of transformers" if row is None else row.models,
        "opened as": found.stock,
        "parameters": parameters(files, found),
        "attention": "bidirectional" if found.block is None else f"blocks of {found.block}",
        "logits": "shifted by one" if row is not None and row.logit_shift else "in place",
        "mask_id": found.mask_id,
        "end_ids": list(found.end_ids),
        "special ids": len(found.reserved),
        "default": by_default(found.recommended(files)),
        "found in": dict(found.reasons),
        "presets": _presets(None),
    }


def by_default(recommended: dict[str, Any] | None) -> str:
    """Return a recommended preset as it is typed."""
    from unmask.presets import by_name

    name, options = by_name.name_and_options(recommended)
    return " ".join(["--preset", name, *starmap(presets.typed, options.items())])


def _print_recognised(found: dict[str, Any]) -> None:
    say((found["model"], "bold cyan"))
    ids = {
        "mask_id": None if found["mask_id"] is None else str(found["mask_id"]),
        "end_ids": ", ".join(map(str, found["end_ids"])) or "none",
    }
    apart = ("model", "found in", "presets")
    out().print(facts({key: value for key, value in (found | ids).items() if key not in apart}))
    out().print(facts({f"{key} from": value for key, value in found["found in"].items()}))
    _print_presets(found["presets"])


def _short(name: str, card: Card) -> dict[str, Any]:
    from unmask.models.checkpoint import locate

    folder = locate(name)
    return {
        "model": name,
        "task": card.about.get("task"),
        "length": card.length,
        "classes": card.classes or 0,
        **weights(folder),
        "folder": str(folder),
    }


def _described(name: str, card: Card) -> dict[str, Any]:
    from unmask.presets import by_name

    recommended = card.about.get("preset")
    return {
        **_short(name, card),
        "card": card.entries(),
        "recommended": by_name.DEFAULT if recommended is None else recommended,
        "presets": _presets(card.grid),
    }


def _presets(grid: tuple[int, int] | None) -> list[dict[str, Any]]:
    """Return all presets with their options. grid: height and width of the model's grid."""
    from unmask.presets import by_name

    return [
        {
            "preset": each,
            "about": paragraphs(make.__doc__ or "").partition("\n")[0],
            "options": by_name.defaults(make),
            "needs": by_name.needs(make, grid),
        }
        for each, make in by_name.known().items()
    ]


def _print_list(found: list[dict[str, Any]]) -> None:
    if not found:
        say("No models are bundled with this installation; make one with: unmask train shidoku")
        return
    table = Table("model", "length", "classes", "parameters", box=SIMPLE_HEAD)
    for each in found:
        figures = (each["length"], each["classes"] or None, each["parameters"])
        table.add_row(Text(each["model"], "cyan"), *map(value_text, figures))
    out().print(table)
    say("More on one: ", (f"unmask info {found[0]['model']}", "cyan"))


def _print_model(description: dict[str, Any], card: Card) -> None:
    size, never = card.vocab_size, len({*card.forbidden, card.mask_id} - {None})
    megabytes = description["bytes"] / 1e6
    about = {key: value for key, value in card.about.items() if key not in APART}
    known = {
        "folder": description["folder"],
        "task": description["task"],
        "parameters": f"{description['parameters']:,} ({megabytes:.1f} MB, {card.backbone})",
        "vocabulary": f"{size} ids, {size - never} of them data; mask {card.mask_id}",
        "positions": card.length,
        "classes": card.classes,
        "default": _default(card),
        "figures": about.pop("figures", None),
        **about,
    }
    say((description["model"], "bold cyan"))
    out().print(facts(known))
    _print_presets(description["presets"])


def _default(card: Card) -> str:
    """Return what a card recommends as it is typed, or why that cannot be used."""

    try:
        presets.choose_preset(card, None, {})
    except StrategyError as error:
        return str(error)
    return by_default(card.about.get("preset"))


def _print_presets(found: list[dict[str, Any]]) -> None:
    table = Table("preset", "what it does", "options", box=SIMPLE_HEAD)
    for each in found:
        option = "\n".join(starmap(presets.typed, each["options"].items()))
        needs = f"Needs {', '.join(each['needs'])}. " if each["needs"] else ""
        table.add_row(Text(each["preset"], "cyan"), Text(needs + each["about"]), Text(option))
    out().print(table)
