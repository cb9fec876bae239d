"""From the body of /v1/infill to rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from unmask.decoding import Canvas, Strategy, row_seeds
from unmask.engine import default_strategy
from unmask.errors import CanvasError, DataError
from unmask.server.asking import check_limits, strategy_of
from unmask.server.canvas_rows import CanvasRows
from unmask.server.problems import Problem
from unmask.server.served import Served
from unmask.server.settings import Settings
from unmask.server.wire.infill import InfillRequest, Segment
from unmask.tasks.task import RULES
from unmask.text import TextModel
from unmask.text.masks import encoded, split

NO_CLASS = -1
Ids = list[int | None]
"""A row, None where unknown."""


def infill_of(served: Served, asked: InfillRequest, seed: int, settings: Settings) -> CanvasRows:
    """Return the rows of a body. Raises a Problem that names the field that is wrong."""
    check_limits(asked, asked.n, settings)
    ids = row_of(served, asked, settings)
    check_ids(ids, served, settings, asked.form)
    _check_rules(ids, served, asked.form)
    strategy = _strategy(served, asked)
    mask_id = served.denoiser.spec.mask_id or 0
    tokens = torch.tensor([[mask_id if each is None else each for each in ids]])
    unknown = torch.tensor([[each is None for each in ids]])
    condition = condition_of(served, asked.condition, asked.n)
    rows = torch.zeros(asked.n, dtype=torch.int64)
    canvas = Canvas.infill(tokens[rows], unknown[rows], condition=condition)
    return CanvasRows(served.denoiser, canvas, strategy, row_seeds(canvas, seed, None), asked.form)


def row_of(served: Served, asked: InfillRequest, settings: Settings) -> Ids:
    """Return the row of a body."""
    if asked.ids is not None:
        return asked.ids
    if asked.grid is not None:
        return _row_of_grid(served, asked.grid)
    segments = asked.segments or []
    if served.text is None and (
        asked.text is not None or any(s.text is not None for s in segments)
    ):
        what = f"{served.name!r} has ids that are no text: pass ids, or grid"
        raise Problem(400, what, param=asked.form)
    if served.text is not None and asked.text is not None:
        return _row_of_text(served.text, asked.text, settings)
    return _row_of_segments(served.text, segments, settings)


def _row_of_grid(served: Served, grid: Sequence[Sequence[int | None]]) -> Ids:
    layout = served.layout
    if layout is None or not layout.height or layout.offset:
        raise Problem(400, f"rows of {served.name!r} are no grid: pass ids", param="grid")
    shape, wanted = [len(line) for line in grid], [layout.width] * layout.height
    if shape != wanted:
        what = f"grid has lines of {shape} cells: pass {layout.height} of {layout.width} cells"
        raise Problem(400, what, param="grid")
    return [cell for line in grid for cell in line]


def _row_of_text(text: TextModel, given: str, settings: Settings) -> Ids:
    encoding = text.encoding
    try:
        pieces, counts = split(given, encoding.mask_token, settings.max_length)
    except CanvasError as error:
        raise Problem(400, str(error), param="text") from error
    _check_most(sum(counts), settings, "text")
    [(ids, flags)] = encoded(encoding, [(pieces, counts)], text.denoiser.spec.mask_id or 0)
    return [None if unknown else token for token, unknown in zip(ids, flags, strict=True)]


def _row_of_segments(
    text: TextModel | None, segments: Sequence[Segment], settings: Settings
) -> Ids:
    """Return the row of segments; those of a model of no text are ids and unknown positions."""
    _check_most(sum(each.mask or 0 for each in segments), settings, "segments")
    before, after = ([], []) if text is None else text.encoding.around
    row: Ids = [*before]
    for each in segments:
        if text is not None and each.text is not None:
            row += text.encoding.encode(each.text)
        row += each.ids or [None] * (each.mask or 0)
    return [*row, *after]


def _check_most(count: int, settings: Settings, param: str) -> None:
    if count > settings.max_length:
        what = f"{count:,} positions: this server takes {settings.max_length:,} in all"
        raise Problem(400, what, param=param, code="context_length_exceeded")


def check_ids(ids: Sequence[int | None], served: Served, settings: Settings, param: str) -> None:
    """Raise a Problem for ids that are none of a model's, and for rows with nothing unknown."""
    _check_most(len(ids), settings, param)
    spec = served.denoiser.spec
    for place, token in enumerate(ids):
        if token is None or (0 <= token < spec.vocab_size and token != spec.mask_id):
            continue
        what = f"pass ids from 0 to {spec.vocab_size - 1}, and null where unknown"
        if token == spec.mask_id:
            what = "that is the mask id: pass null where unknown"
        raise Problem(400, f"{param} has the id {token} at place {place}: {what}", param=param)
    if None not in ids:
        raise Problem(400, f"{param} has nothing unknown: nothing is to be filled in", param=param)


def _check_rules(ids: Ids, served: Served, param: str) -> None:
    """Raise a Problem for a puzzle that contradicts itself."""
    task = None if served.card is None else served.card.about.get("task")
    rules = RULES.get(task or "")
    if rules is None:
        return
    try:
        rules.check_clues(torch.tensor([[-1 if each is None else each for each in ids]]))
    except DataError as error:
        raise Problem(400, str(error), param=param) from error


def condition_of(served: Served, condition: int | None, rows: int) -> torch.Tensor | None:
    """Return the class of each row, (rows,) int64, None where none is given."""
    if condition is None:
        return None
    classes = None if served.card is None else served.card.classes
    if classes is None or condition >= classes:
        known = "no classes" if classes is None else f"classes 0 to {classes - 1}"
        what = f"condition={condition}: {served.name!r} has {known}"
        raise Problem(400, what, param="condition")
    return torch.full((rows,), condition)


def _strategy(served: Served, asked: InfillRequest) -> Strategy:
    spec, text = served.denoiser.spec, served.text
    null = None if asked.condition is None else NO_CLASS
    chosen = strategy_of(asked, spec, None if text is None else text.strategy, null)
    if text is not None:
        chosen = text.requests.planning.plan(chosen, closed=True)
    chosen = chosen or default_strategy(served.denoiser)
    return chosen.but(alternatives=asked.top_logprobs or 0)
