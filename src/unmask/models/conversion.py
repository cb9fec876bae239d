"""Left-to-right networks of transformers as masked ones: which can be, and the change itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from unmask.errors import ModelError
from unmask.models.decoder import Decoder, check_rotary, sliding_window
from unmask.models.families import Files
from unmask.models.families.catalogue import CATALOGUE, CONVERTED
from unmask.models.families.files import library, special_ids
from unmask.models.families.opening import read_network
from unmask.models.families.recognition import family_of
from unmask.models.hf import backbone_of

CHUNK = 4096  # rows of an embedding that are added up at once
PLAIN = next(row for row in CATALOGUE if row.name == "a2d_llama")


def causal_class(name: str, config: Mapping[str, Any]) -> str:
    """Return the `*ForCausalLM` of transformers that a model is. config: of its `config.json`.

    Raises ModelError for masked models, encoders, and encoders with a decoder.
    """
    library()
    from transformers.models.auto import modeling_auto as known

    model_type, said = str(config.get("model_type")), (config.get("architectures") or [""])[0]
    row, _ = family_of(config)
    causal = known.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(model_type)
    masked = known.MODEL_FOR_MASKED_LM_MAPPING_NAMES.get(model_type)
    told = f"{name} is a {said or model_type}"
    if row is not None:
        raise ModelError(
            f"{name} is of {row.models}, and masked already: {_already(name)}, without conversion"
        )
    if config.get("is_encoder_decoder"):
        raise ModelError(
            f"{told}, an encoder with a decoder, which has no attention to open: pass a model of a "
            "decoder alone, a *ForCausalLM such as Qwen3ForCausalLM"
        )
    if masked is not None and said != causal:
        raise ModelError(
            f"{told}, an encoder, which attends to all positions already: {_already(name)}, "
            "without conversion"
        )
    if causal is None or causal.endswith("ForConditionalGeneration"):
        raise ModelError(
            f"{told}, and model_type={model_type!r} is no left-to-right model of text that "
            "transformers opens: pass a *ForCausalLM, such as LlamaForCausalLM"
        )
    return str(causal)


def check_attention(name: str, config: Any) -> None:
    """Raise ModelError for a config whose positions or windows do not allow open attention."""
    check_rotary(config)
    window = sliding_window(config)
    if window is not None:
        raise ModelError(
            f"{name} has layers with a sliding window of {window} positions, and open attention "
            f"has no window, so that they would read what they never learnt to: pass a model "
            "without one (for rows that are never longer, take the window out of its config.json)"
        )
    inner = getattr(config, "attn_config", None)
    slopes = getattr(config, "alibi", False) or getattr(inner, "alibi", False)
    if slopes or getattr(config, "model_type", None) == "bloom":
        raise ModelError(
            f"{name} has ALiBi in place of positions, which favours a position the more, the later "
            "it is, and so knows no distance to later ones: pass a model with rotary or learnt "
            "positions"
        )


def converted(
    net: Any, mask_id: int, tokenizer: Any, *, block: int | None, logit_shift: bool
) -> Decoder:
    """Return a left-to-right network as a masked one, in evaluation mode.

    The network is changed in place, and no weight is copied but the embeddings, where they need
    room: the row of the mask id becomes the mean of those of the tokenizer's other tokens.
    Raises ModelError, before that, for a network that does not obey a 4-D attention mask.
    """
    Decoder(net, 0, block=block)  # its trial
    inner = backbone_of(net)
    if mask_id >= inner.config.vocab_size:
        inner.resize_token_embeddings(mask_id + 1, mean_resizing=False)
    words = sorted({int(number) for number in tokenizer.get_vocab().values()} - {mask_id})
    for layer in (inner.get_input_embeddings(), inner.get_output_embeddings()):
        _to_mean(layer, mask_id, torch.tensor(words))
    decoder = Decoder(net, mask_id, block=block, logit_shift=logit_shift)
    row = CONVERTED.get(type(inner).__name__, PLAIN)
    sources = (getattr(inner, "generation_config", None), inner.config)
    ends = end_ids(type(inner).__name__, [ends_of(each) for each in sources], tokenizer)
    decoder.spec = replace(
        decoder.spec,
        recommended=row.recommended(block),
        end_id=next(iter(ends), None),
        other_ends=ends[1:],
        reserved=tuple(each for each in special_ids(tokenizer) if each not in {mask_id, *ends}),
    )
    return decoder.eval()


def ends_of(config: Any) -> list[Any]:
    """Return the ids that a config, or settings of generation, say to end a text."""
    found = getattr(config, "eos_token_id", None)
    return found if isinstance(found, list) else [found]


def end_ids(kind: str, told: Sequence[list[Any]], tokenizer: Any) -> tuple[int, ...]:
    """Return the ids that end a text: of the network, the family and the tokenizer.

    kind: the network's class. told: what its settings say, the best first; of these, words of the
    tokenizer are defaults of a config, and end nothing.
    """
    row, words = CONVERTED.get(kind, PLAIN), tokenizer.get_vocab()
    named = [words.get(name) for name in row.end_tokens]
    special = set(special_ids(tokenizer))
    said = [each for ids in told for each in ids]
    known = [each for each in (*said, tokenizer.eos_token_id, *named) if each in special]
    return tuple(dict.fromkeys(map(int, known)))


@torch.no_grad()
def _to_mean(layer: Any, row: int, words: Tensor) -> None:
    """Set a row of an embedding (V,D), or of a head, to the mean of the rows `words` (n,) int64."""
    for each in (layer.weight, getattr(layer, "bias", None)):
        if each is not None:
            parts = words.to(each.device).split(CHUNK)
            total = sum(each.index_select(0, part).float().sum(0) for part in parts)
            each[row] = (total / len(words)).to(each.dtype)


def _already(name: str) -> str:
    """Return how a masked model is opened and trained further. name: of a model, or of a class."""
    return (
        f"open it by unmask.load({name!r}) (or unmask.wrap, if it is a network), and train it "
        f"further by `unmask train --from {name}`"
    )


def open_causal(files: Files, kind: str, loading: Mapping[str, Any]) -> Any:
    """Return a left-to-right network of transformers. kind: its class. Raises as `load` does."""
    return read_network(getattr(library(), kind), files, {**files.options, **loading})
