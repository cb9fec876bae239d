"""Settings that are compared, and the terms that their figures share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unmask.decoding import Strategy


@dataclass(frozen=True)
class Setting:
    """One strategy to measure: a preset's name, the options that were chosen, what they made."""

    preset: str
    options: Mapping[str, Any]
    strategy: Strategy

    @property
    def label(self) -> str:
        """`steps=8`, or `keep=0.3 steps=8`; empty where everything is as the preset has it."""
        return " ".join(f"{key}={json.dumps(value)}" for key, value in self.options.items())


@dataclass(frozen=True)
class Terms:
    """Values that figures of one picture have in common."""

    task: str
    fingerprint: str  # of the model
    seed: int
    samples: int
