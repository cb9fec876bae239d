"""A description of a run in a few lines, printed before it begins."""

from __future__ import annotations

from typing import Any

import torch

from unmask.data import Corpus
from unmask.data.padding import to_dict
from unmask.training.base_model import Base
from unmask.training.material import Material, of_base, of_corpus
from unmask.training.network import backbone, network
from unmask.training.recipe import Recipe


def described(corpus: Corpus, recipe: Recipe, base: Base | None = None) -> list[str]:
    """Return lines that describe the data, the network and the training."""
    recipe = recipe.settled(None if base is None else base.block)
    material = of_corpus(corpus, recipe) if base is None else of_base(corpus, recipe, base)
    passes = recipe.steps * recipe.batch_size / len(material.train)
    return [
        *corpus.split(recipe.data.held_out)[0].notes,
        *([_network(recipe, material)] if base is None else _base(recipe, material, base)),
        f"{recipe.steps:,} steps of {recipe.batch_size} examples ({passes:.1f} times through the "
        f"data), objective {recipe.objective}, learning rate {recipe.learning_rate:g}, "
        f"padding {to_dict(material.padding)['name']}"
        + (f", packed into rows of {recipe.packed} positions" if recipe.packed else ""),
        *(_lengths(corpus, material) if base is None else []),
    ]


def _base(recipe: Recipe, material: Material, base: Base) -> list[str]:
    """Return lines on the model that is trained further, and on which of its weights."""
    said, anneal = base.described(), recipe.anneal_steps
    lora, dtype = recipe.lora, base.options.dtype
    kind = f" ({said['models']})" if "models" in said else ""
    seen = "all positions" if base.block is None else f"blocks of {base.block}"
    trained = "all weights, in " + (dtype or "float32")
    if lora.rank:
        where = ", ".join(lora.targets) or "all linear layers but the head"
        trained = f"adapters of rank {lora.rank} at {where}"
        trained += ", and the mask token's row" if "converted" in said else ""
    notes = [
        f"{base.name}{kind}, attention to {seen}, rows of up to {material.length} positions, "
        f"{base.size} ids; trained: {trained}"
    ]
    if "converted" in said:
        shift = "stay at the one before it" if said["converted"]["logit_shift"] else "move to it"
        opened = f"opens over the first {anneal} steps" if anneal else "is open at once"
        notes.append(
            f"converted from left to right: mask id {base.mask_id}, attention {opened}, logits of "
            f"a position {shift}"
        )
    if not lora.rank and dtype in ("bfloat16", "auto"):
        notes.append(f"weights of dtype {dtype} lose small changes: dtype float32 keeps them")
    if base.block is not None and recipe.objective != "block_diffusion":
        notes.append(
            f"objective {recipe.objective} draws how much is hidden for a whole row; "
            "block_diffusion draws it for each block, with less spread"
        )
    if material.padding.eos_id is not None:
        notes.append(f"behind its end a row goes on with id {material.padding.eos_id}, as learnt")
    return notes


def _lengths(corpus: Corpus, material: Material) -> list[str]:
    """Return a line on whether the lengths of documents are learnt."""
    end = material.padding.eos_id
    if not corpus.documents:
        return []
    if end is not None:
        return [f"lengths are learnt: after its end a document goes on with id {end}"]
    if material.vocabulary.eos_id is not None:
        return ["lengths are not learnt: padding=end_of_sequence teaches where documents end"]
    return ["lengths are not learnt: these ids have no end of sequence; a tokenizer may have one"]


def _network(recipe: Recipe, material: Material) -> str:
    options: dict[str, Any] = backbone(recipe, material)
    with torch.device("meta"):  # parameters are counted without being allocated
        size = sum(p.numel() for p in network(options).parameters())
    layers, width = options.get("num_hidden_layers", "?"), options.get("hidden_size", "?")
    chosen = "" if recipe.backbone else " (chosen: backbone.* in a recipe makes another)"
    return (
        f"{options['model_type']}, {layers} layers of width {width}, {size:,} parameters, "
        f"{material.length} positions, {material.vocabulary.total} ids{chosen}"
    )
