"""`unmask info`: a description of a model, or the list of bundled models."""

from __future__ import annotations

from dataclasses import asdict
from itertools import starmap
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from unmask.cli.command import paragraphs
from unmask.cli.io import presets
from unmask.cli.io.models import weights
from unmask.cli.runs.text_job import KIND, Kind
from unmask.cli.ui.screen import out, print_json, say
from unmask.cli.ui.table import facts, value_text
from unmask.errors import InputError, StrategyError

if TYPE_CHECKING:
    from unmask.models.checkpoint import Card

EXAMPLES = [
    ("The bundled models", "unmask info"),
    ("One model: its size, its figures, its presets", "unmask info digits"),
    ("As JSON", "unmask info shidoku --json"),
]
APART = ("task", "layout", "preset", "classes")
"""Entries of `about` that are printed elsewhere or not at all."""


OPTIONS = f"""
MODEL: A bundled name, a folder, or a repository of transformers' hub; without it, the bundled
    models are listed.
{KIND}"""


def command(model: str | None = None, *, kind: Kind, json: bool = False) -> None:
    """Describe a model, or list the bundled ones.

    Prints the vocabulary, size and figures of the model, and all presets with their options; of a
    model of transformers, the kind that was found in its files, and where. No weight is read.
    """
    from unmask.models import checkpoint
    from unmask.models.loading import is_pretrained

    if model is not None and is_pretrained(model):
        description = recognised(model, kind)
        print_json(description) if json else _print_recognised(description)
        return
    for name, value in kind.given().items():
        raise InputError(f"{name}={value!r}: {model or 'no model'} is none of transformers' models")
    if model is None:
        found = [_short(name, checkpoint.read_card(name)) for name in checkpoint.bundled()]
        print_json({"models": found}) if json else _print_list(found)
    else:
        card = checkpoint.read_card(model)
        description = _described(model, card)
        print_json(description) if json else _print_model(description, card)


def recognised(name: str, kind: Kind) -> dict[str, Any]:
    """Return the kind of a model of transformers, and the places where each part was found."""
    from unmask.models.families import Files, recognise

    asked = kind.given()
    revision = asked.pop("revision", None)
    found = recognise(Files(name, {"revision": revision} if revision else {}), **asked)
    row = found.family
    return {
        "model": name,
        "family": None if row is None else row.name,
        "about": "a masked language model of transformers" if row is None else row.models,
        "opened as": found.stock,
        "attention": "bidirectional" if found.block is None else f"blocks of {found.block}",
        "logits": "shifted by one" if row is not None and row.logit_shift else "in place",
        "mask_id": found.mask_id,
        "end_ids": list(found.end_ids),
        "special ids": len(found.reserved),
        "default": by_default(None if row is None else row.recommended(found.block)),
        "found in": dict(found.reasons),
    }


def by_default(recommended: dict[str, Any] | None) -> str:
    """Return a recommended preset as it is typed."""
    from unmask.presets import by_name

    name, options = by_name.name_and_options(recommended)
    return " ".join(["--preset", name, *starmap(presets.typed, options.items())])


def _print_recognised(found: dict[str, Any]) -> None:
    say((found["model"], "bold cyan"))
    places = found.pop("found in")
    out().print(facts({key: value for key, value in found.items() if key != "model"}))
    out().print(facts({f"{key} from": value for key, value in places.items()}))


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
        "card": asdict(card),
        "recommended": by_name.DEFAULT if recommended is None else recommended,
        "presets": [
            {
                "preset": each,
                "about": paragraphs(make.__doc__ or "").partition("\n")[0],
                "options": by_name.defaults(make),
                "needs": by_name.needs(make, card.grid),
            }
            for each, make in by_name.known().items()
        ],
    }


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
    size, never = card.vocab_size, len({*card.forbidden, card.mask_id})
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
