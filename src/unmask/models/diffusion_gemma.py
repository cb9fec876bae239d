"""DiffusionGemma: a causal encoder with a cache, and a decoder of one canvas behind it.

Shapes: R rows, N positions, L positions of a canvas, S positions before the last canvas that is
open, D width, V vocabulary, m positions of a chunk.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unmask.core.arrays import to_device
from unmask.core.checks import check_count
from unmask.core.inference import evaluating
from unmask.core.network import Cache, Query
from unmask.core.trees import widen
from unmask.errors import CanvasError, ModelError, StrategyError
from unmask.models.adapter import Adapter, Way
from unmask.models.attention import shaped
from unmask.models.caching import States, Tally, Turn, pass_through, unchanged
from unmask.models.hidden_cache import RowCache
from unmask.models.trial import attempt, same

FULL, SLIDING = "full_attention", "sliding_attention"


@dataclass(frozen=True)
class CanvasCache(RowCache):
    """Keys and values of what is before the open canvas, and what is fed back to it."""

    states: States  # "keys 0" and so on: (R,H,N,Dh)
    tokens: Tensor  # (R,N) int64: the row they were computed from
    encoded: Tensor  # (R,) int64: how many of its first positions
    fed_back: Tensor  # (R,N,D): expected embeddings by the logits of the step before, 0 for none

    def resize(self, length: int) -> CanvasCache:
        states = {name: widen(leaf, length, dim=2) for name, leaf in self.states.items()}
        tokens, fed_back = widen(self.tokens, length), widen(self.fed_back, length)
        return replace(self, states=states, tokens=tokens, fed_back=fed_back)


class DiffusionGemma(Adapter):
    """A transformers `DiffusionGemmaForBlockDiffusion`.

    A row is a prompt and canvases of L positions behind it, which the network generates one after
    the other: strategies have the groups `Groups.blocks(L, origin="prompt")`, as
    `presets.diffusion_gemma` does. What is before the open canvas is encoded once. The logits of a
    step, divided by its temperature, are fed back at the next as the embedding that they expect,
    chunk by chunk, so that no logits of a whole canvas are kept.

    canvas: L, by default that of the network's config.

    A row needs a prompt of one token or more, and images are not read. A trial of some short passes
    raises ModelError unless logits are those of the network itself.
    """

    way = Way(split=True)

    def __init__(self, net: Any, canvas: int | None = None):
        config = net.config.get_text_config()
        canvas = int(net.config.canvas_length) if canvas is None else canvas
        check_count("canvas", canvas, ModelError)
        super().__init__(
            net,
            int(config.vocab_size),
            None,
            inputs=frozenset({"open_block"}),
            block_size=canvas,
            block_origin="prompt",
            open_block_only=True,
            cached=True,
            observes=True,
            max_length=int(config.max_position_embeddings),
        )
        self.canvas, self.window = canvas, int(config.sliding_window)
        self.settle()

    @property
    def backbone(self) -> Any:
        """The network of transformers."""
        return self.net

    def extra_repr(self) -> str:
        return f"canvas={self.canvas}"

    def run(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """Return (R,N,D), zeros outside the open canvas, and the cache."""
        if query.condition is not None:
            raise CanvasError(
                "DiffusionGemma takes no condition, such as images, which are not read: pass text "
                "as a prompt, tokens before the unknown positions, with Canvas.infill"
            )
        if query.open_start is None:
            raise StrategyError(
                "DiffusionGemma reads the open canvas of a row alone, and the query has none: "
                "generate by presets.diffusion_gemma; it can neither score nor fill in"
            )
        if not query.open_start.all():
            row = int(query.open_start.argmin())
            raise CanvasError(
                f"row {row} has no prompt, behind which DiffusionGemma generates: pass one token "
                "or more before the unknown positions, such as the one that begins a text"
            )
        assert cache is None or isinstance(cache, CanvasCache)
        cache = self._encoded(query, cache)
        hidden = self._canvas(query, cache)
        return hidden, replace(cache, fed_back=torch.zeros_like(cache.fed_back))

    def _encoded(self, query: Query, before: CanvasCache | None) -> CanvasCache:
        """Return the cache with all positions before the open canvas, encoding those that lack."""
        assert query.open_start is not None
        tokens, start, begin = query.tokens, query.open_start, np.zeros_like(query.open_start)
        if before is not None:
            begin = unchanged(before.encoded, before.tokens, tokens)
            if np.array_equal(begin, start):
                return before
            begin[start < begin] = 0
        place = torch.arange(tokens.shape[1], device=tokens.device)
        turn = Turn(begin, start, start, start)
        old = {} if before is None else before.states
        hidden, states = pass_through(self, tokens, place, turn, old, Tally())
        fed_back = torch.zeros_like(hidden) if before is None else before.fed_back
        encoded = to_device(start, tokens.device)
        return CanvasCache(np.ones(len(tokens), bool), states, tokens, encoded, fed_back)

    def trunk(self, tokens: Tensor, position: Tensor, seen: Tensor, **cache: Any) -> Tensor:
        """Return the encoder's states (R,Q,D); arguments as those of `Decoder.trunk`."""
        slots = torch.arange(seen.shape[2] - tokens.shape[1], device=tokens.device)
        key = torch.cat([slots.expand(len(tokens), -1), position], 1)
        near = seen & (position.unsqueeze(2) - key.unsqueeze(1) < self.window)
        masks = self._masks(seen, near)
        given = {"input_ids": tokens, "position_ids": position, "attention_mask": masks, **cache}
        states: Tensor = self.net.model.encoder(**given).last_hidden_state
        return states

    def _canvas(self, query: Query, cache: CanvasCache) -> Tensor:
        """Return the decoder's states over the whole row (R,N,D), zeros outside the canvas."""
        assert query.open_start is not None
        tokens, device, start = query.tokens, query.tokens.device, query.open_start[:, None]
        width = min(self.canvas, tokens.shape[1] - int(start.min()))
        place = start + np.arange(width)  # (R,L)
        own = place < query.lengths[:, None]
        slots = int(start.max())
        key = np.arange(slots)
        earlier = key < start
        near = earlier & (key > start - self.window)
        masks = [
            to_device(np.concatenate([keys, own], 1), device).unsqueeze(1).expand(-1, width, -1)
            for keys in (earlier, near)
        ]
        row = torch.arange(len(tokens), device=device).unsqueeze(1)
        there = to_device(np.minimum(place, tokens.shape[1] - 1), device)
        with self._feeding(cache.fed_back[row, there]):
            states: Tensor = self.net.model.decoder(
                decoder_input_ids=tokens[row, there],
                decoder_position_ids=to_device(place, device),
                decoder_attention_mask=self._masks(*masks),
                cache=_read_only(cache.states, slots),
            ).last_hidden_state
        hidden = states.new_zeros((*tokens.shape, states.shape[-1]))
        of_row, nth = own.nonzero()
        at = [to_device(each, device) for each in (of_row, nth, place[of_row, nth])]
        return hidden.index_put_((at[0], at[2]), states[at[0], at[1]])

    def _masks(self, full: Tensor, sliding: Tensor) -> dict[str, Tensor]:
        """Return the masks (R,1,Q,K) of both kinds of layers, of (R,Q,K) bool."""
        pairs = ((FULL, full), (SLIDING, sliding))
        return {kind: shaped(self.net, seen.unsqueeze(1)) for kind, seen in pairs}

    @contextmanager
    def _feeding(self, fed_back: Tensor) -> Iterator[None]:
        """Give these embeddings (R,L,D) to the network in place of those that it computes.

        Its own come from logits (R,L,V).
        """

        def replaced(_: Any, given: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
            return given[0], fed_back.to(given[0].dtype)

        hook = self.net.model.decoder.self_conditioning.register_forward_pre_hook(replaced)
        try:
            yield
        finally:
            hook.remove()

    def head(self, hidden: Tensor) -> Tensor:
        logits = self.net.lm_head(hidden).float()
        cap: float = self.net.final_logit_softcapping
        capped: Tensor = torch.tanh(logits / cap) * cap
        return capped

    def observe(self, logits: Tensor) -> Tensor:
        """Return the expected embeddings (m,D) of logits (m,V), as the network computes them."""
        embedding = self.net.model.decoder.embed_tokens
        weight = embedding.weight
        share = logits.to(weight).softmax(-1, dtype=torch.float32).to(weight.dtype)
        expected: Tensor = (share @ weight) * embedding.embed_scale.to(weight.dtype)
        return expected

    def feed_back(self, cache: Cache, observed: Tensor) -> Cache:
        """Return the cache with the embeddings (R,N,D) for the next step."""
        assert isinstance(cache, CanvasCache)
        return replace(cache, fed_back=observed)

    def settle(self) -> None:
        """Raise ModelError unless logits are those of the network run whole.

        A prompt and a canvas, without and with logits of a step before.
        """
        device = self.device or torch.device("cpu")
        tokens = torch.arange(2, 8, device=device).unsqueeze(0) % self.spec.vocab_size
        query = replace(Query.of(tokens), open_start=np.array([4]))

        def wanted(fed: Tensor | None) -> Tensor:
            given = {"input_ids": tokens[:, :4], "decoder_input_ids": tokens[:, 4:]}
            logits: Tensor = self.net(**given, self_conditioning_logits=fed).logits[0]
            return logits

        def found(fed: Tensor | None) -> Tensor:
            hidden, cache = self.run(query, None)
            if fed is not None:
                assert cache is not None
                observed = torch.zeros_like(hidden)
                observed[:, 4:] = self.observe(fed[0]).to(hidden)
                hidden, _ = self.run(query, self.feed_back(cache, observed))
            return self.logits(hidden[0, 4:])

        with evaluating(self):
            first = wanted(None).unsqueeze(0)
            for fed in (None, 2 * first):
                logits, rounded = attempt(partial(found, fed)), self.net.dtype
                if isinstance(logits, Tensor) and same(logits.to(rounded), wanted(fed).to(rounded)):
                    continue
                told = f" ({logits!r})" if isinstance(logits, Exception) else ""
                raise ModelError(
                    f"this network computes canvases otherwise than unmask{told}: load it with "
                    "attn_implementation='sdpa', by a version of transformers that unmask knows"
                )


def _read_only(states: States, slots: int) -> Any:
    """Return keys and values as the decoder of transformers reads them."""
    layers = [
        SimpleNamespace(
            keys=states[f"keys {i}"][:, :, :slots], values=states[f"values {i}"][:, :, :slots]
        )
        for i in range(len(states) // 2)
    ]
    return SimpleNamespace(layers=layers, is_compileable=False)
