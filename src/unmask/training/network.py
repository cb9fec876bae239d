"""A new network for the data, and the model to save after training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from unmask.core.optional import library
from unmask.errors import CheckpointError, ModelError, StrategyError, nearest
from unmask.models import ClassConditioned, Packed, load, wrap
from unmask.models.forwarding import Forwarding
from unmask.models.hf import MaskedLMDenoiser
from unmask.training.adapters import add_adapters
from unmask.training.base_model import Base
from unmask.training.geometry import know_the_layout
from unmask.training.material import Material
from unmask.training.recipe import Recipe
from unmask.training.recipes import small

# Rotary positions learn text faster, but with every token hidden all positions look alike to them.
IN_STREAMS = {"model_type": "modernbert"}
HEAD = 32  # width of an attention head
# Configs have default ids of another vocabulary.
_SPECIAL = [f"{name}_token_id" for name in ("pad", "bos", "eos", "cls", "sep")]
_SIZES = ("vocab_size", "max_position_embeddings", "type_vocab_size")


def kinds(material: Material) -> int:
    """Return the number of kinds of examples: no class, each class, and these warped."""
    return (1 + material.classes) * (1 if material.warp is None else 2)


def build_network(recipe: Recipe, material: Material, seed: int) -> nn.Module:
    """Return a denoiser to train, with weights drawn from the seed.

    If there are several kinds of examples, the network has a token type for each.
    """
    options = backbone(recipe, material)
    # On CPUs, gradients of torch's fused attention in bfloat16 take as long as all the rest.
    slow = recipe.precision == "bfloat16" and not torch.accelerator.is_available()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = network(options, **({"attn_implementation": "eager"} if slow else {}))
    # RoBERTa and its kin derive positions from ids that are not padding.
    if hasattr(getattr(net.base_model, "embeddings", None), "padding_idx"):
        raise StrategyError(
            f"backbone.model_type={options['model_type']} keeps an id for padding that data could "
            "not use: pass bert, megatron-bert, modernbert or electra"
        )
    in_place = material.layout.kind != "text" or not material.stream
    if options["model_type"] == "megatron-bert" and in_place:
        know_the_layout(net, material.layout, seed)
    inner = wrap(
        net,
        mask_id=material.vocabulary.mask_id,
        forbidden=material.vocabulary.forbidden,
        length=material.length,
    )
    assert isinstance(inner, MaskedLMDenoiser)
    several = kinds(material)
    return ClassConditioned(inner, several - 1) if several > 1 else inner


def open_base(base: Base, recipe: Recipe, seed: int, folder: Path | None = None) -> nn.Module:
    """Return the network of a model to train further, with adapters if the recipe says so.

    folder: one that was trained from the model, in its place. Weights that are trained are float32,
    if nothing else is asked for. Caches and compiled wrappers are left out. Raises StrategyError
    for float16, in which small changes of weights, and large gradients, are lost.
    """
    lora = recipe.lora.rank > 0
    if base.options.dtype == "float16" and not lora:
        raise StrategyError(
            "base.dtype='float16': its gradients overflow; pass float32 or bfloat16, or train "
            "adapters (--lora)"
        )
    known = base.recognised(folder, None if lora else "float32")
    denoiser: Any = known.open()
    while isinstance(denoiser, Forwarding) and not isinstance(denoiser, ClassConditioned):
        denoiser = denoiser.inner
    if lora:
        mask = base.mask_id if base.options.convert else None
        add_adapters(denoiser, recipe.lora, seed, [] if mask is None else [mask])
    return cast("nn.Module", denoiser)


def network(options: dict[str, Any], **how: Any) -> Any:
    """Return a transformers `*ForMaskedLM` of a model_type and options of its config.

    how: of `from_config`, such as attn_implementation. Raises StrategyError for options that make
    no network.
    """
    from transformers import AutoConfig, AutoModelForMaskedLM

    def make(**options: Any) -> Any:
        return AutoModelForMaskedLM.from_config(AutoConfig.for_model(**options), **how)

    return _made(make, **options)


def sized(material: Material, width: int, layers: int) -> dict[str, Any]:
    """Return a recipe's backbone of a kind that suits the data."""
    if material.stream and kinds(material) == 1:  # classes need token types
        heads = {"num_attention_heads": max(4, width // HEAD)}
        sizes = {"hidden_size": width, "num_hidden_layers": layers, "intermediate_size": 2 * width}
        return {**IN_STREAMS, **sizes, **heads}
    return small(width, layers, num_attention_heads=max(4, width // HEAD))


def backbone(recipe: Recipe, material: Material) -> dict[str, Any]:
    """Return all options of the network's config: those of the recipe, and those set by the data.

    Raises StrategyError for unknown options, and those that the data sets.
    """
    several = kinds(material)
    chosen: dict[str, Any] = recipe.backbone or sized(material, 128, 4)
    if "model_type" not in chosen:
        raise StrategyError(
            f"backbone={recipe.backbone} has no model_type: add one, such as "
            "backbone.model_type=modernbert"
        )
    known = _options(chosen["model_type"])
    sizes = (material.vocabulary.total, material.length, several)
    fixed: dict[str, Any] = {**dict(zip(_SIZES, sizes, strict=True)), **dict.fromkeys(_SPECIAL)}
    for name, value in chosen.items():
        size = name.startswith("num_") or name.endswith("_size")
        if size and isinstance(value, int) and value < 1:
            raise StrategyError(f"backbone.{name}={value}: pass 1 or more")
        if name in fixed:
            raise StrategyError(f"backbone.{name} is set by the data: leave it out")
        if name not in known:
            hint = nearest(name, known)
            raise StrategyError(f"{chosen['model_type']} has no option {name!r}: {hint}")
    if several > 1 and "type_vocab_size" not in known:
        raise StrategyError(
            f"the data has {material.classes} classes and {chosen['model_type']} has no token "
            "types to tell them by: pass backbone.model_type=megatron-bert, or data without classes"
        )
    return chosen | {name: value for name, value in fixed.items() if name in known}


def without_data(options: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a network's options that a recipe's backbone has."""
    return {name: each for name, each in options.items() if name not in (*_SIZES, *_SPECIAL)}


def _options(model_type: str) -> list[str]:
    """Return the options of a transformers config, which accepts and ignores other names."""
    library("accelerate", "train", "training needs accelerate")  # as transformers' Trainer does
    transformers = library("transformers", "train", "training needs transformers")
    return list(_made(transformers.AutoConfig.for_model, model_type=model_type).to_dict())


def _made(make: Callable[..., Any], **options: Any) -> Any:
    """Return what transformers makes of options. Raises StrategyError for those that it refuses."""
    try:
        return make(**options)
    except Exception as error:  # options of any kind reach code of transformers and torch
        raise StrategyError(
            f"backbone={options} makes no network: {str(error)[:300]}; pass a model_type of "
            "transformers that has a *ForMaskedLM, such as modernbert, and options of its config"
        ) from error


def finished(denoiser: Any, material: Material) -> Any:
    """Return the model to save: without packing, and the classes of warped examples."""
    if isinstance(denoiser, Packed):
        denoiser = denoiser.inner
    if material.base is not None or not isinstance(denoiser, ClassConditioned):
        return denoiser
    if not material.classes:
        return denoiser.inner
    return ClassConditioned(denoiser.inner, material.classes)


def packed(denoiser: Any, recipe: Recipe, material: Material) -> Any:
    """Return the network to train, on rows that several examples share if the recipe says so.

    Raises StrategyError for rows that the longest example does not fit into, and ModelError, as
    `Packed` does, for networks that cannot keep examples apart.
    """
    width = recipe.packed
    if width is None:
        return denoiser
    if width < material.length:
        raise StrategyError(
            f"packed={width}, and examples have up to {material.length} positions: pass "
            f"packed={2 * material.length}, or more, so that several fit into a row"
        )
    try:
        return Packed(denoiser, width)
    except ModelError as error:
        raise ModelError(f"packed={width}: {error}") from error


def take_weights(denoiser: nn.Module, folder: Path) -> None:
    """Give a network to train the weights of a finished model of the same settings."""
    saved: Any = load(folder)
    own: Any = denoiser
    try:
        getattr(own, "inner", own).load_state_dict(getattr(saved, "inner", saved).state_dict())
    except RuntimeError as error:
        raise CheckpointError(f"{folder} has another network: {str(error)[:300]}") from None
