"""A family of language models: what its files say of its networks, and what they leave out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

Config = Mapping[str, Any]


def as_it_is(config: Config) -> dict[str, Any]:
    """Return the entries of a config whose names and meanings are the stock class's own."""
    return dict(config)


@dataclass(frozen=True)
class Family:
    """Networks of one arithmetic, which a class of transformers' own has under other names.

    A field beginning with "default" is used where the files of a model say nothing.
    """

    name: str
    """As `unmask.load(..., family=)` takes it."""
    models: str
    """Published models, in words."""
    papers: tuple[str, ...]
    """arXiv ids."""
    repository: str | None
    """One of them on the hub."""
    stock: str
    """The class of transformers, such as "LlamaForCausalLM"."""
    own: bool = False
    """Whether that class is unmask's own (`models/dit.py`), where transformers has none."""
    model_types: tuple[str, ...] = ()
    """The `model_type` in `config.json`; none if left-to-right models have the same."""
    marks: Mapping[str, Any] = field(default_factory=dict)
    """Entries of `config.json` that left-to-right models of that type do not have."""
    architecture: str = ""
    """How the class in `config.json` is called, where several families share a model_type."""
    config: Callable[[Config], dict[str, Any]] = as_it_is
    """The entries of the stock class's config. Raises ModelError for a network it cannot be."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Patterns of names of weights, and the stock names in their place."""
    fused_heads: tuple[str, tuple[str, ...]] | None = None
    """One weight of queries, keys and values, and the names of its three parts."""
    default_block: int | None = None
    """Positions of a block, if attention is block-causal; None for bidirectional attention."""
    canvases: bool = False
    """Whether an encoder reads the prompt, and blocks are canvases behind it, without a mask id."""
    logit_shift: bool = False
    """Whether the logits of a position stand at the one before it."""
    tokenizers: tuple[str, ...] = ("PreTrainedTokenizerFast",)
    """Classes that open the tokenizer where its own is code of the authors."""
    end_tokens: tuple[str, ...] = ()
    """Names of tokens that end a text, beside the end of sequence that the files name."""
    template: Mapping[str, Any] = field(default_factory=dict)
    """Options of the tokenizer's chat template."""
    padding: str = "excluded"
    """What follows the end of a row when it is trained further, as in a recipe: "excluded", which
    is in no loss, or learnt ends of sequence: "end_of_sequence", or "block_fill" to the end of its
    block, behind which a network of blocks is shown unknown positions."""
    default_mask_id: int | None = None
    """The mask id, where the authors' code has it and no file does."""
    preset: Mapping[str, Any] = field(default_factory=lambda: {"name": "llada"})
    """The authors' decoding, as a name of `unmask.presets` with options."""
    generation: Mapping[str, str] = field(default_factory=dict)
    """Entries of `generation_config.json`, a point for one inside another, and these options."""

    def recommended(self, block: int | None, generation: Config = MappingProxyType({})) -> Any:
        """Return the preset for attention in blocks of this size, a dict.

        generation: the model's `generation_config.json`.
        """
        if block is None:
            return dict(self.preset)
        if self.default_block is None:  # trained with blocks, although others of it are not
            sizes = {"block": block, "steps": block}
            return {"name": "sdar", "threshold": None, "temperature": 0.0, **sizes}
        sized = {key for key, value in self.preset.items() if value == self.default_block}
        said = {name: _entry(generation, path) for path, name in self.generation.items()}
        found = {name: value for name, value in said.items() if value is not None}
        return {**self.preset, **dict.fromkeys(sized, block), **found}


def _entry(config: Any, path: str) -> Any:
    for name in path.split("."):
        config = config.get(name) if isinstance(config, Mapping) else None
    return config
