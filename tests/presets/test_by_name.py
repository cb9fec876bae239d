"""Presets from a name and options."""

import pytest

import unmask
from unmask import presets
from unmask.errors import StrategyError
from unmask.presets import by_name
from unmask.presets.table import NEEDED


def test_presets_are_collected_from_the_package():
    assert list(by_name.known()) == presets.__all__
    assert by_name.defaults(presets.maskgit) == {
        "steps": 12, "schedule": "cosine", "temperature": 1.0, "choice_temperature": 4.5
    }  # fmt: skip
    assert by_name.needs(presets.halton) == ["height", "width"]
    assert by_name.needs(presets.halton, (8, 8)) == []
    assert by_name.needs(presets.token_critic, (8, 8)) == ["critic"]


@pytest.mark.parametrize("name", presets.__all__)
def test_every_preset_is_built_of_its_own_defaults(name):
    preset = getattr(presets, name)
    needed = {key: NEEDED[key] for key in by_name.needs(preset)}
    built = by_name.build(name, {**needed, **by_name.defaults(preset)})
    assert (built, built.name) == (preset(**needed), name)


def test_what_python_passes_is_taken():
    def half(t):
        return 1 - t

    options = {"schedule": half, "temperature": 1, "steps": 3}
    assert by_name.build("maskgit", options) == presets.maskgit(**options)
    options = {"schedule": unmask.schedules.linear, "steps": 3}
    assert by_name.build("maskgit", options) == presets.maskgit(3, schedule="linear")
    assert by_name.build("maskgit") == presets.maskgit()


def test_a_grid_is_for_presets_that_need_one_and_options_come_first():
    assert by_name.build("halton", grid=(4, 6)) == presets.halton(4, 6)
    assert by_name.build("halton", {"height": 6, "width": 4}, grid=(4, 6)) == presets.halton(6, 4)
    assert by_name.build("maskgit", grid=(4, 6)) == presets.maskgit()


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("maskgt", {}, "no preset 'maskgt': did you mean 'maskgit'? known: adablock, amused"),
        (3, {}, "no preset 3: known: adablock"),
        (
            "maskgit",
            {"stepz": 3},
            "preset 'maskgit' takes no stepz=3; its options and their defaults: steps=12, "
            "schedule='cosine', temperature=1.0, choice_temperature=4.5",
        ),
        ("maskgit", {"steps": "3"}, "steps='3' is of the wrong kind; the default is steps=12"),
        ("maskgit", {"steps": 2.5}, "steps=2.5 is of the wrong kind"),
        ("maskgit", {"steps": True}, "steps=True is of the wrong kind"),
        ("maskgit", {"steps": None}, "steps=None is of the wrong kind"),
        ("maskgit", {"schedule": 3}, "schedule=3 is of the wrong kind"),
        ("dream", {"algorithm": 3}, "algorithm=3 is of the wrong kind"),
        ("dream", {"algorithm": "orign"}, "did you mean 'origin'"),
        ("maskgit", {"steps": 0}, "steps=0: pass an integer of 1 or more"),
        (
            "halton",
            {"steps": 3},
            "preset 'halton' needs a height and a width, which neither the options nor the model "
            "give; from Python: unmask.presets.halton(height, width, ...)",
        ),
        ("halton", {"height": 8}, "preset 'halton' needs a width, which"),
        ("halton", {"height": "8", "width": 8}, "height='8' is of the wrong kind"),
        ("token_critic", {}, "from Python: unmask.presets.token_critic(critic, ...)"),
        ("token_critic", {"critic": "mine"}, "critic='mine' is of the wrong kind"),
        ("token_critic", {"critic": 3}, "critic=3 is of the wrong kind"),
    ],
)
def test_what_cannot_be_built_is_told(name, options, words):
    with pytest.raises(StrategyError) as caught:
        by_name.build(name, options)
    assert words in str(caught.value)


def test_errors_spell_options_as_their_user_does():
    with pytest.raises(StrategyError, match=r"takes no <stepz>; .* <steps>, <schedule>, <temp"):
        by_name.build("maskgit", {"stepz": 3}, spelling=lambda name, value: f"<{name}>")
