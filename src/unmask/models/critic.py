"""Critics: networks that judge which tokens of a filled canvas are wrong (2209.04439).

Shapes: B rows, N positions, D width.
"""

from __future__ import annotations

import inspect
from contextlib import nullcontext
from typing import Any

from torch import Tensor, nn

from unmask.core.inference import evaluating, logit_per_token
from unmask.core.network import Denoiser, Query
from unmask.errors import ModelError
from unmask.models.adapter import keywords
from unmask.models.conditioning import token_types
from unmask.models.hf import POSITIONS_FROM_IDS, position_ids


class SelfCritic(nn.Module):
    """One linear layer on the generator's own hidden states, and the only thing stored.

    The generator is not registered: state_dict and parameters are the layer's alone, and moving or
    copying the generator is the caller's business. frozen: in training, no gradient and no dropout
    in the generator; with frozen=False the critic's loss trains it too. width: D of its hidden
    states, V where its head is not apart. A `Critic`, for `presets.token_critic` and
    `objectives.critic`.
    """

    def __init__(self, denoiser: Denoiser, width: int, *, frozen: bool = True):
        super().__init__()
        self._generator = (denoiser,)  # in a tuple, where nn.Module does not look for modules
        self.frozen = frozen
        self.to_logits = nn.Linear(width, 1)

    @property
    def denoiser(self) -> Denoiser:
        """The generator."""
        return self._generator[0]

    def forward(self, tokens: Tensor, *, valid: Tensor, condition: Any = None) -> Tensor:
        """(B,N) ids -> (B,N) logits that a token is wrong; the generator gets the condition."""
        apart = self.frozen or not self.training
        with evaluating(self.denoiser) if apart else nullcontext():
            hidden, _ = self.denoiser.forward(Query.of(tokens, valid, condition), None)
        if hidden.shape[-1] != self.to_logits.in_features:
            raise ModelError(
                f"the generator's hidden states have width {hidden.shape[-1]}: pass "
                f"SelfCritic(denoiser, width={hidden.shape[-1]})"
            )
        wrong: Tensor = self.to_logits(hidden.to(self.to_logits.weight.dtype)).squeeze(-1)
        return wrong


class TokenCritic(nn.Module):
    """A network of its own as a critic: transformers' `*ForTokenClassification`, or any module.

    A transformers network needs num_labels=1; it is told padding by its attention mask, and class
    numbers (B,) as `ClassConditioned` tells them, by token types. Another module is called with
    tokens (B,N) and returns (B,N) or (B,N,1); it gets `valid` or `attention_mask`, and `condition`
    or what a dict of conditions names, where it has such arguments. Raises ModelError where there
    is padding or a condition and the network cannot be told.
    """

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net
        self.transformers = any(
            kind.__module__.startswith("transformers.")
            and kind.__name__.endswith("ForTokenClassification")
            for kind in type(net).__mro__
        )
        labels = getattr(getattr(net, "config", None), "num_labels", 1)
        if self.transformers and labels != 1:
            raise ModelError(
                f"a critic has one logit a token; the network has {labels} labels: "
                "give its config num_labels=1"
            )

    def forward(self, tokens: Tensor, *, valid: Tensor, condition: Any = None) -> Tensor:
        """(B,N) ids -> (B,N) logits that a token is wrong."""
        call = self._transformers if self.transformers else self._module
        return logit_per_token(call(tokens, valid, condition), tokens)

    def _transformers(self, tokens: Tensor, valid: Tensor, condition: Any) -> Tensor:
        config: Any = self.net.config
        if isinstance(condition, Tensor):
            condition = self._token_types(condition, tokens)
        given = {"attention_mask": valid.long(), **keywords(condition)}
        if config.model_type in POSITIONS_FROM_IDS:
            given["position_ids"] = position_ids(config, valid)
        shown = tokens.masked_fill(~valid, config.pad_token_id or 0)
        logits: Tensor = self.net(input_ids=shown, **given).logits
        return logits

    def _token_types(self, classes: Tensor, tokens: Tensor) -> dict[str, Tensor]:
        needed = int(classes.max()) + 2 if len(classes) else 0
        types = int(getattr(self.net.config, "type_vocab_size", 0))
        if needed > types:
            raise ModelError(
                f"class {needed - 2} needs {needed} token types; the critic has {types}: give its "
                "config type_vocab_size of one more than there are classes"
            )
        return token_types(classes.to(tokens.device) + 1, tokens)

    def _module(self, tokens: Tensor, valid: Tensor, condition: Any) -> Tensor:
        takes = inspect.signature(self.net.forward).parameters
        anything = any(p.kind is p.VAR_KEYWORD for p in takes.values())
        padding = next((name for name in ("valid", "attention_mask") if name in takes), None)
        if padding is None and not bool(valid.all()):
            raise ModelError("the critic takes no `valid`: it cannot be told what is padding")
        given: dict[str, Any] = {} if padding is None else {padding: valid}
        if condition is not None:
            whole = "condition" in takes or not isinstance(condition, dict)
            given |= {"condition": condition} if whole else keywords(condition)
        unknown = sorted(given.keys() - takes.keys())
        if unknown and not anything:
            raise ModelError(
                f"the generator has a condition, and the critic takes no {unknown}: a critic gets "
                "the same conditioning as its generator, so give its forward these arguments"
            )
        wrong: Tensor = self.net(tokens, **given)
        return wrong
