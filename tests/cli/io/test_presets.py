"""Presets by name."""

from dataclasses import replace

import pytest

import unmask
from unmask.cli.io import presets
from unmask.engine import default_strategy
from unmask.errors import StrategyError
from unmask.models import checkpoint

SHIPPED = {name: str(folder) for name, folder in checkpoint.bundled().items()}  # not the stand-ins


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_not_said_is_what_python_takes_by_default(name):
    card = checkpoint.read_card(SHIPPED[name])
    chosen = presets.choose_preset(card, None, {})
    taken = default_strategy(unmask.load(SHIPPED[name]))
    assert chosen.name == card.about["preset"]["name"]
    if card.absent:  # which the command line forbids when it prepares the job
        assert taken.constraint.forbidden == card.absent
        taken = taken.but(constraint=chosen.constraint)
    assert (chosen, chosen.name) == (taken, taken.name)


def test_a_card_that_recommends_nothing_means_random_order(folders):
    card = checkpoint.read_card(str(folders["digits"]))
    assert "preset" not in card.about
    chosen = presets.choose_preset(card, None, {"steps": None, "temperature": None})
    assert (chosen, chosen.name) == (unmask.presets.random_order(steps=18), "random_order")
    assert chosen == default_strategy(unmask.load(folders["digits"]))


def test_a_named_preset_has_its_own_options_and_not_those_of_the_card():
    card = checkpoint.read_card(SHIPPED["digits"])
    assert card.about["preset"] == {"name": "random_order", "steps": 64}
    assert presets.choose_preset(card, None, {"steps": 3}) == unmask.presets.random_order(steps=3)
    assert presets.choose_preset(card, "maskgit", {}) == unmask.presets.maskgit()


def card_of(name="digits", **about):
    card = checkpoint.read_card(SHIPPED[name])
    return replace(card, about={**card.about, **about})


WRONG = {  # what a card recommends, and what is said of it
    "no name": ({"steps": 4}, 'a preset is written as {"name": "maskgit", "steps": 12}'),
    "name of a number": ({"name": 3}, "a preset is written as"),
    "no mapping": ("maskgit", "a preset is written as"),
    "empty": ({}, "a preset is written as"),
    "unknown": ({"name": "maskgt"}, "no preset 'maskgt': did you mean 'maskgit'?"),
    "unknown option": (
        {"name": "maskgit", "kep": 1}, "takes no --set kep=1; its options and their defaults: --st"
    ),
    "wrong type": ({"name": "maskgit", "steps": "3"}, "--steps 3 is of the wrong kind; the def"),
    "out of range": ({"name": "maskgit", "steps": 0}, "steps=0: pass an integer of 1 or more"),
    "no such schedule": ({"name": "maskgit", "schedule": "cosin"}, "did you mean 'cosine'?"),
    "needs a critic": ({"name": "token_critic"}, "needs a critic, which neither the options nor"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_card_that_is_wrong_is_told_and_can_be_overruled(name):
    recommended, words = WRONG[name]
    card = card_of(preset=recommended)
    for flags in ({}, {"steps": 3}):
        with pytest.raises(StrategyError) as caught:
            presets.choose_preset(card, None, flags)
        said = str(caught.value)
        assert said.startswith(f"the model's card recommends {recommended!r}, which cannot be used")
        assert words in said
        assert said.endswith("; pass --preset")
    assert presets.choose_preset(card, "maskgit", {}) == unmask.presets.maskgit()


def test_an_option_that_the_card_s_preset_lacks_is_not_blamed_on_the_card():
    card = card_of(preset={"name": "first_hitting"})
    with pytest.raises(StrategyError, match=r"^preset 'first_hitting' takes no --steps 3; its opt"):
        presets.choose_preset(card, None, {"steps": 3})


def test_height_and_width_come_from_the_layout_or_are_typed():
    halton = unmask.presets.halton(8, 8, steps=4)
    recommended = {"name": "halton", "steps": 4}
    assert presets.choose_preset(card_of(preset=recommended), None, {}) == halton
    assert presets.choose_preset(card_of(), "halton", {"steps": 4}) == halton
    typed = ["height=8", "width=8"]
    assert presets.choose_preset(card_of(layout=None), "halton", {"steps": 4}, typed) == halton
    with pytest.raises(StrategyError, match=r"^preset 'halton' needs a height and a width, which"):
        presets.choose_preset(card_of(layout=None), "halton", {})
    with pytest.raises(
        StrategyError, match=r"^the model's card .*'halton'.*needs a height and a w"
    ):
        presets.choose_preset(card_of(preset=recommended, layout=None), None, {})
