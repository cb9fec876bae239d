"""Presets by name."""

import unmask
from unmask.cli.io import presets


def test_presets_are_collected_from_the_package():
    assert list(presets.known()) == unmask.presets.__all__
    defaults = presets.takes(unmask.presets.maskgit)
    assert defaults == {
        "steps": 12, "schedule": "cosine", "temperature": 1.0, "choice_temperature": 4.5
    }  # fmt: skip
