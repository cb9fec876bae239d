"""From the body of /v1/score to a score, and to what is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from unmask.errors import CanvasError, DataError, InputError, ModelError, StrategyError
from unmask.scoring import Bound, Ordered, PseudoLikelihood, Score, score
from unmask.scoring.look import Method
from unmask.scoring.ordered import FROM_THE_LEFT
from unmask.server.answers import LEAST, finite
from unmask.server.asking import built, check_options
from unmask.server.infilling import condition_of
from unmask.server.problems import Problem
from unmask.server.served import Served
from unmask.server.settings import Settings
from unmask.server.wire.score import ScoreRequest

BATCH = 64  # rows of a pass


def measured(served: Served, asked: ScoreRequest, seed: int, settings: Settings) -> dict[str, Any]:
    """Return the answer to a body. Takes passes of the network, each in its turn."""
    if asked.samples is not None and asked.samples > settings.max_steps:
        what = f"samples={asked.samples}: this server takes {settings.max_steps} at most"
        raise Problem(400, what, param="samples")
    check_options(asked.options, settings)
    by = _method(served, asked)
    try:
        found = _score(served, asked, by, seed, settings)
    except (CanvasError, DataError) as error:
        raise Problem(400, str(error), param=_field(asked)) from error
    nats = float(found.per_example.sum())
    return {
        "object": "score",
        "model": served.name,
        "seed": seed,
        "nats": _told(nats),
        "nats_per_token": _told(found.nats_per_token),
        "standard_error": _told(found.standard_error),
        "bits_per_token": _told(found.bits_per_token),
        "tokens": found.tokens,
        "kind": found.kind,
    }


def _told(value: float) -> float | None:
    """Return a number that JSON can write: null for what is not known or infinite."""
    return None if finite(value) == LEAST else value


def _field(asked: ScoreRequest) -> str:
    return "ids" if asked.text is None else "text"


def _method(served: Served, asked: ScoreRequest) -> Method | None:
    """Return the method, None for the bound where nothing more is said of it."""
    if asked.by == "pseudo":
        return PseudoLikelihood()
    if asked.by == "bound":
        return None if asked.samples is None else Bound(asked.samples)
    if asked.preset is None:
        return Ordered(FROM_THE_LEFT)
    strategy = built(asked, asked.preset, asked.options, served.denoiser.spec)
    try:
        return Ordered(strategy)
    except StrategyError as error:
        raise Problem(400, str(error), param="preset") from error


def _score(
    served: Served, asked: ScoreRequest, by: Method | None, seed: int, settings: Settings
) -> Score:
    if asked.text is not None:
        return _score_of_text(served, asked, by, seed, settings)
    assert not isinstance(asked.given, str)
    given, ids = asked.given or [], asked.ids or []
    row = [*given, *ids]
    _check(row, served, settings)
    maskable = torch.tensor([[place >= len(given) for place in range(len(row))]])
    found = score(
        served.denoiser,
        torch.tensor([row]),
        maskable,
        by=by or Bound(),
        condition=condition_of(served, asked.condition, 1),
        seed=seed,
        batch_size=BATCH,
    )
    alone = asked.by == "bound" and len(ids) == 1
    return replace(found, kind="exact") if alone else found


def _score_of_text(
    served: Served, asked: ScoreRequest, by: Method | None, seed: int, settings: Settings
) -> Score:
    if served.text is None:
        raise Problem(400, f"{served.name!r} has ids that are no text: pass ids", param="text")
    if asked.condition is not None:
        condition_of(served, asked.condition, 1)
        raise Problem(400, "condition goes with ids: leave it out", param="condition")
    text, given = asked.text or "", asked.given
    assert not isinstance(given, list)
    encoding = served.text.encoding
    count = sum(len(encoding.encode(each)) for each in (text, given or ""))
    _check_most(count, settings)
    try:
        return served.text.score(text, given or "", by=by, seed=seed)
    except (ModelError, StrategyError):  # about the model or the method, not about a text
        raise
    except InputError as error:
        param = "given" if str(error).startswith("given") else "text"
        raise Problem(400, str(error), param=param) from error


def _check(row: Sequence[int], served: Served, settings: Settings) -> None:
    """Raise a CanvasError for a row that is too long, or has other ids than the model's."""
    _check_most(len(row), settings)
    vocab = served.denoiser.spec.vocab_size
    outside = [token for token in row if not 0 <= token < vocab]
    if outside:
        raise CanvasError(f"the id {outside[0]}: pass ids from 0 to {vocab - 1}")


def _check_most(count: int, settings: Settings) -> None:
    if count > settings.max_length:
        raise CanvasError(f"{count:,} tokens: this server takes {settings.max_length:,} in all")
