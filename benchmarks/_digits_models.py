"""The networks of digits_study.py and their training; weights are kept in a folder.

Shapes: B rows, N positions, D width.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model, save_model
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import MegatronBertConfig, MegatronBertForMaskedLM

import unmask
from unmask.core.files import replacing_file
from unmask.core.loss import Loss
from unmask.core.network import Cache, Denoiser, DenoiserSpec, Query
from unmask.core.random import Purpose, derive, fold, uniform
from unmask.models.forwarding import Forwarding
from unmask.models.hf import MaskedLMDenoiser
from unmask.models.hidden_cache import HiddenCache
from unmask.objectives import complementary, critic
from unmask.tasks import Task
from unmask.training.geometry import know_the_layout

CONDITION_DROPOUT = 0.15
SELF_CONDITION = 0.75  # of the rows, in training
WARMUP = 50  # steps
DECAY = 0.99  # of the weights' average

Examples = Callable[[Tensor, Tensor], Loss]  # rows (B,) of the data, seeds (B,) -> Loss


@dataclass(frozen=True)
class Settings:
    """Sizes of a study; weights and figures of other settings are never taken up."""

    width: int = 64
    layers: int = 4
    heads: int = 4
    batch: int = 16
    rate: float = 3e-3
    steps: int = 2000
    critic_steps: int = 500
    images: int = 1000
    pairs: int = 16


QUICK = Settings(steps=20, critic_steps=10, images=50, pairs=2)


class Judge(nn.Module):
    """A linear head on a denoiser's hidden states: the logit that a token is wrong."""

    def __init__(self, trunk: nn.Module, width: int, frozen: bool):
        super().__init__()
        self.trunk, self.head, self.frozen = trunk, nn.Linear(width, 1), frozen
        self.trunk.requires_grad_(not frozen)

    def forward(self, tokens: Tensor, *, valid: Tensor, condition: Any) -> Tensor:
        """(B,N) ids -> (B,N,1)."""
        hidden, _ = self.trunk.forward(Query.of(tokens, valid, condition), None)
        return self.head(hidden.detach() if self.frozen else hidden)


class SelfConditioned(nn.Module):
    """A BERT whose last hidden states are, through `unmask.SelfConditioning`, added to its input.

    The linear map starts at 0, so that training starts where that of the plain generator does.
    """

    def __init__(self, net: MegatronBertForMaskedLM, mask_id: int, length: int):
        super().__init__()
        self.net = net
        vocab = net.config.vocab_size
        self.spec = DenoiserSpec(vocab, mask_id, default_length=length, cached=True)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.earlier = unmask.SelfConditioning(net.config.hidden_size)
        nn.init.zeros_(self.earlier.to_self_cond.weight)

    device = None

    def forward(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """(R,N) -> (R,N,D), which is the cache too."""
        embedded = self.net.bert.embeddings.word_embeddings(query.tokens)
        embedded = embedded + self.earlier(cache, *query.tokens.shape)
        given = {"attention_mask": query.valid.long(), **(query.condition or {})}
        hidden = self.net.bert(inputs_embeds=embedded, **given).last_hidden_state
        return hidden, HiddenCache.of(hidden)

    def logits(self, hidden: Tensor) -> Tensor:
        """(M,D) -> (M,V)."""
        return self.net.cls(hidden)

    def projection(self, hidden: Tensor) -> None:
        """Unknown."""


class TwoPasses(Forwarding):
    """A self-conditioned denoiser that reads its own first pass: for the bound, which has none."""

    def forward(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """(R,N) -> (R,N,D)."""
        _, cache = self.inner.forward(query, None)
        return self.inner.forward(query, cache)


@dataclass(frozen=True)
class Workshop:
    """Trains, or takes up, the networks of one seed."""

    settings: Settings
    folder: Path
    data: Task
    seed: int

    def generator(self, self_conditioned: bool = False) -> Denoiser:
        """A pre-norm BERT that is told its class, or −1 for none."""
        net, data = self._backbone(), self.data
        kind = SelfConditioned if self_conditioned else MaskedLMDenoiser
        inner = kind(net, data.mask_id, length=data.train.shape[1])
        model = unmask.ClassConditioned(inner, data.classes)
        share = SELF_CONDITION if self_conditioned else 0.0

        def loss(rows: Tensor, seeds: Tensor) -> Loss:
            dropped = uniform(seeds, 0, 0, Purpose.CONDITION)[:, 0] < CONDITION_DROPOUT
            classes = data.train_labels[rows].masked_fill(dropped, -1)
            where = self._everywhere(rows)
            return complementary(model, *where, seeds, condition=classes, self_condition=share)

        name = "self_conditioned" if self_conditioned else "generator"
        return self._trained(name, model, loss, self.settings.steps)

    def self_critic(self, generator: Denoiser) -> Judge:
        """A head on the generator's own, frozen, hidden states (labels: differs from the data)."""
        judge = self._seeded(lambda: Judge(generator, self.settings.width, frozen=True))
        return self._critic("self_critic", judge, generator, "differs")

    def token_critic(self, generator: Denoiser) -> Judge:
        """A network of its own that starts as the generator (labels: was masked; 2209.04439)."""
        trunk = copy.deepcopy(generator)
        judge = self._seeded(lambda: Judge(trunk, self.settings.width, frozen=False))
        return self._critic("token_critic", judge, generator, "masked")

    def _critic(self, name: str, judge: Judge, generator: Denoiser, labels: Any) -> Judge:
        """The critic is told the class, as the generator is."""

        def loss(rows: Tensor, seeds: Tensor) -> Loss:
            where, classes = self._everywhere(rows), self.data.train_labels[rows]
            return critic(generator, judge, *where, seeds, labels=labels, condition=classes)

        return self._trained(name, judge, loss, self.settings.critic_steps)

    def _backbone(self) -> MegatronBertForMaskedLM:
        """Starts from the layout of the image, as the bundled model does."""
        at, data = self.settings, self.data
        config = MegatronBertConfig(
            vocab_size=data.vocab_size,
            max_position_embeddings=data.train.shape[1],
            type_vocab_size=1 + data.classes,
            hidden_size=at.width,
            num_hidden_layers=at.layers,
            num_attention_heads=at.heads,
            intermediate_size=2 * at.width,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            initializer_range=0.06,
            pad_token_id=None,
        )
        net = self._seeded(lambda: MegatronBertForMaskedLM(config))
        know_the_layout(net, data.layout, self.seed)
        return net

    def _everywhere(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.data.train[rows]
        return tokens, torch.ones_like(tokens, dtype=torch.bool)

    def _seeded(self, build: Callable[[], Any]) -> Any:
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            return build()

    def _trained(self, name: str, model: Any, loss: Examples, steps: int) -> Any:
        """The averaged weights, from the folder where they are there already."""
        path = self.folder / f"{name}-{self.seed}.safetensors"
        if not path.exists():
            averaged = self._fit(name, model, loss, steps)
            with replacing_file(path) as temporary:
                save_model(averaged, str(temporary))
        load_model(model, str(path))
        return model.eval()

    def _fit(self, name: str, model: nn.Module, loss: Examples, steps: int) -> nn.Module:
        """AdamW with a linear warm-up and decay, and a moving average of the weights."""
        at = self.settings
        learnt = [p for p in model.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(learnt, at.rate, betas=(0.9, 0.98), weight_decay=0.1)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: min((step + 1) / WARMUP, (steps - step) / steps)
        )
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(DECAY))
        seeds = derive(self.seed, at.batch)
        for step in range(steps):
            u = uniform(seeds, step, 0, Purpose.TASK)[:, 0]
            rows = (u * len(self.data.train)).long()
            value = loss(rows, fold(self.seed, torch.arange(at.batch), step)).loss
            optimiser.zero_grad()
            value.backward()
            nn.utils.clip_grad_norm_(learnt, 1.0)
            optimiser.step()
            scheduler.step()
            average.update_parameters(model)
            if (step + 1) % max(1, steps // 4) == 0:
                print(
                    f"  seed {self.seed}, {name}: step {step + 1}, loss {value.item():.3f}",
                    flush=True,
                )
        return average.module
