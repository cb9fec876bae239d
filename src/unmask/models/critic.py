"""Critics: networks that judge which tokens of a filled canvas are wrong (2209.04439).

Shapes: B rows, N positions, D width.
"""

from __future__ import annotations

import inspect
from contextlib import nullcontext
from typing import Any

from torch import Tensor, nn

from unmask.core.inference import evaluating, logit_per_token
from unmask.core.network import Cache, Denoiser, Query
from unmask.errors import ModelError
from unmask.models.adapter import device_of, keywords
from unmask.models.by_length import by_length
from unmask.models.conditioning import token_types
from unmask.models.hf import MaskedLMDenoiser, first_position, position_ids
from unmask.models.outputs import arguments, inside, logits_of
from unmask.models.trial import padding_changes


class SelfCritic(nn.Module):
    """A critic of one linear layer on the generator's hidden states (2209.04439).

    For `presets.token_critic`, `presets.self_critic` and `objectives.critic`. The generator is not
    registered as a submodule: state_dict and parameters are those of the layer alone, and the
    caller moves or copies the generator. width: D of its hidden states, or V if the generator has
    no separate head. frozen: no gradient and no dropout in the generator during training; with
    frozen=False the critic's loss trains it too.
    """

    def __init__(self, denoiser: Denoiser, width: int, *, frozen: bool = True):
        super().__init__()
        self._generator = (denoiser,)  # in a tuple, so that nn.Module does not register it
        self.frozen = frozen
        self.to_logits = nn.Linear(width, 1)

    @property
    def denoiser(self) -> Denoiser:
        """The generator."""
        return self._generator[0]

    def forward(self, tokens: Tensor, *, valid: Tensor, condition: Any = None) -> Tensor:
        """Return (B,N) logits that a token is wrong, given ids (B,N) int64, valid (B,N) bool."""
        apart = self.frozen or not self.training
        with evaluating(self.denoiser) if apart else nullcontext():
            query = Query.of(tokens, valid, condition)
            query = query.with_inputs(self.denoiser.spec.inputs, valid & ~valid, valid)
            hidden, _ = self.denoiser.forward(query, None)
        if hidden.shape[-1] != self.to_logits.in_features:
            raise ModelError(
                f"the generator's hidden states have width {hidden.shape[-1]}: pass "
                f"SelfCritic(denoiser, width={hidden.shape[-1]})"
            )
        wrong: Tensor = self.to_logits(hidden.to(self.to_logits.weight.dtype)).squeeze(-1)
        return wrong


class TokenCritic(nn.Module):
    """A separate network as a critic: transformers' `*ForTokenClassification`, or any module.

    A transformers network needs num_labels=1. It gets padding as its attention mask, and class
    numbers (B,) as token types, as in `ClassConditioned`. Another module is called with tokens
    (B,N) and returns (B,N) or (B,N,1). It gets the arguments `valid` or `attention_mask`, and
    `condition` or the entries of a condition dict, if its forward has them. Rows go by length where
    a trial shows that padding changes them. Raises ModelError if there is padding or a condition
    and the network has no argument for it.
    """

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net
        self.transformers = any(
            kind.__module__.startswith("transformers.")
            and kind.__name__.endswith("ForTokenClassification")
            for kind in type(inside(net)).__mro__
        )
        labels = getattr(getattr(inside(net), "config", None), "num_labels", 1)
        if self.transformers and labels != 1:
            raise ModelError(
                f"a critic has one logit a token; the network has {labels} labels: "
                "set num_labels=1 in its config"
            )
        names = arguments(net)
        self._padding = next((n for n in ("valid", "attention_mask") if n in names), None)
        with evaluating(net):
            self.by_length = padding_changes(self._call, device_of(net))

    def forward(self, tokens: Tensor, *, valid: Tensor, condition: Any = None) -> Tensor:
        """Return (B,N) logits that a token is wrong, given ids (B,N) int64."""
        if self._padding is None and not bool(valid.all()):
            raise ModelError(
                "there is padding, and the critic's forward takes no `valid`: add that argument, "
                "(B,N) bool, False at padding"
            )
        if not self.by_length:
            return self._call(tokens, valid, condition)
        query, per_token = Query.of(tokens, valid, condition), MaskedLMDenoiser.per_token
        return by_length(self._passed, query, None, per_token)[0].squeeze(-1)

    def _passed(self, query: Query, cache: Cache | None) -> tuple[Tensor, None]:
        return self._call(query.tokens, query.valid, query.condition).unsqueeze(-1), None

    def _call(self, tokens: Tensor, valid: Tensor, condition: Any = None) -> Tensor:
        call = self._transformers if self.transformers else self._module
        return logit_per_token(call(tokens, valid, condition), tokens)

    def _transformers(self, tokens: Tensor, valid: Tensor, condition: Any) -> Tensor:
        config: Any = inside(self.net).config
        if isinstance(condition, Tensor):
            condition = self._token_types(condition, tokens)
        given = {"attention_mask": valid.long(), **keywords(condition)}
        first = first_position(inside(self.net))
        if first is not None:
            given["position_ids"] = position_ids(first, valid)
        shown = tokens.masked_fill(~valid, config.pad_token_id or 0)
        return logits_of(self.net(input_ids=shown, **given), tokens)

    def _token_types(self, classes: Tensor, tokens: Tensor) -> dict[str, Tensor]:
        needed = int(classes.max()) + 2 if len(classes) else 0
        types = int(getattr(inside(self.net).config, "type_vocab_size", 0))
        if needed > types:
            raise ModelError(
                f"class {needed - 2} needs {needed} token types; the critic has {types}: set "
                "type_vocab_size in its config to the number of classes plus one"
            )
        return token_types(classes.to(tokens.device) + 1, tokens)

    def _module(self, tokens: Tensor, valid: Tensor, condition: Any) -> Tensor:
        takes = inspect.signature(inside(self.net).forward).parameters
        anything = any(p.kind is p.VAR_KEYWORD for p in takes.values())
        given: dict[str, Any] = {} if self._padding is None else {self._padding: valid}
        if condition is not None:
            whole = "condition" in takes or not isinstance(condition, dict)
            given |= {"condition": condition} if whole else keywords(condition)
        unknown = sorted(given.keys() - takes.keys())
        if unknown and not anything:
            raise ModelError(
                f"the generator has a condition, and the critic's forward takes no {unknown}: add "
                "these arguments, because a critic gets the condition of its generator"
            )
        wrong: Tensor = self.net(tokens, **given)
        return wrong
