"""What the benchmarks are made of, on clocks and figures that are known."""

import argparse
import json
import time

import pytest
import torch


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still; a call of it lets seconds pass."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def passing(seconds):
        now[0] += seconds

    return passing


def test_calls_run_in_turn_after_a_warm_up(helper):
    order = []
    calls = {name: lambda name=name: order.append(name) for name in "abc"}
    times = helper("_timing").measured(calls, 3, fewer={"b": 1})
    assert "".join(order) == "abc" + "abc" + "ac" + "ac"
    assert {name: len(each.values) for name, each in times.items()} == {"a": 3, "b": 1, "c": 3}


def test_medians_and_spread_leave_the_warm_up_out(helper, clock):
    lasts = iter([100.0, 5.0, 1.0, 3.0])
    times = helper("_timing").measured({"a": lambda: clock(next(lasts))}, 3)["a"]
    assert (times.median, times.low, times.high) == (3, 1, 5)
    ratio = times.over(2)
    assert (ratio.median, ratio.low, ratio.high) == (1.5, 0.5, 2.5)


def test_calls_run_without_gradients(helper):
    seen = []
    helper("_timing").measured({"a": lambda: seen.append(torch.is_grad_enabled())}, 1)
    assert seen == [False, False]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_device_is_waited_for_before_and_after(helper, monkeypatch, device):
    order = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: order.append("wait"))
    helper("_timing").seconds(lambda: order.append("call"), torch.device(device))
    assert order == (["call"] if device == "cpu" else ["wait", "call", "wait"])


@pytest.mark.parametrize(("fewer", "words"), [({"b": 1}, "fewer names"), ({"a": 0}, "1 or more")])
def test_repeats_that_mean_nothing_are_refused(helper, fewer, words):
    with pytest.raises(ValueError, match=words):
        helper("_timing").measured({"a": lambda: None}, 2, fewer=fewer)


def test_threads_are_pinned_and_told(helper, capsys, monkeypatch):
    pinned = []
    monkeypatch.setattr(torch, "set_num_threads", pinned.append)
    helper("_timing").threads(3)
    helper("_timing").threads(None)
    assert pinned == [3]
    assert capsys.readouterr().out == f"threads: {torch.get_num_threads()}\n" * 2


def options(tmp_path, markdown=False):
    return argparse.Namespace(out=tmp_path, markdown=markdown, steps=3)


def test_a_report_is_printed_and_written(helper, tmp_path, capsys):
    times = helper("_timing").Times((1.0, 2.0, 4.0))
    report = helper("_report").Report("name", "a machine", ["preset", "V", "ratio"])
    report.add("maskgit", 1024, times)
    report.add("none", 8, None)
    report.table("empty", ["a"])
    report.note("goal: [all] 1")
    report.finish(options(tmp_path))
    printed = capsys.readouterr().out
    assert printed.startswith("a machine\n")
    assert "goal: [all] 1" in printed
    assert "2.00 (1.00–4.00)" in printed
    assert json.loads((tmp_path / "name.json").read_text()) == {
        "name": "name",
        "about": "a machine",
        "options": {"markdown": False, "steps": 3},
        "tables": {
            "name": [
                {"preset": "maskgit", "V": 1024, "ratio": {"median": 2, "low": 1, "high": 4}},
                {"preset": "none", "V": 8, "ratio": None},
            ]
        },
        "notes": ["goal: [all] 1"],
    }


def test_a_report_as_markdown(helper, tmp_path, capsys):
    report = helper("_report").Report("name", "a machine", ["V", "ratio"])
    report.add(32_000, 0.5)
    report.finish(options(tmp_path, markdown=True))
    table = "**name**\n\n| V | ratio |\n| --- | --- |\n| 32,000 | 0.500 |\n"
    assert capsys.readouterr().out == "a machine\n" + table


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (0.0, "0"),
        (0, "0"),
        (0.01234, "0.0123"),
        (32_000, "32,000"),
        (1234.5, "1,234"),
        (7, "7"),
        (None, "–"),
    ],
)
def test_cells_as_people_read_them(helper, cell, words):
    assert helper("_report").written(cell) == words


def test_a_report_refuses_a_row_of_another_form(helper):
    report = helper("_report").Report("name", "a machine", ["V", "ratio"])
    with pytest.raises(ValueError, match="1 cells for the columns"):
        report.add(3)


@pytest.mark.parametrize("power", [0.0, 1.0, 1.7])
def test_exponent_of_a_power_law(helper, power):
    costs = {n: 3 * n**power for n in (64, 256, 4096)}
    assert helper("scaling").exponent(costs) == pytest.approx(power, abs=1e-9)


def test_straight_line(helper):
    assert helper("scaling").line({t: 2.5 * t + 7 for t in (1, 16, 256)}) == pytest.approx((2.5, 7))


def test_shares_take_what_is_called_out_of_the_caller(helper, clock):
    watch = helper("shares").Clock(torch.device("cpu"))
    with watch.within("bookkeeping"):
        clock(1)
        with watch.within("trunk"):
            clock(4)
        with watch.within("draw"):
            clock(2)
            with watch.within("head"):
                clock(3)
        clock(0.5)
    assert watch.seconds == {"bookkeeping": 1.5, "trunk": 4, "draw": 2, "head": 3}
    assert sum(watch.shares().values()) == pytest.approx(100)
    assert watch.shares()["trunk"] == pytest.approx(100 * 4 / 10.5)


def test_what_was_patched_for_shares_is_put_back(helper):
    shares = helper("shares")
    places = [(shares.DECIDING, "propose"), (shares.PROPOSING, "find_queried")]
    before = [getattr(*place) for place in places]
    patched = []

    def fail():
        patched.extend(getattr(*place) for place in places)
        raise RuntimeError

    with pytest.raises(RuntimeError), shares.drawing(shares.Clock(torch.device("cpu"))):
        fail()
    assert len(patched) == 2
    assert all(now is not then for now, then in zip(patched, before, strict=True))
    assert [getattr(*place) for place in places] == before


@pytest.mark.parametrize("name", ["annealed, keep=None", "maskgit", "random_order", "threshold"])
def test_shares_find_each_part_of_a_step(helper, monkeypatch, name):
    """Each part is entered once a step, and where to ask is found within the draw."""
    import unmask

    shares, net = helper("shares"), helper("_networks")
    size = net.Size(vocab=12, batch=2, length=6, dim=8, depth=1, heads=2)
    denoiser = unmask.wrap(net.encoder(size, torch.device("cpu")), mask_id=size.mask_id)
    clock, entered = shares.Clock(torch.device("cpu")), []
    within = clock.within
    monkeypatch.setattr(clock, "within", lambda part: (entered.append(part), within(part))[1])
    with shares.drawing(clock):
        strategy = shares.strategies(3)[name]
        made = unmask.run(net.Watched(denoiser, clock.within), size.blank(), strategy, seed=0)
    assert entered == ["trunk", "draw", "bookkeeping", "head"] * int(made.forwards.max())


def test_largest_counts_new_storage_only(helper):
    x = torch.zeros(1000)  # 4,000 bytes, made before
    with helper("_memory").Largest() as seen:
        x.view(10, 100).add_(1).t()
        assert seen.bytes == 0
        torch.ones(10) + 1
        assert (seen.bytes, seen.operation) == (40, "aten.ones.default")
        with seen.pause():
            x + 1
        assert seen.bytes == 40
        torch.exp(x[:500])
    assert (seen.bytes, seen.operation) == (2000, "aten.exp.default")


def test_passes_count_rows_over_the_batch(helper):
    net = torch.nn.Linear(2, 2)

    def call():
        for rows in (4, 4, 2):
            net(torch.zeros(rows, 2))

    assert helper("_networks").passes(net, 4, call) == 2.5
    assert not net._forward_pre_hooks


def test_a_watched_denoiser_is_the_denoiser_it_watches(helper):
    import unmask

    net = helper("_networks")
    size = net.Size(vocab=12, batch=3, length=6, dim=8, depth=1, heads=2)
    denoiser = unmask.wrap(net.encoder(size, torch.device("cpu")), mask_id=size.mask_id)
    entered = []

    class Within:
        def __init__(self, part):
            self.part = part

        def __enter__(self):
            entered.append(self.part)

        def __exit__(self, *_):
            pass

    watched = net.Watched(denoiser, Within)
    assert (watched.spec, watched.spec.default_length) == (denoiser.spec, 6)
    strategy = unmask.presets.maskgit(2)
    made = [unmask.generate(d, size.blank(), strategy, seed=1) for d in (denoiser, watched)]
    assert made[0].equal(made[1])
    assert entered == ["trunk", "head"] * 2


def test_machine_tells_versions_and_what_is_missing(helper):
    said = helper("_machine").about("no-such-package")
    assert f"torch {torch.__version__}" in said
    assert "no-such-package not installed" in said
    assert f"{torch.get_num_threads()} threads" in said


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], (5, 18)),
        (["--quick"], (1, 3)),
        (["--quick", "--steps", "18"], (1, 18)),
        (["--repeats", "2"], (2, 18)),
    ],
)
def test_quick_stands_in_for_what_is_not_given(helper, monkeypatch, given, expected):
    report = helper("_report")
    parser = report.arguments(argparse.ArgumentParser())
    parser.add_argument("--steps", type=report.count, default=18)
    monkeypatch.setattr("sys.argv", ["script", *given])
    options = report.parsed(parser, repeats=1, steps=3)
    assert (options.repeats, options.steps) == expected


def test_nothing_is_no_count(helper):
    with pytest.raises(argparse.ArgumentTypeError, match="0 is too few"):
        helper("_report").count("0")
