"""States of a text that is being generated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from unmask.core.state import StepInfo
from unmask.data.pieces import BROKEN
from unmask.decoding import Strategy
from unmask.revise import Never
from unmask.text.encoding import Encoding
from unmask.text.prompts import Row
from unmask.text.reading import Ends, cut

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


class Reader:
    """Reads a row after each of its steps.

    Pieces go out before the row is finished if a token that was committed stays as it is.
    """

    def __init__(self, encoding: Encoding, row: Row, ends: Ends, strategy: Strategy):
        self.encoding, self.row, self.ends = encoding, row, ends
        self.settles = isinstance(strategy.revise, Never)
        self.strategy = strategy
        self._sent = ""

    @property
    def here(self) -> slice:
        """The positions that are asked for."""
        return slice(len(self.row.before), len(self.row.before) + self.row.unknown)

    @property
    def context(self) -> list[int]:
        """The ids that the text continues."""
        return self.row.context

    def read(
        self,
        step: int,
        ids: Sequence[int],
        unknown: Sequence[bool],
        drafted: Sequence[int | None],
        last: bool,
    ) -> TextState:
        """Return the state of the row: its ids after a step, (N,), and which are unknown.

        drafted: what stands for unknown ones, None where nothing does. last: no step follows.
        """
        given = zip(ids[self.here], unknown[self.here], strict=True)
        tokens = [None if hidden else token for token, hidden in given]
        text = self._final(tokens, last) if self.settles or last else self._sent
        piece = text[len(self._sent) :] if text.startswith(self._sent) else ""
        self._sent += piece
        shown = [
            known if known is not None else other
            for known, other in zip(tokens, drafted[self.here], strict=True)
        ]
        return TextState(step, piece, snapshot(self.encoding, shown, self.ends.ids), tokens, last)

    def _final(self, tokens: Sequence[int | None], last: bool) -> str:
        """Return the text of the known tokens at the left, without what may still change."""
        count = next((i for i, token in enumerate(tokens) if token is None), len(tokens))
        while not last and count and tokens[count - 1] in self.encoding.pending:
            count -= 1
        ids = [token for token in tokens[:count] if token is not None]
        text, _, reason = cut(self.encoding, ids, self.row.context, self.ends)
        if last or (reason == "stop"):
            return text
        stops = self.ends.stops
        held = max(
            (k for stop in stops for k in range(1, len(stop)) if text.endswith(stop[:k])), default=0
        )
        text = text[: len(text) - held]  # a stop string may have begun
        return text.rstrip(BROKEN)


def states(infos: Iterable[StepInfo], reader: Reader) -> Iterator[TextState]:
    """Yield the state of the only row after each step."""
    for step, info in enumerate(infos):
        state, drafted = info.state, draft(info, reader.strategy)
        ids, unknown = state.tokens[0].tolist(), state.masked[0].tolist()
        yield reader.read(step, ids, unknown, drafted[0], bool(state.rows.finished[0]))


def draft(info: StepInfo, strategy: Strategy) -> list[list[int | None]]:
    """Return the ids (B,N) that stand for unknown ones, None where there are none.

    They are the likeliest ids of the step where those are committed in the end (DiffusionGemma),
    and its draws where the network is shown those (`noise.PreviousSample`).
    """
    proposal = info.proposal
    kept = proposal.token if strategy.noise.keeps_sample else None
    ids = proposal.top_token if strategy.commit.likeliest else kept
    if ids is None:
        return [[None] * info.state.tokens.shape[1]] * len(info.state)
    there = proposal.queried & info.state.masked
    pairs = zip(ids.tolist(), there.tolist(), strict=True)
    return [[i if known else None for i, known in zip(*row, strict=True)] for row in pairs]


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
