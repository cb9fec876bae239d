"""Texts with masks, filled in: from text to rows of ids, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from unmask.core.network import Denoiser, DenoiserSpec
from unmask.core.ranking import number_on_grid
from unmask.errors import CanvasError
from unmask.text import masks
from unmask.text.beam import Hidden, Likely, most_likely
from unmask.text.encoding import Encoding
from unmask.text.inputs import check_words
from unmask.text.request import ROWS
from unmask.text.results import Filling


def fillings(
    denoiser: Denoiser,
    encoding: Encoding,
    texts: Sequence[str],
    *,
    top_k: int,
    candidates: str | Sequence[int] | None,
    never: Sequence[int],
    drawn: Callable[[Hidden], list[Likely]] | None,
) -> list[list[Filling]]:
    """Return the likeliest fillings of each text, the best first.

    candidates: lengths of the only mask of a text, ranked by log p a token. never: ids that are not
    chosen. drawn: fillings of a row, in place of those that a beam finds.
    """
    made = _rows(encoding, texts, candidates, denoiser.spec)
    rows = [row for part in made for row in part]
    if drawn is None:
        parts = [rows[i : i + ROWS] for i in range(0, len(rows), ROWS)]
        likely = [one for part in parts for one in most_likely(denoiser, part, top_k, never)]
    else:
        likely = [drawn(row) for row in rows]
    names = {t: encoding.decode([t]) for t in {t for e in likely for one in e for t in one.tokens}}
    found, rest = list[list[Filling]](), iter(zip(rows, likely, strict=True))
    for part in made:
        pairs = [(row, each) for row, every in (next(rest) for _ in part) for each in every]
        pairs.sort(key=lambda pair: -_rank(pair[1], by_token=candidates is not None))
        found.append([_filling(encoding, row, each, names) for row, each in pairs])
    return found


def _rank(found: Likely, *, by_token: bool) -> float:
    """Return what fillings are ranked by: log p, or that a token, on the grid of scores."""
    return number_on_grid(found.logprob / (len(found.tokens) if by_token else 1))


def _rows(
    encoding: Encoding,
    texts: Sequence[str],
    candidates: str | Sequence[int] | None,
    spec: DenoiserSpec,
) -> list[list[Hidden]]:
    """Return the rows of each text with masks: one, or one for each length of its mask."""
    tried = [_tried(text, encoding.mask_token, candidates, spec.max_length) for text in texts]
    every = [parts for each in tried for parts in each]
    _check_counts(encoding, every, spec)
    rows = [Hidden(*row) for row in masks.encoded(encoding, every, spec.mask_id or 0)]
    longest = max((len(row.ids) for row in rows), default=0)
    if spec.max_length is not None:
        _check_length(longest, spec.max_length)
    left = iter(rows)
    found = [[next(left) for _ in each] for each in tried]
    for number, (row, *_) in enumerate(found):
        check_words(encoding, f"text {number}", row.ids, tried[number][0][0])
    return found


def _check_counts(encoding: Encoding, texts: Sequence[masks.Parts], spec: DenoiserSpec) -> None:
    """Raise CanvasError for more masks than there are positions, before rows of them are made."""
    for pieces, counts in texts:
        if spec.max_length is None and sum(counts) > masks.MOST:
            raise CanvasError(f"a text has {sum(counts):,} masks: write at most {masks.MOST:,}")
        if spec.max_length is not None and sum(counts) > spec.max_length:
            ones = [1 for _ in counts]
            [(ids, _)] = masks.encoded(encoding, [(pieces, ones)], spec.mask_id or 0)
            _check_length(len(ids) + sum(counts) - len(counts), spec.max_length)


def _check_length(tokens: int, most: int) -> None:
    if tokens > most:
        raise CanvasError(f"the text has {tokens} tokens, and the network {most} positions")


def _tried(
    text: str, token: str | None, candidates: str | Sequence[int] | None, most: int | None
) -> list[masks.Parts]:
    """Return a text around its masks; once for each length of its mask that is to be tried."""
    pieces, counts = masks.split(text, token)
    if not counts:
        raise CanvasError(f"{text!r} has no mask: write [MASK], or [MASK:3] for three tokens")
    if candidates is None:
        return [(pieces, counts)]
    if len(counts) > 1:
        raise CanvasError(f"candidates={candidates!r} for {len(counts)} masks: write one")
    return [(pieces, [length]) for length in masks.lengths(candidates, most)]


def _filling(encoding: Encoding, row: Hidden, found: Likely, names: Mapping[int, str]) -> Filling:
    """names: the text of each id at a mask."""
    rest, pairs = iter(found.tokens), zip(row.ids, row.unknown, strict=True)
    whole = [next(rest) if hidden else token for token, hidden in pairs]
    texts = [names[token] for token in found.tokens]
    return Filling(encoding.decode(whole), found.tokens, texts, found.logprob)
