"""transformers' decoders (`*ForCausalLM`) as denoisers, run with another attention mask.

Shapes: B rows, N positions, D width, M positions queried, V vocabulary; R rows of Q queries that
attend to K keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from unmask.core.checks import check_count, check_share
from unmask.core.inference import evaluating
from unmask.core.network import Cache, Query
from unmask.core.projection import Projection, untied
from unmask.errors import CanvasError, ModelError
from unmask.models.adapter import Adapter, Way
from unmask.models.annealing import attended
from unmask.models.attention import block_causal, shaped, two_streams
from unmask.models.hf import backbone_of, longest_row
from unmask.models.outputs import logits_of, states_of
from unmask.models.trial import attempt, same

GROWING = {"dynamic", "longrope"}  # rotary positions whose frequencies depend on the longest row


class Decoder(Adapter):
    """A transformers `*ForCausalLM` run with block-causal or bidirectional attention.

    block: with W positions a block, position i attends to j if j // W ≤ i // W: block diffusion
    (BD3-LM 2503.09573, Fast-dLLM v2 2509.26328, SDAR 2510.06303). None: every position attends to
    every other (LLaDA 2502.09992, Dream 2508.15487). No position attends to padding.
    mask_id, forbidden, length, logit_shift: as in `unmask.wrap`.

    open_share: the share of later positions that each position attends to in training, so that
    the attention of a left-to-right network can be opened gradually (DiffuLLaMA 2410.17891); 0 is
    causal attention, 1, at first, all that `block` says. Which ones is a function of the seeds that
    objectives of `unmask.objectives` are given (`models/annealing.py`). In evaluation mode, so in
    generation, scores and held-out bounds, attention is always open.

    The network gets a 4-D attention mask and position ids. A trial of two passes over 6 positions
    raises ModelError for a network that ignores them, and shows whether `lm_head` is all that
    follows the trunk; otherwise the network runs whole, and its logits stand for hidden states.
    With blocks a third pass shows whether it can be run on two streams, as block diffusion is
    trained: noisy tokens, and behind them the clean ones, at the same positions.
    The mask replaces a sliding window, so rows longer than the window are refused.
    """

    def __init__(
        self,
        net: Any,
        mask_id: int,
        *,
        block: int | None = None,
        forbidden: Sequence[int] = (),
        length: int | None = None,
        logit_shift: bool = False,
    ):
        if block is not None:
            check_count("block", block)
        check_decoder(backbone_of(net))
        config = backbone_of(net).config
        window = sliding_window(config)
        limits = [limit for limit in (window, longest_row(backbone_of(net))) if limit is not None]
        options: dict[str, Any] = {"forbidden": forbidden, "block_size": block}
        options |= {"length": length, "max_length": min(limits, default=None)}
        options |= {"supports_trimming": True}  # no position attends to padding
        super().__init__(net, int(config.vocab_size), mask_id, logit_shift=logit_shift, **options)
        self.block, self.window, self._open_share = block, window, 1.0
        self.settle()

    def settle(self) -> None:
        """Raise ModelError unless the network obeys the mask; run it whole if its head is unknown.

        Two rows differ in their last id; their last two positions are a block.
        """
        device = self.device or torch.device("cpu")
        tokens = torch.tensor([[0, 1, 2], [0, 1, 1]], device=device) % self.spec.vocab_size
        position = torch.arange(3, device=device).expand(2, 3)
        seen = torch.tensor([[1, 0, 0], [1, 1, 1], [1, 1, 1]], device=device).bool().expand(2, 3, 3)

        def logits(way: Way) -> Tensor:
            self.way = way
            return self.logits(self.trunk(tokens, position, seen))

        with evaluating(self):
            apart = attempt(lambda: logits(Way(split=True)))
            whole = attempt(lambda: logits(Way()))
            beside = None if self.block is None else attempt(lambda: self._beside_clean(tokens))
        if isinstance(whole, Exception):
            raise ModelError(
                f"this network takes no 4-D attention mask: {whole!r}. Load it with "
                "attn_implementation='eager', or use another network"
            ) from whole
        for fault, found in (
            ("a later block changed the states of an earlier one", not same(*whole[:, 0])),
            ("within a block a later token changed no earlier state", torch.equal(*whole[:, 1])),
        ):
            if found:
                raise ModelError(f"this network ignores its mask, for {fault}: use another network")
        if isinstance(apart, Tensor) and apart.shape == whole.shape and same(apart, whole):
            self.way = Way(split=True)
        if isinstance(beside, Tensor) and same(beside, whole[0, 1:]):
            self.spec = replace(self.spec, two_streams=True)

    def _beside_clean(self, tokens: Tensor) -> Tensor:
        """Return the logits (2,V) of a block of two, shown in noise, behind a clean first token.

        tokens: (2,3) int64; the first row is the block and the token before it. All else in the two
        streams differs from it.
        """
        other = (tokens[:1] + 1) % self.spec.vocab_size
        noisy = torch.cat([other[:, :1], tokens[:1, 1:]], 1)
        clean = torch.cat([tokens[:1, :1], other[:, 1:]], 1)
        position = torch.arange(3, device=tokens.device).unsqueeze(0)
        everything = torch.ones(1, 1, 3, dtype=torch.bool, device=tokens.device)
        hidden, _ = self.streams(noisy, clean, position, position.clamp(max=1), everything)
        return self.logits(hidden[0, 1:])

    @property
    def open_share(self) -> float:
        """The share of later positions that are attended to in training. StrategyError if set to
        anything but a number from 0 to 1.
        """
        return self._open_share

    @open_share.setter
    def open_share(self, share: float) -> None:
        check_share("open_share", share)
        self._open_share = share

    @property
    def backbone(self) -> Any:
        """The `*ForCausalLM`."""
        return backbone_of(self.net)

    def extra_repr(self) -> str:
        return "bidirectional" if self.block is None else f"block={self.block}"

    def run(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """Return (R,N,D), and None. Raises CanvasError for a condition or rows too long."""
        tokens = query.tokens
        self.check(tokens, query.condition)
        order = self.order(tokens.shape[1], tokens.device)
        keys = query.valid.unsqueeze(1)
        if self.training and self.open_share < 1:
            keys = keys & attended(self.open_share, query.seed, tokens.shape[1])
        position = torch.arange(len(order), device=tokens.device).expand_as(tokens)
        hidden, clean = self.streams(tokens, query.clean, position, order.unsqueeze(0), keys)
        return self.shifted(hidden, clean, order), None

    def streams(
        self, tokens: Tensor, clean: Tensor | None, position: Tensor, order: Tensor, keys: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Return the hidden states (R,N,D) of tokens, and those of the clean ones, in one pass.

        tokens, clean, position: (R,N) int64; without clean ones tokens are seen in their place.
        order, keys: as in `attention.block_causal`.
        """
        if clean is None:
            return self.trunk(tokens, position, block_causal(order, keys)), None
        both = torch.cat([tokens, clean], 1)
        hidden = self.trunk(both, position.repeat(1, 2), two_streams(order, keys))
        length = tokens.shape[1]
        return hidden[:, :length], hidden[:, length:]

    def shifted(self, hidden: Tensor, clean: Tensor | None, order: Tensor) -> Tensor:
        """Return hidden (R,N,D) after a logit shift, if the network has one.

        The first position of a block reads the state before it, which is of a finished block: with
        clean ones (R,N,D), theirs. order: (N,) int64.
        """
        moved = self.shift_logits(hidden)
        if clean is None or not self.logit_shift:
            return moved
        first = order.diff(prepend=order[:1]) > 0
        return self.shift_logits(clean).where(first.unsqueeze(1), moved)

    def head(self, hidden: Tensor) -> Any:
        return self.backbone.get_output_embeddings()(hidden)

    def head_projection(self, hidden: Tensor) -> Projection | None:
        return untied(hidden, self.backbone.get_output_embeddings())

    def trunk(self, tokens: Tensor, position: Tensor, seen: Tensor, **cache: Any) -> Tensor:
        """Return the hidden states (R,Q,D) of one pass.

        tokens, position: (R,Q) int64. seen: (R,Q,K) bool, the keys that each query attends to.
        cache: transformers' cache of keys and values, under the network's name for it.
        """
        given = {
            "input_ids": tokens,
            "position_ids": position,
            "attention_mask": shaped(self.backbone, seen.unsqueeze(1)),
            "use_cache": False,
            **cache,
        }
        if self.way.split:
            return states_of(self.backbone.base_model(**given), tokens)
        return logits_of(self.backbone(**given), tokens)

    def order(self, length: int, device: torch.device | None) -> Tensor:
        """Return (N,) int64: position i attends to j if order j ≤ order i."""
        return torch.arange(length, device=device) // (self.block or length)

    def check(self, tokens: Tensor, condition: Any) -> None:
        """Raise CanvasError for a condition, or rows longer than the sliding window."""
        if condition is not None:
            raise CanvasError(
                "a decoder takes no condition: pass it as a prompt, tokens before the unknown "
                "positions, with Canvas.infill"
            )
        if self.window is not None and tokens.shape[1] > self.window:
            raise CanvasError(
                f"rows have {tokens.shape[1]} positions, and the network has a sliding "
                f"window of {self.window}: pass at most {self.window} positions"
            )


def check_decoder(net: Any) -> None:
    """Raise ModelError unless this is a causal language model that can take a 4-D mask."""
    wanted = ("config", "base_model", "get_output_embeddings")
    if not all(hasattr(net, name) for name in wanted) or net.get_output_embeddings() is None:
        raise ModelError(
            f"{type(net).__name__} is not a transformers *ForCausalLM: pass one, such as "
            "AutoModelForCausalLM.from_pretrained(...), or wrap another network by unmask.wrap"
        )
    attention = getattr(net.config, "_attn_implementation", None)
    if attention not in ("sdpa", "eager"):
        raise ModelError(
            f"attn_implementation={attention!r} takes no 4-D attention mask: load the network "
            "with attn_implementation='sdpa'"
        )
    check_rotary(net.config)


def check_rotary(config: Any) -> None:
    """Raise ModelError for rotary positions that depend on the longest row of a batch."""
    rotary = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None)
    kind = rotary.get("rope_type", rotary.get("type")) if isinstance(rotary, dict) else None
    if kind in GROWING:
        raise ModelError(
            f"rope_type={kind!r} makes rotary positions depend on the longest row of a batch, so "
            "that a row would depend on its batch: use 'default', 'linear' or 'yarn'"
        )


def sliding_window(config: Any) -> int | None:
    """Return the sliding window of the network's layers, in positions; None without one."""
    kinds = getattr(config, "layer_types", None)
    if kinds is None:
        windowed = getattr(config, "use_sliding_window", True)
    else:
        windowed = any(kind != "full_attention" for kind in kinds)
    sizes = (getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size"))
    return min((size for size in sizes if windowed and size), default=None)
