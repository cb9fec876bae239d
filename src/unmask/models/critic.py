"""Critics: networks that judge which tokens of a filled canvas are wrong (2209.04439).

Shapes: B rows, N positions, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import nullcontext
from typing import Any

from torch import Tensor, nn

from unmask.core.inference import evaluating, logit_per_token
from unmask.core.network import Denoiser, Query
from unmask.errors import InputError, ModelError
from unmask.models.adapter import device_of, keywords
from unmask.models.by_length import by_length
from unmask.models.conditioning import token_types
from unmask.models.hf import MaskedLMDenoiser, first_position, position_ids
from unmask.models.outputs import accepted, arguments, has_base, inside, logits_of, padding_argument
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
        self.transformers = has_base(inside(net), "transformers.", "*ForTokenClassification")
        labels = getattr(getattr(inside(net), "config", None), "num_labels", 1)
        if self.transformers and labels != 1:
            raise ModelError(
                f"a critic has one logit a token; the network has {labels} labels: "
                "set num_labels=1 in its config"
            )
        self._padding = padding_argument(net)
        with evaluating(net):
            self.by_length = padding_changes(self._call, device_of(net))

    def forward(self, tokens: Tensor, *, valid: Tensor, condition: Any = None) -> Tensor:
        """Return (B,N) logits that a token is wrong, given ids (B,N) int64."""
        if self._padding is not None and not self.by_length:
            return self._logits(tokens, valid, condition)
        query = Query.of(tokens, valid, condition)  # which waits for the lengths
        if self._padding is None:
            check_told(query, "valid", ModelError)
        per_token = MaskedLMDenoiser.per_token if self.by_length else None
        return judged(self._call, query, per_token).squeeze(-1)

    def _call(self, query: Query) -> Tensor:
        return self._logits(query.tokens, query.valid, query.condition).unsqueeze(-1)

    def _logits(self, tokens: Tensor, valid: Tensor, condition: Any) -> Tensor:
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
        given: dict[str, Any] = {} if self._padding is None else {self._padding: valid}
        if condition is not None:
            whole = "condition" in arguments(self.net) or not isinstance(condition, dict)
            given |= {"condition": condition} if whole else condition
        unknown = sorted(given.keys() - accepted(self.net, given).keys())
        if unknown:
            raise ModelError(
                f"the generator has a condition, and the critic's forward takes no {unknown}: add "
                "these arguments, because a critic gets the condition of its generator"
            )
        wrong: Tensor = self.net(tokens, **given)
        return wrong


def check_told(query: Query, name: str, kind: type[InputError]) -> None:
    """Raise an error of `kind` for padding, of which a critic is not told by an argument `name`."""
    if query.padded:
        raise kind(
            f"there is padding, and the critic's forward takes no `{name}`: add that argument, "
            "(B,N) bool, False at padding"
        )


def judged(
    call: Callable[[Query], Tensor], query: Query, per_token: Collection[str] | None
) -> Tensor:
    """Return what a critic says of rows, (B,N,1).

    per_token: entries of a condition that go with the tokens, where rows of different lengths need
    passes of their own; None where they may share one.
    """
    if per_token is None or not query.padded:
        return call(query)
    return by_length(lambda part, _: (call(part), None), query, None, per_token)[0]
