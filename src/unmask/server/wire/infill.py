"""The body of /v1/infill."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from unmask.server.wire.decoding import Decoding
from unmask.server.wire.fields import MOST, Listed, Wire, refused

FORMS = ("segments", "text", "ids", "grid")
Line = Listed[int | None]
"""Ids, null where unknown."""


class Segment(Wire):
    """A part of a row: a text, so many unknown tokens, or ids."""

    text: str | None = None
    mask: int | None = Field(None, ge=1)
    ids: Listed[int] | None = None

    @model_validator(mode="after")
    def _check_one(self) -> Segment:
        if sum(each is not None for each in (self.text, self.mask, self.ids)) != 1:
            raise refused(None, "a segment has one of text, mask and ids")
        return self


class InfillRequest(Decoding):
    """A row of any model with unknown positions; one of segments, text, ids and grid.

    segments: texts, unknown tokens and ids, one after the other. text: [MASK] is an unknown token,
    [MASK:12] are twelve. ids: a whole row, null where unknown. grid: the rows of an image or a
    board, null where unknown. condition: a class. top_logprobs: so many likeliest ids of each
    position that is filled in.
    """

    segments: Listed[Segment] | None = Field(None, min_length=1)
    text: str | None = None
    ids: Line | None = Field(None, min_length=1)
    grid: Listed[Line] | None = Field(None, min_length=1)
    condition: int | None = Field(None, ge=0, le=MOST)
    top_logprobs: int | None = Field(None, ge=0, le=20)
    stream_mode: Literal["text", "denoise"] = "denoise"

    @model_validator(mode="after")
    def _check_form(self) -> InfillRequest:
        given = [name for name in FORMS if getattr(self, name) is not None]
        if len(given) != 1:
            said = " and ".join(given) if given else "none"
            raise refused(
                given[1] if given else "ids", f"{said} given: pass one of {', '.join(FORMS)}"
            )
        if self.stream_mode == "text":
            raise refused("stream_mode", "rows that are filled in have no left end: pass 'denoise'")
        return self

    @property
    def form(self) -> str:
        """The name of the field that has the row."""
        return next(name for name in FORMS if getattr(self, name) is not None)
