"""A description of a run in a few lines, printed before it begins."""

from __future__ import annotations

from typing import Any

import torch

from unmask.data import Corpus
from unmask.data.padding import to_dict
from unmask.training.material import Material, of_corpus
from unmask.training.network import backbone, network
from unmask.training.recipe import Recipe


def described(corpus: Corpus, recipe: Recipe) -> list[str]:
    """Return lines that describe the data, the network and the training."""
    material = of_corpus(corpus, recipe)
    passes = recipe.steps * recipe.batch_size / len(material.train)
    return [
        *corpus.split(recipe.data.held_out)[0].notes,
        _network(recipe, material),
        f"{recipe.steps:,} steps of {recipe.batch_size} examples ({passes:.1f} times through the "
        f"data), objective {recipe.objective}, learning rate {recipe.learning_rate:g}, "
        f"padding {to_dict(material.padding)['name']}",
        *_lengths(corpus, material),
    ]


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
