"""Commit rules: how many positions are committed at a step, and which, given scores.

Derive a new one from `Commit`.
"""

from unmask.commit.adaptive import (
    EntropyBound,
    Factor,
    FrechetProfile,
    Stable,
    Threshold,
    ThresholdOrShare,
)
from unmask.commit.at_once import AtOnce
from unmask.commit.base import Commit
from unmask.commit.blocks import BlocksToDelimiters
from unmask.commit.places import BestOfRuns, NearAnchors
from unmask.commit.plans import (
    AllSteps,
    Ancestral,
    ByGroup,
    CountPlan,
    Even,
    Explicit,
    NoPlan,
    OneAtATime,
    Remaining,
    Scheduled,
)
from unmask.commit.remdm import ReMDM
from unmask.commit.spans import TopSpans
from unmask.commit.top_k import TopK
from unmask.core.calls import check_calls

__all__ = [
    "AllSteps",
    "Ancestral",
    "AtOnce",
    "BestOfRuns",
    "BlocksToDelimiters",
    "ByGroup",
    "Commit",
    "CountPlan",
    "EntropyBound",
    "Even",
    "Explicit",
    "Factor",
    "FrechetProfile",
    "NearAnchors",
    "NoPlan",
    "OneAtATime",
    "ReMDM",
    "Remaining",
    "Scheduled",
    "Stable",
    "Threshold",
    "ThresholdOrShare",
    "TopK",
    "TopSpans",
]

check_calls(__name__)
