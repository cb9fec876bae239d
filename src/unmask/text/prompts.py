"""Rows of a text model: given ids, unknown positions, and seeds that are theirs alone."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from unmask.core.checks import check_count
from unmask.core.network import DenoiserSpec
from unmask.core.random import check_seed, fold
from unmask.decoding import Canvas
from unmask.errors import CanvasError, InputError
from unmask.text.encoding import Encoding
from unmask.text.inputs import text_of

_SEED_BYTES = 7  # of a hash, for a seed below 2**63


@dataclass(frozen=True)
class Row:
    """Given ids before and after the unknown positions, and how many of these are asked for.

    surplus: unknown positions behind those, which fill the last block of a network and are cut off.
    context: ids that a text continues, of which the last decide about a space between.
    """

    before: list[int]
    unknown: int
    after: list[int]
    surplus: int = 0
    context: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.before) + self.unknown + len(self.after) + self.surplus


def in_whole_blocks(row: Row, spec: DenoiserSpec) -> Row:
    """Return the row with the surplus that fills its last block."""
    block, length = spec.block_size, len(row)
    if spec.block_origin == "prompt":
        length = row.unknown
    surplus = 0 if block is None or row.after else -length % block
    return replace(row, surplus=surplus)


def continued(
    encoding: Encoding, spec: DenoiserSpec, prompt: str | Sequence[int], count: int
) -> Row:
    """Return the row of a text, or its ids, that goes on by so many tokens."""
    check_count("max_new_tokens", count, InputError)
    before, after = encoding.around
    ids = encoding.encode(prompt) if isinstance(prompt, str) else list(prompt)
    row = Row([*before, *ids], count, list(after), context=ids)
    return in_whole_blocks(row, spec)


def between(encoding: Encoding, prefix: str, suffix: str, count: int) -> Row:
    """Return the row of so many tokens between two texts."""
    check_count("tokens", count, InputError)
    before, after = encoding.around
    ids = encoding.encode(text_of("prefix", prefix))
    rest = encoding.encode(text_of("suffix", suffix))
    return Row([*before, *ids], count, [*rest, *after], context=ids)


def check_lengths(rows: Sequence[Row], most: int | None) -> None:
    """Raise CanvasError for a row that is longer than the network takes."""
    for nth, row in enumerate(rows):
        if most is None or len(row) <= most:
            continue
        left = most - len(row.before) - len(row.after)
        raise CanvasError(
            f"text {nth} has {most - left} given tokens and {row.unknown + row.surplus} to "
            f"generate, and the network has {most} positions: "
            + (f"generate at most {left}" if left > 0 else "pass a shorter text")
        )


def canvas_of(rows: Sequence[Row], spec: DenoiserSpec) -> Canvas:
    """Return the canvas of rows of any lengths."""
    mask_id = spec.mask_id or 0
    ids = [r.before + [mask_id] * r.unknown + r.after + [mask_id] * r.surplus for r in rows]
    flags = [
        [False] * len(r.before) + [True] * r.unknown + [False] * len(r.after) + [True] * r.surplus
        for r in rows
    ]
    return Canvas.ragged(ids, flags)


def seeds_of(rows: Sequence[Row], seed: int) -> torch.Tensor:
    """Return (B,) int64: seeds by what is given and the number of equal rows before, and no more.

    A row has the same seed wherever it stands in a file, and equal rows have different ones.
    """
    check_seed(seed)
    seen, roots, numbers = Counter[bytes](), list[int](), list[int]()
    for row in rows:
        content = repr((seed, row.before, row.unknown, row.after)).encode()
        digest = hashlib.blake2b(content, digest_size=_SEED_BYTES).digest()
        roots.append(int.from_bytes(digest, "big"))
        numbers.append(seen[digest])
        seen[digest] += 1
    root, number = (torch.tensor(each, dtype=torch.int64) for each in (roots, numbers))
    return fold(root, number)
