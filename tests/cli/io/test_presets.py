"""Presets by name."""

from dataclasses import replace

import pytest

import unmask
from unmask.cli.io import presets
from unmask.engine import default_strategy
from unmask.errors import StrategyError
from unmask.models import checkpoint

SHIPPED = {name: str(folder) for name, folder in checkpoint.bundled().items()}  # not the stand-ins


def test_presets_are_collected_from_the_package():
    assert list(presets.known()) == unmask.presets.__all__
    defaults = presets.takes(unmask.presets.maskgit)
    assert defaults == {
        "steps": 12, "schedule": "cosine", "temperature": 1.0, "choice_temperature": 4.5
    }  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_not_said_is_what_python_takes_by_default(name):
    card = checkpoint.read_card(SHIPPED[name])
    chosen = presets.choose(card, None, {})
    taken = default_strategy(unmask.load(SHIPPED[name]))
    assert chosen.name == card.about["preset"]["name"]
    assert (chosen, chosen.name) == (taken, taken.name)


def test_a_card_that_recommends_nothing_means_random_order(folders):
    card = checkpoint.read_card(str(folders["digits"]))
    assert "preset" not in card.about
    assert presets.recommended(card) == {"name": "random_order", "steps": 18}
    chosen = presets.choose(card, None, {"steps": None, "temperature": None})
    assert (chosen, chosen.name) == (unmask.presets.random_order(steps=18), "random_order")
    assert chosen == default_strategy(unmask.load(folders["digits"]))


def test_a_named_preset_has_its_own_options_and_not_those_of_the_card():
    card = checkpoint.read_card(SHIPPED["digits"])
    assert card.about["preset"] == {"name": "random_order", "steps": 64}
    assert presets.choose(card, None, {"steps": 3}) == unmask.presets.random_order(steps=3)
    assert presets.choose(card, "maskgit", {}) == unmask.presets.maskgit()


@pytest.mark.parametrize("advised", [{"steps": 4}, {"name": 3}, "maskgit"])
def test_a_card_that_names_no_preset_is_told_and_can_be_overruled(advised):
    card = checkpoint.read_card(SHIPPED["digits"])
    card = replace(card, about={**card.about, "preset": advised})
    with pytest.raises(StrategyError, match="names no preset: pass --preset"):
        presets.choose(card, None, {})
    assert presets.choose(card, "maskgit", {}) == unmask.presets.maskgit()
    assert card.about["preset"] == advised
