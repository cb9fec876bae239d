"""`unmask init`."""

import pytest

from unmask import training


@pytest.mark.parametrize("task_name", [None, "digits"])
def test_init_writes_a_recipe_that_trains_as_without(call, trained, tmp_path, task_name):
    extra = [] if task_name is None else ["--task", task_name]
    assert "wrote mine.yaml" in call("init", "mine.yaml", *extra).out
    text = (tmp_path / "mine.yaml").read_text()
    assert text.count("#") >= len(training.Recipe.__dataclass_fields__)
    name = task_name or "shidoku"
    call("train", name, "--recipe", "mine.yaml", "--json")
    expected = training.Recipe() if task_name is None else training.RECIPES[task_name]
    if task_name is not None:
        assert trained[0]["recipe"] == expected
    assert "exists already" in call("init", "mine.yaml").error()
    assert "type recipe.yaml" in call("init", "recipe.json").error()
