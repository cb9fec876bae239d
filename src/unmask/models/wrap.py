"""`wrap`: make a denoiser of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unmask.core.checks import is_integer
from unmask.core.network import Denoiser
from unmask.errors import ModelError
from unmask.models.adapter import Adapter
from unmask.models.hf import MaskedLMDenoiser, backbone_of, is_transformers
from unmask.models.outputs import has_base
from unmask.models.plain import PlainDenoiser
from unmask.models.self_conditioning import SelfConditioning
from unmask.models.x_transformers import XTransformersDenoiser, is_x_transformer

_WAYS = (
    "Pass (1) an x-transformers TransformerWrapper with an Encoder; (2) a transformers "
    "*ForMaskedLM, such as AutoModelForMaskedLM.from_pretrained(...); or (3) any callable tokens "
    "(B,N) -> logits (B,N,V). For a transformers *ForCausalLM trained as a masked model use "
    "unmask.models.Decoder(net, mask_id), for DiffusionGemma unmask.models.DiffusionGemma(net)."
)


def wrap(
    net: Any,
    *,
    mask_id: int | None = None,
    vocab_size: int | None = None,
    forbidden: Sequence[int] = (),
    length: int | None = None,
    self_conditioning: SelfConditioning | None = None,
    logit_shift: bool = False,
    try_network: bool = True,
) -> Adapter:
    """Return a denoiser of an x-transformers network, a transformers `*ForMaskedLM`, or a callable.

    mask_id: the id of unknown positions; it is never generated.
    vocab_size: V; if None, an attribute of the network, or found by one trial pass.
    forbidden: further ids that are never generated (padding, separators, class tokens).
    length: the N of `generate(denoiser, batch_size=...)`; default x-transformers' max_seq_len.
    logit_shift: the network's output at a position predicts the next one, as in networks trained
        first as left-to-right models (Dream 2508.15487, DiffuLLaMA 2410.17891).
    self_conditioning: `SelfConditioning(width)`, for an x-transformers network trained with it.
    try_network: run the network on a row of 3 positions, and on the same row with padding, to find
        whether rows of unequal length may share a pass and whether the head may run apart; False
        believes the network.
    Raises ModelError for a network of another kind, or options that do not fit it.
    """
    if isinstance(net, Denoiser):
        raise ModelError(f"{type(net).__name__} is a denoiser already: use it without wrap")
    if mask_id is None:
        raise ModelError(
            "mask_id is missing: pass the id that stands for an unknown token, as in "
            "unmask.wrap(net, mask_id=17) or mask_id=tokenizer.mask_token_id"
        )
    if not is_integer(mask_id):
        raise ModelError(f"mask_id={mask_id!r}: pass an integer id")
    if not isinstance(logit_shift, bool):
        raise ModelError(f"logit_shift={logit_shift!r}: pass True or False")
    options: dict[str, Any] = {"forbidden": forbidden, "length": length, "logit_shift": logit_shift}
    kind: Any  # of adapter
    if is_x_transformer(net):
        kind, found = XTransformersDenoiser, net.num_tokens
        options["self_conditioning"] = self_conditioning
    elif self_conditioning is not None:
        raise ModelError(
            f"self_conditioning needs an x-transformers TransformerWrapper, and this is a "
            f"{type(net).__name__}: leave it out"
        )
    elif is_transformers(net) and not has_base(net, "transformers.", "DiffusionGemma*"):
        kind, found = MaskedLMDenoiser, backbone_of(net).config.vocab_size
    else:
        _reject_foreign(net)
        kind, found = PlainDenoiser, getattr(net, "vocab_size", getattr(net, "num_tokens", None))
        found = found if isinstance(found, int) else None
        options["vocab_size"] = found or vocab_size
    if found is not None and vocab_size not in (None, found):
        raise ModelError(
            f"vocab_size={vocab_size}, and the network has {found} ids: leave vocab_size out"
        )
    denoiser: Adapter = kind(net, mask_id, **options)
    if try_network:
        denoiser.settle()
    return denoiser


def _reject_foreign(net: Any) -> None:
    """Raise ModelError for an object or network that cannot be a denoiser."""
    kind = type(net)
    found = f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(net, type) or not callable(net):
        what = f"the class {net.__name__}, not an instance" if isinstance(net, type) else found
        raise ModelError(f"found {what}, which cannot be called on tokens. {_WAYS}")
    for library, known in (
        ("transformers.", "a transformers model that is no *ForMaskedLM"),
        ("x_transformers.", "an x-transformers module that is no TransformerWrapper"),
    ):
        if has_base(net, library, "*"):
            raise ModelError(f"found {found}, {known}. {_WAYS}")
