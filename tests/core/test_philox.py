"""Philox: known answers, and that numpy and torch, and whatever is asked for at once, agree.

The kernel is held against torch in `kernels/test_uniforms.py`.
"""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.reference.philox import WORD, broadcast_words, naive_philox

from unmask.core import philox
from unmask.core.philox import by_numpy, by_torch

words = st.integers(0, WORD)
longs = st.integers(-(2**63), 2**63 - 1)


def numpy_way(counter, key, count):
    arrays = [np.asarray(word) for word in (*counter, key)]
    shape = np.broadcast_shapes(*(array.shape for array in arrays))
    return torch.from_numpy(by_numpy.made(arrays, shape, count))


WAYS = {"numpy": numpy_way, "torch": by_torch.made}

# Random123's kat_vectors, philox4x32 with 10 rounds: counter, key, result.
KNOWN_ANSWERS = [
    (
        "00000000 00000000 00000000 00000000",
        "00000000 00000000",
        "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
    ),
    (
        "ffffffff ffffffff ffffffff ffffffff",
        "ffffffff ffffffff",
        "408f276d 41c83b0e a20bc7c6 6d5451fd",
    ),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


def key_of(low, high):
    """Two words as one int64."""
    return torch.tensor(np.uint64(high << 32 | low).astype(np.int64))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("counter", "key", "result"), KNOWN_ANSWERS)
def test_the_known_answers(counter, key, result, way):
    counter, key, result = ([int(word, 16) for word in x.split()] for x in (counter, key, result))
    assert WAYS[way](counter, key_of(*key), 4).tolist() == result
    assert WAYS[way]([torch.tensor([word]) for word in counter], key_of(*key), 4).tolist() == [
        result
    ]
    assert naive_philox(counter, key) == result


@pytest.mark.parametrize("way", WAYS)
@given(counter=st.tuples(words, words, words, words), key=st.tuples(words, words))
def test_ten_rounds_of_the_definition(way, counter, key):
    assert WAYS[way](counter, key_of(*key), 4).tolist() == naive_philox(counter, key)
    assert philox.words(counter, key_of(*key)).tolist() == naive_philox(counter, key)


@pytest.mark.parametrize("piece", [1, 3, by_numpy.PIECE])
@given(given=broadcast_words(), count=st.sampled_from([1, 2, 4]))
def test_numpy_and_torch_agree_whatever_the_shapes(piece, given, count):
    counter, key = given
    wanted = by_torch.made(counter, key, count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(by_numpy, "PIECE", piece)
        got = numpy_way(counter, key, count)
    assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
    assert torch.equal(got, wanted)


@given(st.tuples(longs, longs, longs, longs), longs)
def test_of_a_counter_32_bits_count_and_of_a_key_all(counter, key):
    got = philox.words(counter, torch.tensor(key))
    assert torch.equal(got, philox.words([torch.tensor(w) for w in counter], torch.tensor(key)))
    assert got.tolist() == naive_philox([w & WORD for w in counter], (key & WORD, key >> 32 & WORD))


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("count", [philox.FEW // 2, philox.FEW // 2 + 1, philox.FEW + 1])
def test_many_are_those_of_few(count, rows, monkeypatch):
    """With several threads numpy makes up to FEW, torch more; with few, numpy makes all."""
    key, place = torch.tensor([[3], [2**62 + 5]])[:rows], torch.arange(count)
    few = philox.reals((place[-3:], 7, 1, 0), key[-1])
    for threads in (1, philox.THREADS):
        monkeypatch.setattr(torch, "get_num_threads", lambda t=threads: t)
        whole = philox.reals((place, 7, 1, 0), key)
        assert whole.shape == (rows, count, 2)
        assert torch.equal(whole[-1, -3:], few)


@pytest.mark.parametrize(
    ("size", "threads", "kind", "way"),
    [
        (100, 8, "plain", "numpy"),
        (101, 3, "plain", "numpy"),
        (101, 4, "plain", "torch"),
        (100, 1, "meta", "torch"),
        (100, 1, "subclass", "torch"),
        (100, 1, "compiled", "torch"),
    ],
)
def test_the_way_that_is_taken(size, threads, kind, way, monkeypatch):
    taken = []
    for name, module in {"numpy": by_numpy, "torch": by_torch}.items():
        made = module.made
        monkeypatch.setattr(
            module, "made", lambda *a, name=name, made=made: taken.append(name) or made(*a)
        )
    monkeypatch.setattr(philox, "FEW", 100)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: kind == "compiled")
    place = torch.arange(size, device="meta" if kind == "meta" else "cpu")
    place = torch.nn.Parameter(place, requires_grad=False) if kind == "subclass" else place
    assert philox.reals((place, 0, 0, 0), place.new_ones(())).shape == (size, 2)
    assert taken == [way]


@pytest.mark.parametrize(("word", "value"), [(0, 2.0**-49), (WORD, 1 - 2.0**-49)])
def test_ends_are_open(monkeypatch, word, value):
    assert 0 < value < 1
    monkeypatch.setattr(by_torch, "_rounds", lambda *_: (torch.tensor(word),) * 4)
    monkeypatch.setattr(by_numpy, "_rounds", lambda *_: (np.full((2, 1), word, np.uint64),) * 2)
    for way in WAYS.values():
        assert way((0, 0, 0, 0), torch.tensor(0), 2).tolist() == [value, value]
