"""`convert`: a text model of a left-to-right one; `convertible`: the same, before it is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from unmask.core.checks import check_count, check_flag
from unmask.core.network import Denoiser
from unmask.decoding import Strategy
from unmask.decoding.inputs import check_strategy
from unmask.errors import ModelError
from unmask.models.adapter import Adapter
from unmask.models.checkpoint import read_card
from unmask.models.conversion import (
    PLAIN,
    causal_class,
    check_attention,
    converted,
    end_ids,
    ends_of,
    open_causal,
)
from unmask.models.decoder import check_decoder
from unmask.models.families import Files, Found
from unmask.models.families.catalogue import CONVERTED
from unmask.models.families.files import library, special_ids
from unmask.models.forwarding import Forwarding
from unmask.models.hf import backbone_of
from unmask.models.loading import FILES, LOADING, Recognised, is_pretrained
from unmask.text.encoding import TokenizerEncoding
from unmask.text.inputs import check_size
from unmask.text.mask_token import with_mask
from unmask.text.model import TextModel


def convert(
    model: Any,
    *,
    tokenizer: Any = None,
    mask_token: str | None = None,
    mask_id: int | None = None,
    block: int | None = None,
    logit_shift: bool = True,
    strategy: Strategy | None = None,
    dtype: Any = None,
    device_map: Any = None,
    attn_implementation: str | None = None,
    revision: str | None = None,
    subfolder: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
) -> TextModel:
    """Return the text model of a left-to-right one, to be trained on as a masked model.

    model: a folder or repository of transformers', or a network, of a `*ForCausalLM` (Qwen3, Qwen2,
    Llama, GPT-2, ...). tokenizer: one of transformers'; by default that beside the model. strategy:
    as of `TextModel`. The last eight are arguments of `from_pretrained`, as in `unmask.load`.

    mask_token: its mask token, which is added; by default its own, or `<|mask|>`. A token that it
    has and does not use does, too, and so does mask_id, an id of the network. Where the network has
    no room, its embeddings get a row. In either case, the row is the mean of the others.

    block: positions of a block, where attention is to be block-causal; None for bidirectional.

    logit_shift: whether the logits of a position stay at the one before it, where the network has
    learnt to have them. So do DiffuLLaMA (2410.17891), Dream (2508.15487) and Fast-dLLM v2
    (2509.26328); A2D and SDAR (2510.06303) move them to the position itself. True is the default,
    because with it the network says the same as before it was converted wherever nothing later is
    known, while without it the first thing that it has to learn is to read its own position.
    `benchmarks/conversion.py` measures both. In a block-causal network with a shift, the first
    position of a block reads the blocks before it alone.

    The attention of the result, `text.denoiser`, is open at once. To open it gradually in training,
    set its `open_share` (see `models.Decoder`) before each step, or give the trainer
    `training.AttentionAnnealing(text.denoiser, steps)` as a callback.

    A network that is passed is changed in place; the tokenizer is copied. `text.save(folder)` keeps
    all of it. Raises ModelError, before weights are read, for a model that is masked already, that
    is or has an encoder, with a sliding window, ALiBi, or positions that depend on the length, for
    a mask token that is in use, and for a tokenizer of another model; then, before anything is
    changed, for a network that does not obey a 4-D mask.
    """
    # By identity, for 0 may be a device.
    given = {k: v for k, v in locals().items() if all(v is not each for each in (None, False))}
    options = {name: given[name] for name in (*LOADING, *FILES) if name in given}
    _check_how(block, logit_shift)
    if strategy is not None:
        check_strategy(strategy)
    named = isinstance(model, str | Path)
    source = _of_files(str(model), options) if named else _of_net(model, options)
    own, mask = _tokenizer(source, tokenizer, mask_token, mask_id)
    encoding = TokenizerEncoding(own, mask, surround=False)
    net = source.net()
    denoiser = converted(net, mask, own, block=block, logit_shift=logit_shift)
    row, ends = CONVERTED.get(type(denoiser.backbone).__name__), denoiser.spec
    return TextModel(
        denoiser,
        encoding,
        strategy=strategy,
        end_ids=[each for each in (ends.end_id, *ends.other_ends) if each is not None],
        template=None if row is None else row.template,
    )


@dataclass(frozen=True)
class Convertible(Recognised):
    """A left-to-right model before a weight is read; `open` converts it.

    logit_shift: as of `convert`. The tokenizer that is `found` has the mask token.
    """

    logit_shift: bool = True

    def open(self) -> Adapter | Forwarding:
        """Return the denoiser, in evaluation mode. Raises as `convert` does."""
        assert self.files is not None
        assert self.found is not None
        mask, own = self.found.mask_id, self.found.tokenizer
        assert mask is not None
        net = open_causal(self.files, self.found.stock, self.loading)
        how: dict[str, Any] = {"block": self.found.block, "logit_shift": self.logit_shift}
        return converted(net, mask, own, **how)


def convertible(
    model: str,
    *,
    tokenizer: Any = None,
    mask_id: int | None = None,
    block: int | None = None,
    logit_shift: bool = True,
    options: Mapping[str, Any],
) -> Convertible:
    """Return a left-to-right model in files, to be converted. Arguments and errors as of `convert`.

    options: of `from_pretrained`.
    """
    _check_how(block, logit_shift)
    source = _of_files(model, options)
    own, mask = _tokenizer(source, tokenizer, None, mask_id)
    files, kind = source.files, source.kind
    assert files is not None
    told = [ends_of(SimpleNamespace(**files.generation)), ends_of(source.config)]
    ends = end_ids(kind, told, own)
    reserved = tuple(each for each in special_ids(own) if each not in {mask, *ends})
    row, reasons = CONVERTED.get(kind, PLAIN), {"kind": f"a {kind}, to be converted"}
    found = Found(row, kind, False, mask, ends, reserved, block, reasons, own)
    loading = {name: options[name] for name in LOADING if name in options}
    return Convertible(files, found, None, None, None, loading, logit_shift)


@dataclass(frozen=True)
class _Source:
    """A left-to-right model before a weight is read. kind: its class. net, tokenizer: open them."""

    name: str
    kind: str
    config: Any
    tokenizer: Callable[[], Any]
    net: Callable[[], Any]
    files: Files | None = None


def _check_how(block: int | None, logit_shift: bool) -> None:
    """Raise ModelError for a block or a flag that can be none."""
    check_flag("logit_shift", logit_shift, ModelError)
    if block is not None:
        check_count("block", block, ModelError)


def _of_files(name: str, options: Mapping[str, Any]) -> _Source:
    """Return the source in a folder or repository, as it may be converted."""
    if not is_pretrained(name):
        read_card(name)
        raise ModelError(
            f"{name} is a folder of unmask.save, and masked already: open it by "
            f"unmask.load({name!r}), and train it further by `unmask train --from {name}`, without "
            "conversion"
        )
    given = dict(options)
    files = Files(name, {key: given.pop(key) for key in FILES if key in given})
    kind = causal_class(name, files.config)
    try:
        config = library().AutoConfig.from_pretrained(
            name, **files.options, trust_remote_code=False
        )
    except Exception as error:  # of transformers' checks
        raise ModelError(f"{name} has a config that {kind} does not take: {error}") from error
    check_attention(name, config)
    open_it = partial(open_causal, files, kind, given)
    return _Source(name, kind, config, files.tokenizer, open_it, files)


def _of_net(net: Any, options: Mapping[str, Any]) -> _Source:
    """Return the source of a network, as it may be converted."""
    if isinstance(net, Denoiser):
        raise ModelError(
            f"{type(net).__name__} is a denoiser, and masked already: train it without conversion, "
            "or pass the *ForCausalLM that it was made of"
        )
    inner = backbone_of(net)
    name = type(inner).__name__
    config: Any = getattr(inner, "config", None)
    if not hasattr(config, "to_dict"):
        raise ModelError(
            f"{name} is no network of transformers: pass a folder, a repository such as "
            "'Qwen/Qwen3-0.6B', or a *ForCausalLM"
        )
    for key, value in options.items():
        raise ModelError(f"{key}={value!r} is of reading files, and {name} is read: leave it out")
    kind = causal_class(name, {**config.to_dict(), "architectures": [name]})
    check_decoder(inner)
    check_attention(name, config)
    return _Source(name, kind, config, lambda: None, lambda: net)


def _tokenizer(
    source: _Source, tokenizer: Any, mask_token: str | None, mask_id: int | None
) -> tuple[Any, int]:
    """Return the tokenizer with its mask token, and the mask id. Arguments as of `convert`.

    Raises ModelError where there is no tokenizer, or one of another model.
    """
    tokenizer = tokenizer or source.tokenizer()
    if tokenizer is None:
        raise ModelError(
            f"{source.name} comes without a tokenizer that opens: pass one of transformers', as "
            "tokenizer=, or --tokenizer PATH on the command line"
        )
    own, size = TokenizerEncoding(tokenizer, None, surround=False), int(source.config.vocab_size)
    check_size("the tokenizer (tokenizer=)", own.size, size)
    return with_mask(tokenizer, size, mask_token, mask_id)
