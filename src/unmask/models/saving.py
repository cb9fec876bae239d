"""`save`: a denoiser as a folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unmask.core.checks import check_dicts, check_path
from unmask.core.files import replacing_folder
from unmask.core.network import Denoiser, DenoiserSpec, check_denoiser
from unmask.errors import CheckpointError, ModelError
from unmask.models import dit
from unmask.models.buffers import buffers_apart
from unmask.models.checkpoint import (
    CARD,
    TOKENIZER,
    TRANSFORMERS,
    WEIGHTS,
    Card,
    check_replaceable,
    safetensors,
    with_tokenizer,
    without_bars,
)
from unmask.models.hf import MaskedLMDenoiser, is_adapted
from unmask.models.merging import merged
from unmask.models.outputs import inside
from unmask.models.plain import PlainDenoiser
from unmask.models.registry import DIT, Kind, entry_of, layers_of, network_of
from unmask.models.x_transformers import XTransformersDenoiser

BY_WRAP = (MaskedLMDenoiser, XTransformersDenoiser, PlainDenoiser)
"""Adapters that `unmask.wrap` chooses by the network, so that a card need not name them."""


def save(
    denoiser: Denoiser,
    folder: str | Path,
    *,
    about: dict[str, Any] | None = None,
    vocabulary: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
) -> Path:
    """Write a denoiser to a folder and return its path.

    The wrappers of the library are written with it. An earlier model in the folder is replaced only
    when the new one is complete. about: any JSON values, returned by `read_card`; its `preset` is
    the default of `generate`, checked at use; without one it is that of the denoiser's own card.
    vocabulary: `data.Vocabulary.to_dict()`. training: objective, schedule and padding policy. LoRA
    adapters are merged into the weights that are written. Raises ModelError for a network without
    weights, and a denoiser or wrapper that is not the library's, CheckpointError for a folder with
    other files, or values that are not JSON.
    """
    return write(denoiser, folder, about=about, vocabulary=vocabulary, training=training)


def write(
    denoiser: Denoiser,
    folder: str | Path,
    *,
    about: dict[str, Any] | None = None,
    vocabulary: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    text: dict[str, Any] | None = None,
    stored: torch.dtype | None = None,
) -> Path:
    """Write a denoiser as `save` does. text: what a text model has beside it.

    stored: dtype of the weights of a network of transformers in the file; they are opened in the
    dtype that the network has.
    """
    check_path("folder", folder)
    check_denoiser(denoiser, ModelError)
    check_dicts(CheckpointError, about=about, vocabulary=vocabulary, training=training)
    adapter, card = _card(denoiser, about or {}, vocabulary, training, text)
    try:
        content = json.dumps(card.entries(), indent=2, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"about cannot be written as JSON: {error}; pass strings, numbers, lists and dicts"
        ) from None
    target = Path(folder).resolve()
    check_replaceable(target)
    with replacing_folder(target) as temporary:
        if card.backbone == TRANSFORMERS:
            _write_pretrained(adapter.net, temporary, stored)
        else:
            safetensors().save_model(adapter, str(temporary / WEIGHTS))
        if vocabulary and vocabulary.get("tokenizer"):
            _copy(Path(vocabulary["tokenizer"]), temporary / TOKENIZER)
        (temporary / CARD).write_text(content + "\n", encoding="utf-8")
    return target


def _card(
    denoiser: Any,
    about: dict[str, Any],
    vocabulary: dict[str, Any] | None,
    training: dict[str, Any] | None,
    text: dict[str, Any] | None,
) -> tuple[Any, Card]:
    """Return the adapter within a denoiser, and the card. Raises ModelError without weights."""
    adapter, entries = layers_of(denoiser)
    # Older versions read the classes where they have their own entry.
    conditioned = bool(entries) and entries[0]["name"] == "ClassConditioned"
    classes = entries.pop(0)["classes"] if conditioned else None
    if type(adapter) not in BY_WRAP:
        entries.insert(0, entry_of(adapter))
    net, spec, kind = adapter.net, adapter.spec, network_of(entries)
    if not isinstance(net, nn.Module):
        raise ModelError(f"{type(net).__name__} has no weights to save: wrap an nn.Module")
    if kind is not None:
        _check_opened_by(kind, adapter.backbone)
    stored = kind is not None or isinstance(adapter, MaskedLMDenoiser)
    parts = getattr(adapter, "self_conditioning", None)
    if spec.recommended is not None:
        about = {"preset": dict(spec.recommended), **about}
    return adapter, Card(
        mask_id=spec.mask_id,
        vocab_size=spec.vocab_size,
        backbone=TRANSFORMERS if stored else type(net).__qualname__,
        forbidden=list(spec.forbidden),
        length=spec.default_length,
        classes=classes,
        self_conditioning=None if parts is None else len(parts.null_embed),
        logit_shift=adapter.logit_shift,
        vocabulary=with_tokenizer(vocabulary, TOKENIZER),
        training=training,
        about=about,
        adapters=entries,
        buffers=buffers_apart(adapter),
        attention=None if kind is None else str(adapter.backbone.config._attn_implementation),
        spec=_unsaid(spec, about, vocabulary, training, text),
        text=text,
    )


def _unsaid(
    spec: DenoiserSpec,
    about: dict[str, Any],
    vocabulary: dict[str, Any] | None,
    training: dict[str, Any] | None,
    text: dict[str, Any] | None,
) -> dict[str, Any]:
    """Return the fields of a spec on which the arguments of `save` say nothing."""
    found: dict[str, Any] = {}
    if spec.grid is not None and "layout" not in about:
        found["grid"] = list(spec.grid)
    # A text model may have learnt its ends as data, with padding excluded.
    if spec.end_id is not None and (training is None or text is not None):
        found["end_id"] = spec.end_id
    if spec.other_ends:
        found["other_ends"] = list(spec.other_ends)
    if spec.reserved and "absent" not in (vocabulary or {}):
        found["reserved"] = list(spec.reserved)
    return found


def _check_opened_by(kind: Kind, net: Any) -> None:
    """Raise ModelError for a network that transformers could not open again."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING as KNOWN

    known: Any = KNOWN.get(type(net.config), ())
    classes = [each.__name__ for each in (known if isinstance(known, tuple) else (known,))]
    if kind.opened_by != "AutoModelForCausalLM":
        classes = [str(kind.opened_by)]
    ours = kind.opened_by == DIT and type(net).__module__ == dit.__name__
    theirs = type(net).__module__.startswith("transformers.")
    if type(net).__name__ not in classes or not (ours or theirs):
        raise ModelError(
            f"{type(net).__name__} is not a class that {kind.opened_by} opens, so it cannot be "
            f"saved: keep its files, and make the {kind.name} again after loading it"
        )


def _write_pretrained(net: nn.Module, folder: Path, stored: torch.dtype | None) -> None:
    """Write a network of transformers, with adapters merged, to one file of any size."""
    whole: Any = inside(net)
    weights: dict[str, Any] = {}
    if is_adapted(whole):
        whole, weights = merged(whole)
    if stored is not None:
        weights = {"state_dict": _cast(weights.get("state_dict", whole.state_dict()), stored)}
    with without_bars(), _generating(whole, folder):
        whole.save_pretrained(folder, max_shard_size="1000TB", **weights)


def _cast(weights: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Return weights in a dtype; those that share memory still do."""
    made: dict[int, Tensor] = {}
    for each in weights.values():
        if each.is_floating_point():
            made.setdefault(each.data_ptr(), each.to(dtype))
    return {name: made.get(each.data_ptr(), each) for name, each in weights.items()}


@contextmanager
def _generating(net: Any, folder: Path) -> Iterator[None]:
    """Let a network have settings of left-to-right generation that transformers agrees to write.

    Files of published models may have others, such as a temperature without sampling.
    """
    own: Any = getattr(net, "generation_config", None)
    try:
        if own is not None:
            own.save_pretrained(folder)
    except ValueError:
        net.generation_config = type(own).from_model_config(net.config)
    try:
        yield
    finally:
        if own is not None:
            net.generation_config = own


def _copy(source: Path, target: Path) -> None:
    """Copy a tokenizer's files into the model's folder, so that the folder can be moved."""
    if not source.exists():
        raise CheckpointError(f"the tokenizer {source} does not exist any more: restore it")
    target.mkdir()
    for file in [source] if source.is_file() else filter(Path.is_file, source.iterdir()):
        shutil.copy(file, target / ("tokenizer.json" if source.is_file() else file.name))
