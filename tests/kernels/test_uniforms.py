"""The kernel of uniforms against torch, bit by bit, and when it is launched."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kernels.conftest import ON_GPU
from tests.reference.philox import broadcast_words

from unmask.core import philox
from unmask.core.philox import by_torch, by_triton
from unmask.core.random import SEED_LIMIT, Purpose, derive, fold, uniform, uniforms
from unmask.errors import KernelWarning

DEVICE = "cuda" if ON_GPU else "cpu"  # a fixture would be made once for all examples


def moved(counter, key):
    return [w.to(DEVICE) if isinstance(w, torch.Tensor) else w for w in counter], key.to(DEVICE)


def check(counter, key, count):
    """The kernel's numbers, which are torch's."""
    counter, key = moved(counter, key)
    got, wanted = by_triton.made(counter, key, count), by_torch.made(counter, key, count)
    assert (got.dtype, got.shape, got.device) == (wanted.dtype, wanted.shape, wanted.device)
    assert torch.equal(got, wanted)
    return got


@settings(deadline=None)
@given(given=broadcast_words(), count=st.sampled_from([1, 2, 4]))
def test_any_shapes_give_the_numbers_of_torch(given, count):
    check(*given, count)


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("length", [1, 2, by_triton.TILE, by_triton.TILE + 1, 1000])
def test_any_length_gives_the_numbers_of_torch(length, count):
    seed, step, place = derive(1, 3)[:, None], torch.arange(3)[:, None], torch.arange(length)
    purposes = torch.arange(16)[::5].view(-1, 1, 1)
    check((place, step, 0, 0), seed, count)  # a row of positions each
    check((place, step, purposes, 0), seed, count)  # for several purposes
    check((place, place // 3, 2, 2**32 - 1), derive(7, length), count)  # gathered
    check((place[:9, None], place[:9, None], 14, place), seed[:1], count)  # for each id


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 - 1, 2**32, 2**63 - 2, 2**63 - 1])
def test_ends_of_the_ranges(seed):
    ends = torch.tensor([0, 1, 2**31 - 1, 2**31, 2**32 - 1])
    for number in ends.tolist():
        check((number, ends, number, ends.flip(0)), torch.tensor(seed), 2)
        check((ends, number, ends.flip(0), number), torch.tensor([[seed]]), 4)


def layout(*words):
    return by_triton._layout(*map(by_triton._form, words))


def test_neighbouring_axes_are_one_where_all_words_go_on():
    whole, row, column = torch.zeros(6, 5), torch.zeros(6, 1), torch.zeros(5)
    assert layout(whole, 3) == ((6, 5), (30,), ((1,), (0,)))
    assert layout(whole, row) == ((6, 5), (6, 5), ((5, 1), (1, 0)))
    assert layout(whole.T, 3) == ((5, 6), (5, 6), ((1, 5), (0, 0)))
    assert layout(torch.zeros(2, 1, 1), row, column) == (
        (2, 6, 5), (2, 6, 5), ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    )  # fmt: skip
    assert layout(torch.zeros(2, 3, 5), column) == ((2, 3, 5), (6, 5), ((5, 1), (0, 1)))
    assert layout(row[:1], 3) == ((1, 1), (), ((), ()))


# --- dispatch -----------------------------------------------------------------------------------


@pytest.fixture
def launches(monkeypatch):
    """The counts that the kernel is asked for, none of which numpy takes from it."""
    asked, made = [], by_triton.made

    def noted(counter, key, count):
        asked.append(count)
        return made(counter, key, count)

    monkeypatch.setattr(by_triton, "made", noted)
    monkeypatch.setattr(philox, "FEW", 0)
    monkeypatch.setattr(philox, "THREADS", 0)
    monkeypatch.setattr(philox.KERNEL, "failed", [])
    return asked


def test_the_uniforms_of_a_step_are_one_launch(launches):
    seed, step = torch.arange(4, device=DEVICE) + 2**40, torch.arange(4, device=DEVICE)
    place = torch.arange(30, device=DEVICE)
    purposes = (Purpose.DRAW, Purpose.ORDER, Purpose.REVEAL)
    got = uniforms(seed[:, None], step[:, None], place, purposes)
    assert launches == [2]
    for purpose, values in zip(purposes, got, strict=True):
        counter = (place, step[:, None], int(purpose), 0)
        assert torch.equal(values, by_torch.made(counter, seed[:, None], 2))


def test_uniforms_and_seeds_come_from_the_kernel(launches):
    seed, index = torch.tensor([0, SEED_LIMIT - 1], device=DEVICE), torch.arange(2, device=DEVICE)
    one = uniform(seed, 0, 3, Purpose.NOISE, index, count=1)
    both = uniform(seed, 0, 3, Purpose.NOISE, index)
    folded = fold(seed, index)
    assert launches == [1, 2, 4]
    assert torch.equal(one, both[:, :1])
    words = by_torch.made((index, 0, int(Purpose.SEED), 1), seed, 4)
    assert torch.equal(folded, words[:, 0] << 31 | words[:, 1] >> 1)


def test_a_kernel_that_fails_is_said_once_and_done_without(launches, monkeypatch):
    seed = torch.arange(3, device=DEVICE)
    wanted = uniform(seed, 1, 2, Purpose.DRAW)

    def failing(*_):
        launches.append("failed")
        raise RuntimeError("no compiler\nand more")

    monkeypatch.setattr(by_triton, "made", failing)
    with pytest.warns(KernelWarning, match=r"the kernel of uniforms .*: no compiler\)") as seen:
        assert torch.equal(uniform(seed, 1, 2, Purpose.DRAW), wanted)
    assert torch.equal(uniform(seed, 1, 2, Purpose.DRAW), wanted)
    assert (len(seen), launches) == (1, [2, "failed"])


def test_memory_that_runs_out_is_no_failure_of_the_kernel(launches, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(by_triton, "made", full)
    with pytest.raises(torch.OutOfMemoryError):
        uniform(torch.arange(3, device=DEVICE), 1, 2, Purpose.DRAW)
    assert not philox.KERNEL.failed


def test_words_on_several_devices_go_by_torch(launches):
    seed = torch.arange(3, device="meta")
    assert uniform(seed, torch.tensor(1), 2, Purpose.DRAW).shape == (3, 2)
    assert not launches
