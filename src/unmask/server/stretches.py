"""A text that is streamed from its left end, token by token."""

from __future__ import annotations

from collections.abc import Sequence

from unmask.server.answers import Part
from unmask.text.encoding import Encoding
from unmask.text.results import Completion


class Stretch:
    """The part of a text that was sent. context: ids that stand before it.

    Parts have the text of a token each, so that a client that counts them counts tokens. A token of
    which a stop string may have begun is sent in two parts, with the second of them.
    """

    def __init__(self, encoding: Encoding, context: Sequence[int]):
        self.encoding, self.context = encoding, list(context)
        self.sent = ""
        self._covered = 0  # tokens all of whose text was sent
        self._end = 0  # characters of those

    def grown(
        self, piece: str, tokens: Sequence[int | None], logprobs: Sequence[float]
    ) -> list[Part]:
        """Return the parts of what became final. tokens, logprobs: of the whole text so far."""
        if not piece:
            return []
        known = next((i for i, each in enumerate(tokens) if each is None), len(tokens))
        ids = [token for token in tokens[:known] if token is not None]
        before = [*self.context, *ids[: self._covered]]
        pieces = self.encoding.pieces(ids[self._covered :], before)
        return self._parts(self.sent + piece, pieces, logprobs)

    def ended(self, found: Completion) -> list[Part]:
        """Return the parts of what is left of a text that is finished."""
        text = found.text if found.text.startswith(self.sent) else self.sent
        parts = self._parts(text, found.pieces[self._covered :], found.logprobs)
        if self._covered < len(found.tokens):  # tokens that have no text, or are cut within theirs
            rest = slice(self._covered, len(found.tokens))
            held = found.pieces[rest], found.logprobs[rest]
            last = parts.pop() if parts and not parts[-1].pieces else Part("")
            parts.append(Part(last.text, self._end, *held, first=self._covered))
        return parts

    def _parts(self, text: str, pieces: Sequence[str], logprobs: Sequence[float]) -> list[Part]:
        """Return the parts up to the end of a text. pieces: those of the tokens not yet covered."""
        parts, begin, end = list[Part](), self._covered, self._end
        held = list[str]()
        for number, each in enumerate(pieces, begin + 1):
            end += len(each)
            if end > len(text):
                break
            held.append(each)
            if not each:
                continue
            first = number - len(held)
            parts.append(self._part(text[:end], held, logprobs[first:number], first))
            held, self._covered, self._end = [], number, end
        if len(text) > len(self.sent):
            parts.append(self._part(text, [], []))
        return parts

    def _part(
        self, text: str, pieces: Sequence[str], logprobs: Sequence[float], first: int = 0
    ) -> Part:
        part = Part(text[len(self.sent) :], self._end, list(pieces), list(logprobs), first)
        self.sent = text
        return part
