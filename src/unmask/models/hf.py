"""transformers' `*ForMaskedLM` (BERT, RoBERTa, ModernBERT, ESM, ...) as a denoiser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from unmask.core.network import Cache, Query
from unmask.core.projection import Projection, untied, watched
from unmask.models.adapter import Adapter, keywords, make_spec

# These derive positions from `input_ids != pad id`, which breaks where a token equals that id.
POSITIONS_FROM_IDS = {
    "camembert", "data2vec-text", "esm", "ibert", "longformer", "mpnet", "roberta",
    "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod",
}  # fmt: skip


def is_masked_lm(net: object) -> bool:
    """Return whether this is a transformers `*ForMaskedLM`, or a peft model around one."""
    kinds = [k for k in type(backbone_of(net)).__mro__ if k.__module__.startswith("transformers.")]
    return any(kind.__name__.endswith("ForMaskedLM") for kind in kinds)


def backbone_of(net: Any) -> Any:
    """Return the network, or that inside a peft model (LoRA 2106.09685)."""
    return net.get_base_model() if is_adapted(net) else net


def is_adapted(net: object) -> bool:
    """Return whether this is a peft model, without importing peft."""
    kinds = [k for k in type(net).__mro__ if k.__module__.startswith("peft.")]
    return any(kind.__name__ == "PeftModel" for kind in kinds)


def position_ids(config: Any, valid: Tensor) -> Tensor:
    """Return (B,N) int64: pad id + 1, + 2, ... at valid positions, the pad id elsewhere."""
    return valid.long().cumsum(1) * valid + int(config.pad_token_id)


def split_head(net: Any) -> Callable[[Tensor], Tensor] | None:
    """Return the function from the last hidden states to logits; None for an unknown head."""
    if hasattr(net, "cls") and hasattr(net.cls, "predictions"):
        head: Callable[[Tensor], Tensor] = net.cls
        return head
    if hasattr(net, "lm_head") and net.config.model_type in POSITIONS_FROM_IDS:
        head = net.lm_head
        return head
    if net.config.model_type == "modernbert":
        return lambda hidden: net.decoder(net.head(hidden))
    return None


def split_projection(net: Any, hidden: Tensor) -> Projection | None:
    """Return the head's last, linear step for hidden states (M,D); None if it may not be linear.

    The submodules of a head are checked and not its name alone: MobileBERT's head, for instance,
    has a second matrix.
    """
    if hasattr(net, "cls") and _consists_of(net.cls, "predictions"):
        head = net.cls.predictions
        if _consists_of(head, "transform", "decoder"):
            return untied(head.transform(hidden), head.decoder, head)
    elif hasattr(net, "lm_head") and net.config.model_type in POSITIONS_FROM_IDS:
        head = net.lm_head
        if _consists_of(head, "dense", "layer_norm", "decoder"):
            features = head.layer_norm(nn.functional.gelu(head.dense(hidden)))
            return untied(features, head.decoder, head)
    elif net.config.model_type == "modernbert":
        return untied(net.head(hidden), net.decoder)
    return None


def _consists_of(module: nn.Module, *names: str) -> bool:
    """Return whether these are the module's only submodules, and it has no hooks."""
    return {name for name, _ in module.named_children()} == set(names) and not watched(module)


class MaskedLMDenoiser(Adapter):
    """A transformers `*ForMaskedLM`: the base model is the trunk; padding by attention mask.

    If the head is not recognised, the whole network is the trunk, and its logits (R,N,V) stand for
    hidden states. Arguments as in `unmask.wrap`.
    """

    def __init__(
        self,
        net: Any,
        mask_id: int | None,
        *,
        forbidden: Sequence[int] = (),
        length: int | None = None,
        logit_shift: bool = False,
    ):
        vocab = int(backbone_of(net).config.vocab_size)
        spec = make_spec(vocab, mask_id, forbidden, length, supports_trimming=True)
        super().__init__(spec, logit_shift)
        self.net = net
        self.split = split_head(self.backbone) is not None

    @property
    def backbone(self) -> Any:
        """The `*ForMaskedLM`."""
        return backbone_of(self.net)

    def forward(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """Return (R,N,D), and None. A condition is a dict of keyword arguments of the network."""
        given, tokens = keywords(query.condition), query.tokens
        net, config = self.backbone, self.backbone.config
        if query.padded:
            given["attention_mask"] = query.valid.long()
            # Some networks count ids at padding too, as ESM counts mask ids.
            tokens = tokens.masked_fill(~query.valid, config.pad_token_id or 0)
        if config.model_type in POSITIONS_FROM_IDS:
            given["position_ids"] = position_ids(config, query.valid)
        if not self.split:
            return self.shift_logits(net(input_ids=tokens, **given).logits), None
        hidden: Tensor = net.base_model(input_ids=tokens, **given).last_hidden_state
        return self.shift_logits(hidden), None

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits (M,V) of hidden states (M,D)."""
        # Found at each call, so that a copy of this module uses the head of its own network.
        head = split_head(self.backbone)
        return hidden if head is None else head(hidden)

    def projection(self, hidden: Tensor) -> Projection | None:
        """Return the projection whose product is the logits of hidden (M,D); None if unknown."""
        return split_projection(self.backbone, hidden) if self.split else None
