"""Presets whose rows grow: the canvas is the most that a row may have."""

from __future__ import annotations

from unmask.commit import Threshold
from unmask.decoding.strategy import Strategy
from unmask.growth import EndConfidence, EndDensity
from unmask.presets.parts import in_blocks


def daedal(
    threshold: float = 0.9,
    low: float = 0.1,
    initial: int = 64,
    expansion: int = 8,
    enough: float = 0.5,
    complete: float = 0.9,
    window: int = 32,
    end_id: int | None = None,
    block: int | None = 32,
    temperature: float = 0.0,
) -> Strategy:
    """DAEDAL (2508.00819): longer while the end is unsure, and where a position with p < low is.

    From `initial` positions to at most those of the canvas; see `growth.EndConfidence`. All with
    p > threshold are committed, or else the best one, in blocks from the prompt. end_id: None for
    that of the network. Approximate.
    """
    growth = EndConfidence(initial, expansion, window, enough, complete, low, end_id)
    commit = Threshold(threshold, strict=True)
    return in_blocks("daedal", commit, block, temperature, "prompt", growth=growth)


def rho_eos(
    threshold: float = 0.9,
    low: float = 0.4,
    high: float = 0.6,
    initial: int = 64,
    expansion: int = 8,
    adjustments: int = 64,
    end_id: int | None = None,
    block: int | None = 32,
    temperature: float = 0.0,
) -> Strategy:
    """ρ-EOS (2601.22527): longer or shorter by the share of unknown positions that predict the end.

    From `initial` positions to at most those of the canvas; see `growth.EndDensity`. Positions are
    committed as in `daedal`. The authors' code may also take back known tokens at the end of a row;
    here only ends. Approximate.
    """
    growth = EndDensity(initial, expansion, low, high, adjustments, end_id)
    commit = Threshold(threshold, strict=True)
    return in_blocks("rho_eos", commit, block, temperature, "prompt", growth=growth)
