"""Networks that are fed back the logits of the step before: `core.network.Observer`."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from tests.conformance.toys import FORBIDDEN, MASK, VOCAB, Toy, table

import unmask
from unmask import Canvas, DenoiserSpec, Guidance, Sampling, models, presets
from unmask.errors import ModelError
from unmask.models.hidden_cache import HiddenCache

HOT = Sampling(0.5)


@dataclass(frozen=True)
class Seen:
    """What a network was fed back, and the logits that its head then gave."""

    fed_back: list
    logits: list


class Observing(Toy):
    """Adds a table of what it was fed back to its logits; wants a class for guidance."""

    def __init__(self):
        super().__init__()
        self.mixed, self.seen = table(7, VOCAB, VOCAB), Seen([], [])

    @property
    def spec(self):
        return replace(super().spec, observes=True)

    def forward(self, query, cache):
        logits = self.hidden(query.tokens, valid=query.valid)
        fed_back = torch.zeros_like(logits) if cache is None else cache.hidden
        if cache is not None:
            fed_back = fed_back * torch.from_numpy(cache.begun)[:, None, None]
        if query.condition is not None:
            logits = logits + query.condition[:, None, None]
        self.seen.fed_back.append(fed_back)
        return logits + fed_back @ self.mixed, HiddenCache.of(torch.zeros_like(logits))

    def logits(self, hidden):
        self.seen.logits.append(hidden.clone())
        return super().logits(hidden)

    def observe(self, logits):
        return logits.softmax(1)

    def feed_back(self, cache, observed):
        return replace(cache, hidden=observed)


def expected(logits, temperature=0.5):
    logits = logits.double()
    logits[:, [MASK, FORBIDDEN]] = -torch.inf
    return (logits / temperature).softmax(1).float()


def test_the_next_step_gets_the_logits_that_were_drawn_from():
    network = Observing()
    strategy = presets.confidence(4).but(sampling=HOT)
    canvas = Canvas.blank(2, 6)
    masked = canvas.editable
    infos = list(unmask.stream(network, canvas, strategy, seeds=[1, 2]))
    assert len(infos) == 4
    assert not network.seen.fed_back[0].any()
    for info, logits, fed_back in zip(
        infos, network.seen.logits, network.seen.fed_back[1:], strict=False
    ):
        torch.testing.assert_close(fed_back[masked], expected(logits))
        assert not fed_back[~masked].any()
        assert info.proposal.observed is None  # it is kept by the cache alone
        masked = info.masked


def test_the_tokens_depend_on_it():
    class Deaf(Observing):
        def feed_back(self, cache, observed):
            return cache

    strategy, canvas = presets.confidence(4), Canvas.blank(4, 8)
    found = [unmask.run(net, canvas, strategy, seed=3).tokens for net in (Observing(), Deaf())]
    assert not torch.equal(*found)


def test_a_row_is_fed_its_own():
    strategy = presets.confidence(4).but(sampling=HOT)
    rows, flags = (
        [[0] * 8, [1, 0, 0, 3], [0] * 5],
        [[True] * 8, [False, True, True, False], [True] * 5],
    )
    together = unmask.run(Observing(), Canvas.ragged(rows, flags), strategy, seeds=[4, 5, 6])
    for i, (row, flag) in enumerate(zip(rows, flags, strict=True)):
        own = unmask.run(Observing(), Canvas.ragged([row], [flag]), strategy, seeds=[4 + i])
        assert own.tokens[0].tolist() == together.tokens[i, : len(row)].tolist()


def test_both_readings_of_a_guided_row_get_the_combined_logits():
    network = Observing()
    strategy = presets.confidence(3).but(guidance=Guidance(2.0), sampling=HOT)
    canvas = Canvas.blank(2, 4, condition=torch.tensor([1.0, 2.0]))
    list(unmask.stream(network, canvas, strategy, seeds=[1, 2]))
    second = network.seen.fed_back[1]
    assert second.shape == (4, 4, VOCAB)
    assert torch.equal(second[0], second[1])
    assert torch.equal(second[2], second[3])
    assert second.any()


@pytest.mark.parametrize("wrapper", [models.Compiled, models.Captured])
@pytest.mark.filterwarnings("ignore::unmask.errors.CompileWarning")
def test_wrappers_hand_it_on(wrapper):
    strategy, canvas = presets.confidence(4), Canvas.blank(2, 8)
    options = {"backend": "eager"} if wrapper is models.Compiled else {}
    wrapped = wrapper(Module(), **options)
    found = unmask.run(wrapped, canvas, strategy, seeds=[1, 2])
    own = unmask.run(Module(), canvas, strategy, seeds=[1, 2])
    assert torch.equal(found.tokens, own.tokens)
    assert wrapped.inner.network.seen.fed_back[-1].any()


class Module(torch.nn.Module):
    """The same as a module."""

    def __init__(self):
        super().__init__()
        self.network = Observing()
        self.device = None
        self.spec = self.network.spec

    def __getattr__(self, name):
        if name in ("logits", "projection", "observe", "feed_back"):
            return getattr(self.network, name)
        return super().__getattr__(name)

    def forward(self, query, cache):
        return self.network.forward(query, cache)


def test_blocks_may_be_counted_from_the_prompt():
    with pytest.raises(ModelError, match="block_origin='end'"):
        DenoiserSpec(5, block_origin="end")
    network = Starts()
    rows, flags = (
        [[1] + [0] * 6, [1, 1, 1] + [0] * 5],
        [[False] + [True] * 6, [False] * 3 + [True] * 5],
    )
    strategy = presets.diffusion_gemma(2, block=3)
    unmask.run(network, Canvas.ragged(rows, flags), strategy, seeds=[1, 2])
    assert np.array_equal(network.starts, [[1, 3], [1, 3], [4, 6], [4, 6]])


class Starts(Toy):
    """Notes where the open block of each row begins."""

    starts = ()

    @property
    def spec(self):
        options = {"block_size": 3, "block_origin": "prompt", "open_block_only": True}
        return replace(super().spec, inputs=frozenset({"open_block"}), **options)

    def forward(self, query, cache):
        self.starts = (*self.starts, query.open_start.tolist())
        return super().forward(query, cache)
