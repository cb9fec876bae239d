"""x-transformers' `NonAutoregressiveWrapper`, implemented by the engine and the objectives.

Constructor, methods and state_dict keys are those of x-transformers 2.31.10; only the import
changes. docs/compat.md lists where results differ, and why. Shapes: B rows, N positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from unmask import presets, schedules
from unmask.compat.critics import Judge, Minus, SelfCritic, rows_by_length
from unmask.core.checks import check_share, check_share_below_one
from unmask.core.random import Purpose, fresh_seed, uniform
from unmask.core.state import StepInfo
from unmask.decoding import Canvas, Strategy
from unmask.engine import run, stream
from unmask.errors import CanvasError, ModelError, StrategyError
from unmask.models import SelfConditioning
from unmask.models.adapter import Way, device_of
from unmask.models.x_transformers import XTransformersDenoiser, is_x_transformer
from unmask.objectives import (
    BertNoise,
    Corrupted,
    Reading,
    corrupt_by_count,
    evaluate,
    fill,
    read_corrupted,
)
from unmask.objectives.critic import critic_loss
from unmask.orders import ChoiceNoise, CriticOrder


class Losses(NamedTuple):
    """The losses of `forward`, scalars; call backward() on `loss`, which combines the others."""

    loss: Tensor
    generator_loss: Tensor | None
    critic_loss: Tensor | None


class NonAutoregressiveWrapper(nn.Module):
    """Training of, and generation with, an x-transformers encoder; arguments as in x-transformers.

    Mask-Predict (1904.09324), MaskGIT (2202.04200), MDLM's weighting (2406.07524), Token-Critic
    (2209.04439). schedule: a name or callable that `schedules.resolve` takes. Raises a subclass of
    InputError, which is a ValueError, for arguments that cannot work.
    """

    net: Any
    token_critic: Any
    _way: Way | None = None  # of running the network, that its trial found

    def __init__(
        self,
        net: Any,
        *,
        mask_id: int,
        steps: int = 18,
        self_cond: bool = False,
        self_cond_train_prob: float = 0.75,
        no_replace_prob: float = 0.15,
        random_token_prob: float = 0.1,
        schedule: str | Callable[[Tensor], Tensor] = "linear",
        can_mask_prev_unmasked: bool = False,
        token_critic: nn.Module | None = None,
        self_token_critic: bool = False,
        critic_loss_weight: float = 1.0,
        use_simple_mdlm_loss_weight: bool = True,
    ):
        super().__init__()
        _check(net, self_cond, self_cond_train_prob, token_critic, self_token_critic)
        self.net, self.dim, self.num_tokens = net, net.emb_dim, net.num_tokens
        self.mask_id, self.max_seq_len, self.steps = mask_id, net.max_seq_len, steps
        self.no_replace_prob, self.random_token_prob = no_replace_prob, random_token_prob
        self.schedule_fn = schedules.resolve(schedule)
        self.use_simple_mdlm_loss_weight = use_simple_mdlm_loss_weight
        self.can_mask_prev_unmasked = can_mask_prev_unmasked
        self.self_cond, self.self_cond_train_prob = self_cond, self_cond_train_prob
        if self_cond:
            parts = SelfConditioning(self.dim)
            self.null_embed, self.to_self_cond = parts.null_embed, parts.to_self_cond
        self.token_critic = SelfCritic(net) if self_token_critic else token_critic
        self.critic_loss_weight = critic_loss_weight
        # Raises for wrong arguments now, instead of at the first use.
        tried = self._denoiser()
        tried.settle()
        self._way = tried.way
        self._critic_by_length = rows_by_length(self.token_critic, device_of(net))
        self._noise(), self._strategy(1.0, None, 1.0)

    def generate(
        self,
        batch_size: int | None = None,
        start_temperature: float = 1.0,
        filter_thres: float | None = 0.7,
        noise_level_scale: float = 1.0,
        *,
        prompt: Tensor | None = None,
        editable: Tensor | None = None,
        valid: Tensor | None = None,
        seed: int | None = None,
        seeds: Sequence[int] | Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Return generated ids (B,N) int64; one row (N,) if no argument has a batch.

        start_temperature: falls linearly to 0. filter_thres: share of the vocabulary that is never
        drawn, None for none. noise_level_scale: of the critic's Gumbel noise, which falls to 0.
        prompt: ids (P,) or (B,P) at the start of each row; or, with editable (bool, of its shape),
        the whole row, generated where editable. valid: bool (N,) or (B,N), False at padding.
        seed, seeds: as in `unmask.generate`. kwargs: arguments of the network and the critic,
        tensors with the batch first; `mask` is another name for `valid`.
        """
        canvas, alone = self._canvas(batch_size, prompt, editable, valid, kwargs)
        strategy = self._strategy(start_temperature, filter_thres, noise_level_scale)
        result = run(self._denoiser(), canvas, strategy, seed=seed, seeds=seeds)
        return result.tokens.squeeze(0) if alone else result.tokens

    def stream(
        self,
        batch_size: int | None = None,
        start_temperature: float = 1.0,
        filter_thres: float | None = 0.7,
        noise_level_scale: float = 1.0,
        *,
        prompt: Tensor | None = None,
        editable: Tensor | None = None,
        valid: Tensor | None = None,
        seed: int | None = None,
        seeds: Sequence[int] | Tensor | None = None,
        **kwargs: Any,
    ) -> Iterator[StepInfo]:
        """Generate, and yield a `StepInfo` after each step; the last one has the result."""
        canvas, _ = self._canvas(batch_size, prompt, editable, valid, kwargs)
        strategy = self._strategy(start_temperature, filter_thres, noise_level_scale)
        return stream(self._denoiser(), canvas, strategy, seed=seed, seeds=seeds)

    def forward(
        self,
        x: Tensor,
        only_train_generator: bool = False,
        only_train_critic: bool = False,
        generator_sample_temperature: float | None = None,
        *,
        editable: Tensor | None = None,
        valid: Tensor | None = None,
        seed: int | Tensor | None = None,
        **kwargs: Any,
    ) -> Losses:
        """Return losses in nats per token on data x (B,N) int64, N at most max_seq_len.

        generator_sample_temperature: of the draws that the critic scores; by default uniform in
        (0, 1) for each row. editable: bool (B,N), False at prompts: never masked, in no loss.
        valid, kwargs: as in `generate`. seed: one integer, or (B,) row seeds; by default drawn from
        torch's generator, so that torch.manual_seed reproduces the losses.
        """
        if only_train_critic and (only_train_generator or self.token_critic is None):
            raise StrategyError(
                "only_train_critic needs a critic (token_critic or self_token_critic) and excludes "
                "only_train_generator"
            )
        if generator_sample_temperature is not None and self.token_critic is None:
            raise StrategyError(
                _needs_critic(f"generator_sample_temperature={generator_sample_temperature!r}")
            )
        free = torch.ones_like(x, dtype=torch.bool) if editable is None else editable
        canvas, _ = self._canvas(None, x, free, valid, kwargs)
        given: Any = {"valid": canvas.valid, "condition": canvas.condition}
        where = (canvas.tokens, canvas.editable, fresh_seed() if seed is None else seed)
        how: Any = {"schedule": self.schedule_fn, "noise": self._noise()}
        batch = corrupt_by_count(self._denoiser(), *where, **how)
        share = self.self_cond_train_prob if self.self_cond else 0.0
        with torch.no_grad() if only_train_critic else nullcontext():
            reading = read_corrupted(self._denoiser(), batch, **given, self_condition=share)
        loss = self._generator_loss(batch, reading)
        if self.token_critic is None or only_train_generator:
            return Losses(loss, loss, None)
        at: float | Tensor | None = generator_sample_temperature
        if at is None:
            at = uniform(batch.seed, 1, 0, Purpose.CRITIC)[:, 0]
        judge = self._judge(frozen=only_train_critic)
        critic = critic_loss(judge, batch, fill(batch, reading, at), **given).loss
        if only_train_critic:
            return Losses(critic, None, critic)
        return Losses(loss + critic * self.critic_loss_weight, loss, critic)

    def _generator_loss(self, batch: Corrupted, reading: Reading) -> Tensor:
        """Return MDLM's bound (2406.07524), or the mean cross-entropy over masked positions."""
        if not self.use_simple_mdlm_loss_weight:
            even = torch.ones_like(batch.weight)
            batch = replace(batch, weight=even, maskable=batch.masked)
        return evaluate(batch, reading, bound=False).loss

    def _denoiser(self) -> XTransformersDenoiser:
        """Return a new denoiser, which registers no parameters, so that their names stay."""
        parts = _Shared(self.null_embed, self.to_self_cond) if self.self_cond else None
        denoiser = XTransformersDenoiser(self.net, self.mask_id, self_conditioning=parts)
        denoiser.way = self._way or denoiser.way
        return denoiser

    def _judge(self, **how: bool) -> Judge:
        return Judge(self.token_critic, by_length=self._critic_by_length, **how)

    def _noise(self) -> BertNoise:
        return BertNoise(self.no_replace_prob, self.random_token_prob)

    def _strategy(self, temperature: float, thres: float | None, noise: float) -> Strategy:
        if thres is not None:
            check_share_below_one("filter_thres", thres)
        keep = None if thres is None else 1.0 - thres
        remask = self.can_mask_prev_unmasked
        strategy = presets.annealed(self.steps, self.schedule_fn, temperature, keep, remask)
        if self.token_critic is None:
            if noise != 1.0:
                raise StrategyError(_needs_critic(f"noise_level_scale={noise!r}"))
            return strategy
        doubt = Minus(CriticOrder(self._judge(inference=True)))
        # x-transformers adds noise to the doubt and re-masks the top; the noise is not symmetric.
        return strategy.but(order=Minus(ChoiceNoise(doubt, noise)), name="token_critic")

    def _canvas(
        self,
        batch_size: int | None,
        prompt: Tensor | None,
        editable: Tensor | None,
        valid: Tensor | None,
        kwargs: dict[str, Any],
    ) -> tuple[Canvas, bool]:
        """Return the canvas, and whether it is a single row without a batch dimension."""
        condition = _condition(kwargs, self.self_cond)
        if "mask" in condition:
            if valid is not None:
                raise CanvasError("valid and mask are both given: they mean the same, pass one")
            valid = condition.pop("mask")
        if editable is not None and (prompt is None or prompt.shape != editable.shape):
            raise CanvasError(
                "editable is given without a prompt of its shape: pass prompt=, whole rows of ids"
            )
        parts = [part for part in (prompt, editable, valid) if part is not None]
        rows = {len(part) for part in parts if part.dim() > 1}
        rows |= set() if batch_size is None else {batch_size}
        lengths = {part.shape[-1] for part in (editable, valid) if part is not None}
        length = max(lengths, default=self.max_seq_len)
        longest = max((part.shape[-1] for part in parts), default=0)
        if len(rows) > 1 or len(lengths) > 1 or longest > min(length, self.max_seq_len):
            raise CanvasError(
                f"batch_size={batch_size} and shapes {[tuple(part.shape) for part in parts]} of "
                f"prompt, editable and valid must agree, on at most {self.max_seq_len} positions"
            )
        count, device = max(rows, default=1), device_of(self.net) or torch.device("cpu")
        start = torch.zeros(0, dtype=torch.int64) if prompt is None else prompt
        after = torch.arange(length) >= start.shape[-1]
        tokens, free, real = (
            part.to(device).expand(count, -1)
            for part in (
                pad(start, (0, length - start.shape[-1])),
                after if editable is None else editable,
                torch.ones(length, dtype=torch.bool) if valid is None else valid,
            )
        )
        condition, free = _of_rows(condition, count), free * real.bool()
        canvas = Canvas.infill(tokens, free, valid=real, condition=condition or None)
        return canvas.to(device), not rows


class _Shared(SelfConditioning):
    """Self-conditioning by parameters that are registered elsewhere."""

    def __init__(self, null_embed: nn.Parameter, to_self_cond: nn.Linear):
        nn.Module.__init__(self)
        self.null_embed, self.to_self_cond = null_embed, to_self_cond


def _needs_critic(what: str) -> str:
    return f"{what} applies to a critic, and there is none: leave it out, or pass token_critic"


def _condition(kwargs: dict[str, Any], self_cond: bool) -> dict[str, Any]:
    """Return the arguments for the network. Raises StrategyError for those the wrapper sets."""
    owned = {name for name in kwargs if name.startswith("return_") or name == "to_logits_kwargs"}
    owned |= kwargs.keys() & ({"sum_embeds"} if self_cond else ())
    if owned:
        raise StrategyError(
            f"{sorted(owned)} are set by the wrapper and cannot be passed: leave them out"
        )
    return dict(kwargs)


def _of_rows(condition: dict[str, Any], rows: int) -> dict[str, Any]:
    """Return the arguments; pos (N,) and attn_mask (N,N) or (H,N,N) are repeated."""
    pos, mask = condition.get("pos"), condition.get("attn_mask")
    if isinstance(pos, Tensor) and pos.dim() == 1:
        condition["pos"] = pos.expand(rows, -1)
    if isinstance(mask, Tensor) and mask.dim() in (2, 3):
        condition["attn_mask"] = (mask if mask.dim() == 3 else mask[None]).expand(rows, -1, -1, -1)
    return condition


def _check(
    net: Any, self_cond: bool, share: float, critic: nn.Module | None, self_critic: bool
) -> None:
    """Raise ModelError or StrategyError for a network or options that do not fit together."""
    if not is_x_transformer(net):
        kind = type(net).__name__
        raise ModelError(f"net is a {kind}: pass a TransformerWrapper, or use unmask.wrap instead")
    if self_cond and net.emb_dim != net.attn_layers.dim:
        raise ModelError("self_cond needs a network with emb_dim equal to the dim of its Encoder")
    check_share("self_cond_train_prob", share)
    if self_critic and critic is not None:
        raise StrategyError("token_critic and self_token_critic are both given: pass one of them")
