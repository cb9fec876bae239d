"""Models as folders: safetensors and JSON, nothing that is unpickled.

`unmask.json` gives the mask id, the vocabulary, adapters and a description; a transformers backbone
is stored by its own `save_pretrained`, so that transformers opens the same folder. Of other
networks the weights are stored, and loading needs the network.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from unmask.core.checks import check_path, is_integer
from unmask.core.files import previous
from unmask.core.optional import library
from unmask.errors import CheckpointError, nearest

CARD = "unmask.json"
WEIGHTS = "model.safetensors"
FORMAT = "unmask-1"
NEWEST = "unmask-2"  # with entries that older versions would ignore to their harm
ADDED = ("adapters", "attention", "buffers", "spec", "text")  # these entries
TRANSFORMERS = "transformers"  # the backbone of a card whose network transformers opens
TOKENIZER = "tokenizer"  # a folder in the model's


@dataclass(frozen=True)
class Card:
    """The content of `unmask.json`."""

    mask_id: int | None  # None for a network that is shown no mask
    vocab_size: int
    backbone: str  # "transformers", or the class of the network
    forbidden: list[int] = field(default_factory=list)
    length: int | None = None
    classes: int | None = None  # number of classes, for ClassConditioned
    self_conditioning: int | None = None  # width of SelfConditioning
    logit_shift: bool = False
    vocabulary: dict[str, Any] | None = None  # meaning of ids: bytes, or a tokenizer
    training: dict[str, Any] | None = None  # objective, schedule and padding policy
    about: dict[str, Any] = field(default_factory=dict)  # anything: task, recipe, figures, layout
    adapters: list[dict[str, Any]] = field(default_factory=list)  # as in models/registry.py
    attention: str | None = None  # of an adapter's network: its attn_implementation
    buffers: dict[str, str] = field(default_factory=dict)  # as in models/buffers.py
    spec: dict[str, Any] = field(default_factory=dict)  # as in `_check_spec`, if unsaid above
    text: dict[str, Any] | None = None  # of a text model: see text/saving.py
    format: str = FORMAT

    def entries(self) -> dict[str, Any]:
        """Return what is written: in the older format, if older versions can read it."""
        data = asdict(self)
        added = [name for name in ADDED if data[name]]
        kept = {name: value for name, value in data.items() if name not in ADDED or value}
        return {**kept, "format": NEWEST if added else FORMAT}

    @property
    def grid(self) -> tuple[int, int] | None:
        """Height and width of the layout of `about`, None where it is no grid."""
        if "grid" in self.spec:
            height, width = self.spec["grid"]
            return (height, width)
        layout = self.about.get("layout")
        sides = [layout.get("height"), layout.get("width")] if isinstance(layout, dict) else []
        known = [side for side in sides if is_integer(side) and side > 0]
        return (known[0], known[1]) if len(known) == 2 else None

    @property
    def end_id(self) -> int | None:
        """The id that fills a row after its end in training, None if padding was excluded."""
        end: int | None = ((self.training or {}).get("padding") or {}).get("eos_id")
        return self.spec.get("end_id", end)

    @property
    def absent(self) -> tuple[int, ...]:
        """Ids that are not drawn by default, such as those that the training data had nowhere."""
        ids = self.spec.get("reserved", (self.vocabulary or {}).get("absent"))
        return tuple(ids) if isinstance(ids, list) and all(map(is_integer, ids)) else ()


def check_replaceable(target: Path) -> None:
    """Raise CheckpointError if target is a file, or a folder that is not a model's."""
    if target.exists() and not target.is_dir():
        raise CheckpointError(f"{target} is a file: pass the name of a folder")
    if target.exists() and any(target.iterdir()) and not (target / CARD).is_file():
        raise CheckpointError(
            f"{target} has other files and no {CARD}: pass a new folder, such as {target / 'model'}"
        )


def bundled() -> dict[str, Path]:
    """Return the name and folder of each model in the package."""
    root = Path(str(resources.files("unmask"))) / "bundled"
    return {path.parent.name: path.parent for path in sorted(root.glob(f"*/{CARD}"))}


def locate(model: str | Path) -> Path:
    """Return the folder of a path, or a bundled name. Raises CheckpointError for neither."""
    known = bundled()
    check_path("model", model)
    folder, name = Path(model).resolve(), str(model)
    if not folder.exists() and previous(folder).is_dir():
        folder = previous(folder)  # writing stopped between its two renames
    if name in known and (name == model or not folder.exists()):
        return known[name]
    if not folder.is_dir():
        raise CheckpointError(
            f"{name!r} is neither a bundled model nor a folder: {nearest(name, known)}"
        )
    return folder


def read_card(model: str | Path) -> Card:
    """Return `unmask.json` of a bundled model or a folder. CheckpointError if it is damaged."""
    folder = locate(model)
    path = folder / CARD
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"{folder} has no {CARD}, so unmask.save did not write it. For a transformers model: "
            "unmask.wrap(AutoModelForMaskedLM.from_pretrained(...), mask_id=...)"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is not JSON, perhaps cut short: {error}") from None
    card = _parse(path, data)
    inside = str(folder / TOKENIZER)
    return replace(card, vocabulary=with_tokenizer(card.vocabulary, inside))


def with_tokenizer(vocabulary: dict[str, Any] | None, path: str) -> dict[str, Any] | None:
    """Return the vocabulary with the path of its tokenizer replaced, if it has one."""
    if vocabulary is None or not vocabulary.get("tokenizer"):
        return vocabulary
    return {**vocabulary, "tokenizer": path}


def _parse(path: Path, data: Any) -> Card:
    if not isinstance(data, dict) or data.get("format") not in (FORMAT, NEWEST):
        found = data.get("format") if isinstance(data, dict) else type(data).__name__
        raise CheckpointError(
            f"{path} has format {found!r}; this version reads {FORMAT!r} and {NEWEST!r}"
        )
    later = ADDED if data["format"] == FORMAT else ()
    known = [f.name for f in fields(Card) if f.name not in later]
    for key in data:
        if key not in known:
            raise CheckpointError(f"{path} has an unknown entry {key!r}: {nearest(key, known)}")
    try:
        card = Card(**data)
    except TypeError as error:
        raise CheckpointError(f"{path} is incomplete: {error}") from None
    for name, hint in get_type_hints(Card).items():
        if not _fits(getattr(card, name), hint):
            raise CheckpointError(f"{path}: {name}={getattr(card, name)!r} is of a wrong type")
    _check_spec(path, card)
    return card


def _check_spec(path: Path, card: Card) -> None:
    """Raise CheckpointError for unknown fields of the spec, wrong types, and ids out of range."""
    kinds: dict[str, Any] = {"grid": list[int], "end_id": int}
    kinds |= dict.fromkeys(("other_ends", "reserved"), list[int])
    for name, value in card.spec.items():
        if name not in kinds:
            raise CheckpointError(f"{path}: spec has {name!r}: {nearest(name, kinds)}")
        if not _fits(value, kinds[name]) or (name == "grid" and len(value) != 2):
            raise CheckpointError(f"{path}: {name}={value!r} of spec is of a wrong type")
        least, end = (1, math.inf) if name == "grid" else (0, card.vocab_size)
        numbers = value if isinstance(value, list) else [value]
        if not all(least <= number < end for number in numbers):
            raise CheckpointError(f"{path}: {name}={value!r} of spec is out of range")


def _fits(value: object, hint: Any) -> bool:
    """Return whether a value of JSON is of an annotated type."""
    if isinstance(hint, UnionType):
        return any(_fits(value, each) for each in get_args(hint))
    if type(value) is list and get_origin(hint) is list:
        return all(_fits(each, *get_args(hint)) for each in value)
    return type(value) is (get_origin(hint) or hint)


@contextmanager
def without_bars() -> Iterator[None]:
    """Turn transformers' progress bars off while the block runs."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def safetensors() -> Any:
    """Return safetensors' functions for torch. Raises MissingExtraError without it."""
    return library("safetensors.torch", "hf", "saving needs safetensors")
