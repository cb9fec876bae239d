"""Models as folders: safetensors and JSON, nothing that is unpickled.

`unmask.json` gives the mask id, the vocabulary and a description; a transformers backbone is stored
by its own `save_pretrained`, so that transformers opens the same folder. Of other networks the
weights are stored, and loading needs the network.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from torch import nn

from unmask.core.checks import check_dicts, check_path, is_integer
from unmask.core.files import previous, replacing_folder
from unmask.core.network import Denoiser, check_denoiser
from unmask.errors import CheckpointError, MissingExtraError, ModelError, nearest
from unmask.models.adapter import Adapter
from unmask.models.conditioning import ClassConditioned
from unmask.models.decoder import Decoder
from unmask.models.diffusion_gemma import DiffusionGemma
from unmask.models.forwarding import unwrapped
from unmask.models.hf import MaskedLMDenoiser, is_adapted
from unmask.models.outputs import inside
from unmask.models.self_conditioning import SelfConditioning
from unmask.models.wrap import wrap

CARD = "unmask.json"
WEIGHTS = "model.safetensors"
FORMAT = "unmask-1"
TRANSFORMERS = "transformers"  # the backbone of a card whose network transformers opens
TOKENIZER = "tokenizer"  # a folder in the model's


@dataclass(frozen=True)
class Card:
    """The content of `unmask.json`."""

    mask_id: int
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
    format: str = FORMAT

    @property
    def grid(self) -> tuple[int, int] | None:
        """Height and width of the layout of `about`, None where it is no grid."""
        layout = self.about.get("layout")
        sides = [layout.get("height"), layout.get("width")] if isinstance(layout, dict) else []
        known = [side for side in sides if is_integer(side) and side > 0]
        return (known[0], known[1]) if len(known) == 2 else None

    @property
    def end_id(self) -> int | None:
        """The id that fills a row after its end in training, None if padding was excluded."""
        end: int | None = ((self.training or {}).get("padding") or {}).get("eos_id")
        return end

    @property
    def absent(self) -> tuple[int, ...]:
        """Ids of text that the training data had nowhere."""
        ids = (self.vocabulary or {}).get("absent")
        return tuple(ids) if isinstance(ids, list) and all(map(is_integer, ids)) else ()


def save(
    denoiser: Denoiser,
    folder: str | Path,
    *,
    about: dict[str, Any] | None = None,
    vocabulary: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
) -> Path:
    """Write a denoiser to a folder and return its path.

    An earlier model in the folder is replaced only when the new one is complete. about: any JSON
    values, returned by `read_card`; its `preset` is the default of `generate`, checked at use.
    vocabulary: `data.Vocabulary.to_dict()`. training: objective, schedule and padding policy. LoRA
    adapters are merged into the weights that are written. Raises ModelError for a network without
    weights, CheckpointError for a folder with other files, or values that are not JSON.
    """
    check_path("folder", folder)
    check_denoiser(denoiser, ModelError)
    check_dicts(CheckpointError, about=about, vocabulary=vocabulary, training=training)
    denoiser = unwrapped(denoiser)
    inner: Any = denoiser.inner if isinstance(denoiser, ClassConditioned) else denoiser
    if isinstance(inner, Decoder | DiffusionGemma):
        kind = type(inner).__name__
        raise ModelError(
            f"the attention mask of a {kind} cannot be saved: write the network by "
            f"net.save_pretrained(folder), and make the {kind} again after loading it"
        )
    net = getattr(inner, "net", None)
    if not isinstance(net, nn.Module):
        raise ModelError(f"{type(net).__name__} has no weights to save: wrap an nn.Module")
    with_transformers = isinstance(inner, MaskedLMDenoiser)
    parts = getattr(inner, "self_conditioning", None)
    card = Card(
        mask_id=inner.spec.mask_id,
        vocab_size=inner.spec.vocab_size,
        backbone=TRANSFORMERS if with_transformers else type(net).__qualname__,
        forbidden=list(inner.spec.forbidden),
        length=inner.spec.default_length,
        classes=denoiser.classes if isinstance(denoiser, ClassConditioned) else None,
        self_conditioning=None if parts is None else len(parts.null_embed),
        logit_shift=inner.logit_shift,
        vocabulary=_with_tokenizer(vocabulary, TOKENIZER),
        training=training,
        about=about or {},
    )
    try:
        text = json.dumps(asdict(card), indent=2, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"about cannot be written as JSON: {error}; pass strings, numbers, lists and dicts"
        ) from None
    target = Path(folder).resolve()
    check_replaceable(target)
    with replacing_folder(target) as temporary:
        if with_transformers:
            with _without_bars():
                whole: Any = inside(net)
                if is_adapted(whole):
                    whole = copy.deepcopy(whole).merge_and_unload()
                whole.save_pretrained(temporary)
        else:
            _safetensors().save_model(inner, str(temporary / WEIGHTS))
        if vocabulary and vocabulary.get("tokenizer"):
            _copy(Path(vocabulary["tokenizer"]), temporary / TOKENIZER)
        (temporary / CARD).write_text(text + "\n", encoding="utf-8")
    return target


def _with_tokenizer(vocabulary: dict[str, Any] | None, path: str) -> dict[str, Any] | None:
    """Return the vocabulary with the path of its tokenizer replaced, if it has one."""
    if vocabulary is None or not vocabulary.get("tokenizer"):
        return vocabulary
    return {**vocabulary, "tokenizer": path}


def _copy(source: Path, target: Path) -> None:
    """Copy a tokenizer's files into the model's folder, so that the folder can be moved."""
    if not source.exists():
        raise CheckpointError(f"the tokenizer {source} does not exist any more: restore it")
    target.mkdir()
    for file in [source] if source.is_file() else filter(Path.is_file, source.iterdir()):
        shutil.copy(file, target / ("tokenizer.json" if source.is_file() else file.name))


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
    return replace(card, vocabulary=_with_tokenizer(card.vocabulary, inside))


def _parse(path: Path, data: Any) -> Card:
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        found = data.get("format") if isinstance(data, dict) else type(data).__name__
        raise CheckpointError(f"{path} has format {found!r}; this version reads {FORMAT!r}")
    known = [f.name for f in fields(Card)]
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
    return card


def _fits(value: object, hint: Any) -> bool:
    """Return whether a value of JSON is of an annotated type."""
    if isinstance(hint, UnionType):
        return any(_fits(value, each) for each in get_args(hint))
    if type(value) is list and get_origin(hint) is list:
        return all(_fits(each, *get_args(hint)) for each in value)
    return type(value) is (get_origin(hint) or hint)


def load_saved(model: str | Path, net: nn.Module | None = None) -> Adapter | ClassConditioned:
    """Return the denoiser of a bundled name or of a folder that `save` wrote, as `unmask.load`."""
    folder, card = locate(model), read_card(model)
    names = ("mask_id", "forbidden", "length", "logit_shift")
    options: dict[str, Any] = {name: getattr(card, name) for name in names}
    if card.backbone != TRANSFORMERS:
        denoiser = _into(net, folder, card, options)
    elif net is None:
        denoiser = wrap(_pretrained(folder), **options)
    else:
        raise CheckpointError(f"{folder} stores the network itself: leave net out")
    if denoiser.spec.vocab_size != card.vocab_size:
        raise CheckpointError(
            f"{folder}: {CARD} says {card.vocab_size} ids, the network has "
            f"{denoiser.spec.vocab_size}"
        )
    denoiser.spec = replace(
        denoiser.spec,
        recommended=card.about.get("preset"),
        grid=card.grid,
        end_id=card.end_id,
        reserved=card.absent,
    )
    denoiser.eval()
    if card.classes is None:
        return denoiser
    inner: Any = denoiser
    return ClassConditioned(inner, card.classes).eval()


def _into(net: nn.Module | None, folder: Path, card: Card, options: dict[str, Any]) -> Adapter:
    """Return a denoiser of the network, with the weights of a folder read into it."""
    if net is None:
        raise CheckpointError(
            f"{folder} has the weights of a {card.backbone}: make one and pass it, as in "
            "unmask.load(folder, net=...)"
        )
    if type(net).__qualname__ != card.backbone:
        raise CheckpointError(
            f"{folder} has the weights of a {card.backbone}, and net is a "
            f"{type(net).__qualname__}: pass a {card.backbone}"
        )
    width = card.self_conditioning
    parts = None if width is None else SelfConditioning(width)
    options |= {"vocab_size": card.vocab_size, "self_conditioning": parts}
    denoiser = wrap(net, try_network=False, **options)
    with _reading(folder):
        _safetensors().load_model(denoiser, str(folder / WEIGHTS))
    denoiser.settle()  # by the weights that were read
    return denoiser


def _pretrained(folder: Path) -> Any:
    try:
        from transformers import AutoModelForMaskedLM
    except ImportError:
        raise MissingExtraError("this model needs transformers: pip install 'unmask[hf]'") from None
    how = {"local_files_only": True, "use_safetensors": True, "trust_remote_code": False}
    with _without_bars(), _reading(folder):
        net, found = AutoModelForMaskedLM.from_pretrained(
            str(folder), output_loading_info=True, **how
        )
    wrong = {name: sorted(map(str, keys)) for name, keys in found.items() if keys}
    if wrong:
        raise CheckpointError(f"{folder / WEIGHTS} has the weights of another network: {wrong}")
    return net


@contextmanager
def _without_bars() -> Iterator[None]:
    """Turn transformers' progress bars off while the block runs."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Raise CheckpointError for whatever reading the weights raises."""
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(f"{folder} has no {WEIGHTS}: the folder is incomplete")
    try:
        yield
    except Exception as error:
        raise CheckpointError(
            f"{folder / WEIGHTS} cannot be read, perhaps cut short or of another network: {error}"
        ) from error


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError:
        raise MissingExtraError("saving needs safetensors: pip install 'unmask[hf]'") from None
    return safetensors.torch
