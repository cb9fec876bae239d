"""What is generated with where no strategy is passed: what the model's card recommends."""

import json
import shutil

import pytest

import unmask
from unmask import presets
from unmask.engine import default_strategy
from unmask.errors import StrategyError
from unmask.models import checkpoint

SHIDOKU = checkpoint.bundled()["shidoku"]


@pytest.fixture
def model(tmp_path):
    """A function that opens the bundled model of 4×4 boards with other entries in its card."""

    def opened(**about):
        shutil.copytree(SHIDOKU, tmp_path / "model", dirs_exist_ok=True)
        card = json.loads((SHIDOKU / "unmask.json").read_text())
        card["about"].update(about)
        (tmp_path / "model" / "unmask.json").write_text(json.dumps(card))
        return unmask.load(tmp_path / "model")

    return opened


WRONG = {  # what a card recommends, and what is said of it
    "no name": ({"steps": 4}, 'a preset is written as {"name": "maskgit", "steps": 12}'),
    "no mapping": ("maskgit", "a preset is written as"),
    "a list": (["maskgit"], "a preset is written as"),
    "unknown": ({"name": "maskgt"}, "no preset 'maskgt': did you mean 'maskgit'?"),
    "unknown option": (
        {"name": "maskgit", "stepz": 3},
        "preset 'maskgit' takes no stepz=3; its options and their defaults: steps=12, sch",
    ),
    "wrong type": ({"name": "maskgit", "steps": "3"}, "steps='3' is of the wrong kind"),
    "out of range": ({"name": "maskgit", "steps": 0}, "steps=0: pass an integer of 1 or more"),
    "needs a critic": ({"name": "token_critic"}, "needs a critic, which neither the options nor"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_card_that_is_wrong_is_told_when_it_is_used(model, name):
    recommended, words = WRONG[name]
    opened = model(preset=recommended)
    with pytest.raises(StrategyError) as caught:
        unmask.generate(opened, batch_size=1, seed=0)
    said = str(caught.value)
    assert said.startswith(f"the model's card recommends {recommended!r}, which cannot be used: ")
    assert words in said
    assert said.endswith("; pass strategy=")
    assert unmask.generate(opened, None, presets.maskgit(2), batch_size=1, seed=0).shape == (1, 16)


def test_height_and_width_come_from_the_layout_unless_they_are_recommended(model):
    opened = model(preset={"name": "halton", "steps": 5})
    assert default_strategy(opened) == presets.halton(4, 4, steps=5)
    assert unmask.generate(opened, batch_size=1, seed=0).shape == (1, 16)
    recommended = {"name": "halton", "height": 2, "width": 8}
    assert default_strategy(model(preset=recommended)) == presets.halton(2, 8)
    assert default_strategy(model(preset=recommended, layout=None)) == presets.halton(2, 8)


@pytest.mark.parametrize(
    "layout",
    [
        None,
        3,
        {"kind": "text", "height": 0, "width": 32},
        {"height": "4", "width": 4},
        {"width": 4},
    ],
)
def test_a_layout_that_is_no_grid_gives_no_height(model, layout):
    opened = model(preset={"name": "halton"}, layout=layout)
    with pytest.raises(StrategyError, match=r"needs a height and a width.*; pass strategy=$"):
        default_strategy(opened)


def test_wrappers_keep_what_the_card_says():
    digits = unmask.load("digits")
    assert digits.spec.grid == (8, 8)
    assert digits.spec.recommended == {"name": "random_order", "steps": 64}
