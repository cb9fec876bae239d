"""Equal logits in filters: the lower ids come first, near the host and far from it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unmask.sampling import (
    COLD,
    Sampling,
    Scratch,
    Temperatures,
    draw_with_statistics,
    filters,
    passes,
)

INF = math.inf


def naive_top(row, k):
    """Which ids stay: sorted by Python, which is stable."""
    legal = sum(logit > -INF for logit in row)
    count = k if isinstance(k, int) else max(1, math.ceil(k * legal - 1e-9))
    order = sorted(range(len(row)), key=lambda i: -row[i])
    return [i in order[:count] for i in range(len(row))]


def mask_of(what, logits):
    return what.mask(logits, torch.empty_like(logits)).bool()


@pytest.fixture(params=["near", "far"])
def place(request, monkeypatch):
    """As on a device whose numbers are at hand, and on one that would have to be waited for."""
    if request.param == "far":
        monkeypatch.setattr(filters, "waits", lambda device: True)
    return request.param


def tied(seed, rows=7, vocab=23):
    """Logits that repeat, some ids illegal, their number different in each row."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randint(0, 4, (rows, vocab), generator=generator).float()
    return logits.masked_fill(torch.rand(rows, vocab, generator=generator) < 0.3, -INF)


@pytest.mark.parametrize("k", [1, 2, 5, 22, 23, 99, 0.001, 0.3, 0.5, 0.99, 1.0], ids=str)
@pytest.mark.parametrize("seed", range(6))
def test_top_k_takes_the_lower_of_equal_ids(place, seed, k):
    logits = tied(seed)
    found = mask_of(filters.top(logits, k, torch.empty_like(logits)), logits)
    naive = torch.tensor([naive_top(row, k) for row in logits.tolist()])
    legal = logits > -INF
    assert torch.equal(found & legal, naive & legal)  # those at -inf have no mass


def test_parts_of_any_size_are_the_same(monkeypatch):
    logits = tied(3, rows=40)
    whole = filters.top(logits, 0.3, torch.empty_like(logits))
    monkeypatch.setattr(filters, "PART_ELEMENTS", 2 * logits.shape[1])
    parts = filters.top(logits, 0.3, torch.empty_like(logits))
    assert torch.equal(whole.least, parts.least)
    assert torch.equal(whole.last, parts.last)


def test_slices_of_any_size_are_the_same(monkeypatch):
    draw = Sampling(0.7, top_k=0.5, top_p=0.8)
    temperature = Temperatures(torch.full((40,), 0.7), some_greedy=False)

    def found():
        wanted = {"kept", "shaped", "tempered"}
        return passes.passes(tied(3, rows=40), draw, temperature, wanted, Scratch())

    whole = found()
    monkeypatch.setattr(passes, "SLICE_ELEMENTS", 1)
    for name, values in found().items():
        assert torch.equal(values, whole[name]), name


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.data())
def test_ids_are_judged_alone_as_in_the_mask(values, data):
    logits = torch.tensor([values], dtype=torch.float32)
    kept = filters.top(logits, data.draw(st.integers(1, len(values))), torch.empty_like(logits))
    ids = torch.arange(len(values)).unsqueeze(1)
    alone = [bool(kept.holds(logits[:, i : i + 1], ids[i : i + 1])) for i in range(len(values))]
    assert alone == mask_of(kept, logits)[0].tolist()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.data())
def test_the_shorter_of_two_is_what_both_keep(values, data):
    logits = torch.tensor([values], dtype=torch.float32)
    one, other = (
        filters.top(logits, data.draw(st.integers(1, len(values))), torch.empty_like(logits))
        for _ in range(2)
    )
    both = mask_of(one, logits) & mask_of(other, logits)
    assert torch.equal(mask_of(one.shorter(other), logits), both)
    assert torch.equal(mask_of(filters.all_of(logits), logits), torch.ones_like(both))


@pytest.mark.parametrize("mass", [0.2, 0.5, 0.75, 0.9])
def test_top_p_takes_the_lower_of_equal_ids(place, mass):
    logits = torch.zeros(3, 8)
    logits[1, 5] = 1.0
    found = mask_of(filters.kept(logits, torch.ones(3), None, mass, None, logits.clone()), logits)
    for row, kept in zip(logits.double(), found, strict=True):
        order = np.argsort(-row.numpy(), kind="stable")
        p = row.softmax(0).numpy()[order]
        stays = order[: int((p.cumsum() - p < mass - 1e-6).sum())]
        assert sorted(stays.tolist()) == kept.nonzero().squeeze(1).tolist()


DRAWS = [
    Sampling(top_k=3),
    Sampling(top_k=0.3),
    Sampling(0.5, top_p=0.6),
    Sampling(min_p=0.2),
    Sampling(0, top_k=2),
]


@pytest.mark.parametrize("broken", [math.nan, INF, -INF])
@pytest.mark.parametrize("draw", DRAWS, ids=str)
def test_a_broken_row_is_known_by_its_peak_and_leaves_others_alone(place, draw, broken):
    logits = tied(5)
    logits[1] = torch.tensor(broken)
    logits[3, 4] = broken
    usable = ~(logits.isnan() | (logits == INF)).any(1) & (logits > -INF).any(1)
    temperature = torch.full((7,), float(draw.temperature))
    cold = draw.temperature < COLD
    u, held = torch.full((7, 2), 0.4, dtype=torch.float64), torch.full((7,), -1)
    needs = {"kept_logprob", "margin", "entropy"}

    def found(rows):
        part, warmth = logits[rows].clone(), Temperatures(temperature[rows], cold)
        return draw_with_statistics(part, draw, warmth, u[rows], held[rows], needs)

    whole, alone = found(torch.arange(7)), found(usable.nonzero().squeeze(1))
    assert torch.equal(whole["max_logit"].isfinite(), usable)
    for name, values in alone.items():
        assert torch.equal(whole[name][usable], values), name
