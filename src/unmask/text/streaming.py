"""States of a text that is being generated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from unmask.core.state import StepInfo
from unmask.data.pieces import BROKEN
from unmask.decoding import Strategy
from unmask.revise import Never
from unmask.text.encoding import Encoding
from unmask.text.prompts import Row
from unmask.text.reading import cut

UNKNOWN = "▒"
"""What stands for an unknown token in a snapshot."""


@dataclass(frozen=True)
class TextState:
    """A text after a step. `piece` is what has become final at its left end since the last state.

    snapshot: the whole text. An unknown token is that of the draft, where the strategy goes on from
    one, and else ▒. tokens: ids, None where unknown.
    """

    step: int
    piece: str
    snapshot: str
    tokens: list[int | None]
    finished: bool


def states(
    infos: Iterator[StepInfo],
    encoding: Encoding,
    row: Row,
    end_ids: Sequence[int],
    stops: Sequence[str],
    strategy: Strategy,
) -> Iterator[TextState]:
    """Yield the state of one row after each step.

    Pieces go out before the row is finished if a token that was committed stays as it is.
    """
    settles = isinstance(strategy.revise, Never)
    here, sent = slice(len(row.before), len(row.before) + row.unknown), ""
    pending = _lookahead(infos)
    for step, (info, last) in enumerate(pending):
        ids = info.state.tokens[0, here].tolist()
        unknown = info.state.masked[0, here].tolist()
        tokens = [None if hidden else token for token, hidden in zip(ids, unknown, strict=True)]
        text = (
            _final(encoding, tokens, row.context, end_ids, stops, last) if settles or last else sent
        )
        piece = text[len(sent) :] if text.startswith(sent) else ""
        sent += piece
        shown = [
            known if known is not None else drafted
            for known, drafted in zip(tokens, draft(info, strategy)[here], strict=True)
        ]
        yield TextState(step, piece, snapshot(encoding, shown, end_ids), tokens, last)


def draft(info: StepInfo, strategy: Strategy) -> list[int | None]:
    """Return the ids (N,) that stand for unknown ones of the only row, None where there are none.

    They are the likeliest ids of the step where those are committed in the end (DiffusionGemma),
    and its draws where the network is shown those (`noise.PreviousSample`).
    """
    proposal = info.proposal
    kept = proposal.token if strategy.noise.keeps_sample else None
    ids = proposal.top_token if strategy.commit.likeliest else kept
    if ids is None:
        return [None] * info.state.tokens.shape[1]
    there = (proposal.queried & info.state.masked)[0].tolist()
    return [i if known else None for i, known in zip(ids[0].tolist(), there, strict=True)]


def snapshot(encoding: Encoding, tokens: Sequence[int | None], end_ids: Sequence[int]) -> str:
    """Return a text of which tokens are unknown: each of these, and each broken character, is ▒."""
    parts, run = list[str](), list[int]()
    for token in [*tokens, None]:
        if token is not None and token in end_ids:
            break
        if token is not None:
            run.append(token)
            continue
        parts += [encoding.decode(run).replace(BROKEN, UNKNOWN), UNKNOWN]
        run = []
    else:
        return "".join(parts[:-1])
    return "".join([*parts, encoding.decode(run).replace(BROKEN, UNKNOWN)])


def _final(
    encoding: Encoding,
    tokens: Sequence[int | None],
    context: Sequence[int],
    end_ids: Sequence[int],
    stops: Sequence[str],
    last: bool,
) -> str:
    """Return the text of the known tokens at the left, without what may still change."""
    count = next((i for i, token in enumerate(tokens) if token is None), len(tokens))
    while not last and count and tokens[count - 1] in encoding.pending:
        count -= 1
    ids = [token for token in tokens[:count] if token is not None]
    text, _, reason = cut(encoding, ids, context, end_ids, stops)
    if last or (reason == "stop"):
        return text
    held = max(
        (k for stop in stops for k in range(1, len(stop)) if text.endswith(stop[:k])), default=0
    )
    text = text[: len(text) - held]  # a stop string may have begun
    return text.rstrip(BROKEN)


def _lookahead(infos: Iterator[StepInfo]) -> Iterator[tuple[StepInfo, bool]]:
    """Yield each info, and whether it is the last one."""
    before: StepInfo | None = None
    for info in infos:
        if before is not None:
            yield before, False
        before = info
    if before is not None:
        yield before, True
