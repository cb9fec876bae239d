"""What `unmask compare` sweeps, and what it leaves out."""

from unmask import presets
from unmask.cli.io import sweep
from unmask.presets import by_name


def made(names=(), steps=(1, 4), pairs=(), grid=(4, 4)):
    found, left_out = sweep.swept(names, steps, pairs, grid, 16)
    return [(each.preset, each.label) for each in found], left_out


def test_every_preset_is_swept_or_said_to_be_left_out():
    found, left_out = made()
    assert {name for name, _ in found} | left_out.keys() == set(presets.__all__)
    assert not {name for name, _ in found} & left_out.keys()
    assert left_out["token_critic"] == "needs a critic"
    assert [label for name, label in found if name == "confidence"] == ["steps=1", "steps=4"]
    assert [label for name, label in found if name == "first_hitting"] == [""]


def test_presets_without_steps_are_swept_over_their_own_knob(monkeypatch):
    def threshold(threshold: float = 0.9, budget: int | None = None):
        return presets.confidence(steps=1)

    monkeypatch.setattr(by_name, "known", lambda: {"threshold": threshold})
    found, _ = made()
    values = sweep.KNOBS["threshold"]
    assert found == [("threshold", f"threshold={value} budget=64") for value in values]
    pairs = ["threshold.threshold=0.25", "threshold.budget=null,3", "threshold.threshold=0.5"]
    assert [label for _, label in made(pairs=pairs)[0]] == [
        "threshold=0.25 budget=null", "threshold=0.25 budget=3",
        "threshold=0.5 budget=null", "threshold=0.5 budget=3",
    ]  # fmt: skip


def test_a_grid_knows_its_height_and_width_and_text_does_not(monkeypatch):
    def gridded(height: int, width: int, steps: int = 8):
        assert (height, width) == (4, 4)
        return presets.confidence(steps=steps)

    monkeypatch.setattr(by_name, "known", lambda: {"gridded": gridded})
    assert made()[0] == [("gridded", "steps=1"), ("gridded", "steps=4")]
    assert made(grid=None) == ([], {"gridded": "needs a height"})


def test_every_default_can_be_built_for_every_task():
    for side in (4, 8, 9):
        found, _ = sweep.swept([], (1, 8), [], (side, side), side * side)
        assert {each.strategy.name for each in found} == {each.preset for each in found}
        assert len({(each.preset, each.label) for each in found}) == len(found)


def test_options_and_steps_multiply_and_repeats_count_once():
    found, left_out = made(["annealed", "annealed"], (2, 2), ["annealed.keep=0.3,null,0.3"])
    assert found == [("annealed", "steps=2 keep=0.3"), ("annealed", "steps=2 keep=null")]
    assert left_out == {}
    assert made(["annealed"], (2,), ["annealed.steps=3,4"])[0] == [
        ("annealed", "steps=3"), ("annealed", "steps=4"),
    ]  # fmt: skip
