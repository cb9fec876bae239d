"""transformers' `*ForMaskedLM` (BERT, RoBERTa, ModernBERT, ESM, ...) as a denoiser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unmask.core.network import Cache, Query
from unmask.core.projection import Projection, untied, watched
from unmask.errors import CanvasError, ModelError
from unmask.models import trial
from unmask.models.adapter import Adapter, Way, keywords
from unmask.models.outputs import arguments, has_base, inside, logits_of, states_of

POSITIONS = ("position_embeddings", "embed_positions")
"""The names that transformers' networks give to a table of positions."""


def is_transformers(net: object) -> bool:
    """Return whether this is a transformers network with a head that predicts ids, or in peft."""
    inner: Any = backbone_of(net)
    return has_base(inner, "transformers.", "PreTrainedModel") and (
        inner.get_output_embeddings() is not None or type(inner).__name__.endswith("ForMaskedLM")
    )


def backbone_of(net: Any) -> Any:
    """Return the network in its wrappers, or that inside a peft model (LoRA 2106.09685)."""
    net = inside(net)
    return net.get_base_model() if is_adapted(net) else net


def is_adapted(net: object) -> bool:
    """Return whether this is a peft model, without importing peft."""
    return has_base(net, "peft.", "PeftModel")


def check_kind(net: Any) -> None:
    """Raise ModelError for a transformers network that is no masked language model."""
    inner = backbone_of(net)
    kind = type(inner).__name__
    if is_adapted(net) and any(c.is_prompt_learning for c in net.peft_config.values()):
        raise ModelError(
            "the peft model learns a prompt, which stands before every row and has no position of "
            "its own here: use an adapter that changes weights, such as LoRA"
        )
    if getattr(inner.config, "is_encoder_decoder", False):
        raise ModelError(
            f"{kind} is an encoder with a decoder, which reads tokens twice: pass a *ForMaskedLM "
            "that has an encoder alone"
        )
    if kind.endswith(("ForCausalLM", "LMHeadModel")) and not hasattr(inner, "pred_layer"):
        raise ModelError(
            f"{kind} attends to earlier positions only: use unmask.models.Decoder(net, mask_id) "
            "for one that was trained as a masked model, and unmask.convert to make it one"
        )


def position_table(net: nn.Module) -> Any:
    """Return the module with the embeddings of positions, None where there is none."""
    for name, module in net.named_modules():
        if name.rpartition(".")[2] in POSITIONS and hasattr(module, "num_embeddings"):
            return module
    return None


def first_position(net: Any) -> int | None:
    """Return the position of a row's first token where a network derives positions from ids.

    Networks such as RoBERTa count the ids that are not padding, which breaks where a token equals
    that id. Their table of positions has a row for padding, and positions begin behind it.
    """
    padding = getattr(position_table(net), "padding_idx", None)
    return None if padding is None or "position_ids" not in arguments(net) else padding + 1


def longest_row(net: Any) -> int | None:
    """Return the most positions that the network can tell apart, None where that is not known."""
    limits = [getattr(net.config, "max_position_embeddings", None)]
    table = position_table(net)
    if table is not None:
        padding = getattr(table, "padding_idx", None)
        limits.append(int(table.num_embeddings) - (0 if padding is None else padding + 1))
    return min((each for each in limits if isinstance(each, int) and each > 0), default=None)


def _depends_on_length(config: Any) -> bool:
    """Whether attention is of another kind in longer rows, which no trial of short ones shows."""
    sparse = getattr(config, "attention_type", None) == "block_sparse"  # BigBird
    return sparse or config.model_type == "reformer"


def _restore(net: Any) -> None:
    """Undo what a short row has changed for good: BigBird then leaves its sparse attention."""
    chosen = getattr(net.config, "attention_type", None)
    if chosen is not None and getattr(net.base_model, "attention_type", chosen) != chosen:
        net.base_model.set_attention_type(chosen)


def position_ids(first: int, valid: Tensor) -> Tensor:
    """Return (B,N) int64: first, first + 1, ... at valid positions, first − 1 elsewhere."""
    return valid.long().cumsum(1) * valid + (first - 1)


def split_head(net: Any) -> Any:
    """Return the function from the last hidden states to logits; None for an unknown head.

    It is found by its name, so that a trial must show that it is all that follows the trunk.
    """
    if hasattr(net, "cls") and hasattr(net.cls, "predictions"):
        return net.cls
    if hasattr(net, "head") and hasattr(net, "decoder") and not hasattr(net, "lm_head"):
        return lambda hidden: net.decoder(net.head(hidden))
    return getattr(net, "lm_head", None)


def can_split(net: Any) -> bool:
    """Return whether trunk and head may stand for the network, as a trial then has to show.

    They may not in a compiled network, one with hooks, or with a `forward` of its own.
    """
    if inside(net) is not net:
        return False
    inner = backbone_of(net)
    own = type(inner).forward.__module__.startswith("transformers.")
    return own and split_head(inner) is not None and not watched(inner)


def split_projection(net: Any, hidden: Tensor) -> Projection | None:
    """Return the head's last, linear step for hidden states (M,D); None if it may not be linear.

    The submodules of a head are checked and not its name alone: MobileBERT's head, for instance,
    has a second matrix.
    """
    if hasattr(net, "cls") and _consists_of(net.cls, "predictions"):
        head = net.cls.predictions
        if _consists_of(head, "transform", "decoder"):
            return untied(head.transform(hidden), head.decoder, head)
    elif hasattr(net, "lm_head"):
        head = net.lm_head
        if isinstance(head, nn.Linear):
            return untied(hidden, head)
        if _consists_of(head, "dense", "layer_norm", "decoder"):
            features = head.layer_norm(nn.functional.gelu(head.dense(hidden)))
            return untied(features, head.decoder, head)
    elif hasattr(net, "head") and hasattr(net, "decoder"):
        return untied(net.head(hidden), net.decoder)
    return None


def _consists_of(module: nn.Module, *names: str) -> bool:
    """Return whether these are the module's only submodules, and it has no hooks."""
    return {name for name, _ in module.named_children()} == set(names) and not watched(module)


class MaskedLMDenoiser(Adapter):
    """A transformers `*ForMaskedLM`: the base model is the trunk; padding by attention mask.

    A trial shows whether base model and head are the whole network; otherwise the network runs
    whole, and its logits (R,N,V) stand for hidden states. Arguments as in `unmask.wrap`.
    """

    per_token = ("token_type_ids", "position_ids")

    def __init__(self, net: Any, mask_id: int | None, **options: Any):
        check_kind(net)
        inner = backbone_of(net)
        options |= {"supports_trimming": True, "max_length": longest_row(inner)}
        super().__init__(net, int(inner.config.vocab_size), mask_id, **options)
        self.first_position = first_position(inner)
        self._takes_mask = "attention_mask" in arguments(inner)
        self.way = self.ways[0]

    def settle(self) -> None:
        """Find the way to run the network, by a trial with the id of padding, or without it.

        A network that would derive positions from ids gets them passed, and cannot be compared.
        """
        padding = getattr(self.backbone.config, "pad_token_id", None)
        special = None if self.first_position is not None else padding
        trial.settle(self, special, padding if special is None else None)

    @property
    def backbone(self) -> Any:
        """The `*ForMaskedLM`."""
        return backbone_of(self.net)

    @property
    def apart(self) -> bool:
        """Whether the head runs apart; not in a network that got a hook since it was tried."""
        return self.way.split and not watched(self.backbone)

    @property
    def ways(self) -> Sequence[Way]:
        """Ways with the head apart where it is known, and with a mask without padding."""
        return [
            Way(apart, by_length, always_masks)
            for by_length in (
                (True,) if _depends_on_length(self.backbone.config) else (False, True)
            )
            for always_masks in (False, True)
            for apart in ((True, False) if can_split(self.net) else (False,))
        ]

    def whole(self, tokens: Tensor, condition: Any) -> Tensor:
        _restore(self.backbone)
        given = {}
        if self.way.always_masks and self._takes_mask:
            given["attention_mask"] = torch.ones_like(tokens)
        return self.shift_logits(logits_of(self.net(input_ids=tokens, **given), tokens))

    def run(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """Return (R,N,D), and None. A condition is a dict of keyword arguments of the network."""
        given, tokens = keywords(query.condition), query.tokens
        _restore(self.backbone)
        if query.padded and "attention_mask" in given:
            raise CanvasError(
                "the condition has an attention_mask, and rows have padding, which sets it: leave "
                "it out of the condition"
            )
        if (query.padded or self.way.always_masks) and self._takes_mask:
            given["attention_mask"] = query.valid.long()
        if query.padded:
            # Some networks count ids at padding too, as ESM counts mask ids.
            padding = getattr(self.backbone.config, "pad_token_id", None)
            tokens = tokens.masked_fill(~query.valid, padding or 0)
        if self.first_position is not None:
            given["position_ids"] = position_ids(self.first_position, query.valid)
        if not self.apart:
            return self.shift_logits(logits_of(self.net(input_ids=tokens, **given), tokens)), None
        output = self.backbone.base_model(input_ids=tokens, **given)
        return self.shift_logits(states_of(output, tokens)), None

    def head(self, hidden: Tensor) -> Any:
        # Found at each call, so that a copy of this module uses the head of its own network.
        return split_head(self.backbone)(hidden)

    def head_projection(self, hidden: Tensor) -> Projection | None:
        return split_projection(self.backbone, hidden)
