"""What a step costs beside the network: what is counted on, and the tables."""

import pytest
import torch


@pytest.fixture
def far(helper):
    return helper("_far")


def test_numbers_far_away_are_those_of_the_host(far):
    with far.counted():
        there = torch.tensor([3.0, -1.0, 2.0], device=far.FAR)
        assert there.device == far.FAR
        there[1:].mul_(2)
        made = torch.arange(3, device=far.FAR) + there.sort().values
        assert made.tolist() == [-2.0, 4.0, 6.0]
        assert there.max().item() == 4
        assert torch.equal(there.cpu(), torch.tensor([3.0, -2.0, 4.0]))


def test_views_launch_nothing_and_do_not_lose_their_base(far):
    with far.counted() as count:
        there = torch.zeros(2, 3, device=far.FAR)
        view = there.view(3, 2)[0]
        view.fill_(1)
        assert (count.operations, count.views, count.launches) == (4, 2, 2)
        assert there.tolist() == [[1, 1, 0], [0, 0, 0]]


def test_what_passes_between_is_counted(far):
    flags, at = torch.tensor([True, False]), torch.tensor([1, 0])
    with far.counted() as count:
        there = flags.to(far.FAR)
        assert (len(count.read), len(count.sent)) == (0, 1)
        for ask in (bool, torch.nonzero, torch.Tensor.cpu, torch.Tensor.tolist):
            ask(there.any() if ask is bool else there)
        there[there]
        assert (len(count.read), len(count.sent)) == (5, 1)
        there[at]  # places that are still on the host
        torch.tensor([1, 2], device=far.FAR)
        assert (len(count.read), len(count.sent)) == (5, 3)
        before = count.launches
        there.copy_(flags)
        assert count.launches == before
        assert (there | torch.tensor(True)).dtype == torch.bool  # a number goes with its kernel
        assert (len(count.read), len(count.sent), count.launches) == (5, 4, before + 1)


def test_nothing_counts_while_paused_nor_after_it_is_cleared(far):
    with far.counted() as count:
        with count.pause():
            torch.ones(2, device=far.FAR).tolist()
        assert (count.operations, count.read) == (0, [])
        torch.ones(2, device=far.FAR).tolist()
        assert (count.operations, len(count.read)) == (2, 1)
        count.clear()
        assert (count.operations, count.launches, count.read) == (0, 0, [])


def test_outside_nothing_runs_far_away(far):
    with far.counted():
        there = torch.ones(2, device=far.FAR)
    with pytest.raises(RuntimeError, match="run it within `counted`"):
        there + 1


def test_overhead(tables):
    found = tables("overhead")
    operations, transfers, asking, functions, way = found.values()
    counts = {row["preset"]: row["counts"] for row in operations}
    assert {"annealed", "maskgit", "p2", "remdm", "dream", "wino"} <= counts.keys()
    for row, moved in zip(operations, transfers, strict=True):
        assert row["operations"] > row["without views"] > 0
        assert row["GPU launches"] > 0
        assert row["goal"] == {"fixed": 100, "adaptive": 130}[row["counts"]]
        assert moved["goal"] == (row["counts"] == "adaptive")
        assert moved["device to host"] == 0 or row["counts"] == "adaptive"
    for column in ("device to host", "host to device"):
        asked = [row for row in asking if row["way"] == column]
        assert bool(asked) == any(row[column] for row in transfers)
        assert all(row["functions"] and row["such as"] in counts for row in asked)
    assert [row["preset"] for row in functions] == list(counts)
    assert all(0 < row["files"] < row["functions"] for row in functions)
    unchecked = [row["function"] for row in way if not row["function"].startswith("core/calls")]
    assert unchecked[0].endswith(": generate")
    assert [row["frame"] for row in way] == [str(n) for n in range(1, len(way) + 1)]


def test_a_network_and_its_head_do_not_count(helper):
    overhead = helper("overhead")
    size = overhead.Size(2, 8, 24)
    strategy = overhead.strategies()["maskgit"]
    usual, tokens = overhead.step_of(strategy, size, overhead.HERE, after=1)

    class Slow(overhead.Net):
        def __call__(self, shown):
            with self.tally.pause():
                return super().__call__(shown) * 2 / 2

    overhead.Net = Slow
    slow, same = overhead.step_of(strategy, size, overhead.HERE, after=1)
    assert slow.operations == usual.operations
    assert same.equal(tokens)


def test_functions_are_the_package_s_own(helper):
    overhead = helper("overhead")
    codes = overhead.entered(overhead.strategies()["maskgit"], overhead.Size(2, 8, 24))
    assert not [code for code in codes if code.co_name.startswith("<")]
    assert "step" in {code.co_name for code in codes}
    assert all("/unmask/" in code.co_filename for code in codes)
