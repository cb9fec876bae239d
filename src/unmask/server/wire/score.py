"""The body of /v1/score."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from unmask.core.checks import is_integer
from unmask.core.random import SEED_LIMIT
from unmask.server.wire.fields import MOST, Count, Listed, Name, Wire, refused


def given_of(given: Any) -> Any:
    """Return what stands before a row, a text or ids."""
    ids = isinstance(given, list) and all(map(is_integer, given))
    if not (given is None or ids or isinstance(given, str)):
        raise refused(None, "given is a text, or a list of ids")
    return given


class ScoreRequest(Wire):
    """A row whose likelihood is asked for; text or ids, behind what is given.

    by: "bound" averages over random orders, "ordered" is exact under the order and plan of a
    preset, by default one token at a time from left to right, "pseudo" predicts each token from all
    others. samples: pairs of masks of the bound. preset, options: of "ordered". condition: a class.
    """

    model: Name | None = None
    text: str | None = None
    ids: Listed[int] | None = Field(None, min_length=1)
    given: Annotated[str | list[int] | None, BeforeValidator(given_of)] = None
    by: Literal["bound", "ordered", "pseudo"] = "bound"
    samples: Count | None = None
    preset: Name | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    condition: int | None = Field(None, ge=0, le=MOST)
    seed: int | None = Field(None, ge=0, lt=SEED_LIMIT)
    user: str | None = None

    @model_validator(mode="after")
    def _check_together(self) -> ScoreRequest:
        if (self.text is None) == (self.ids is None):
            raise refused("text", "pass one of text and ids")
        if self.given is not None and isinstance(self.given, str) != (self.text is not None):
            raise refused("given", "given is a text beside text, and ids beside ids")
        if self.samples is not None and self.by != "bound":
            raise refused("samples", f"samples are of by='bound', not of {self.by!r}: leave it out")
        if self.preset is not None and self.by != "ordered":
            raise refused("preset", f"preset is of by='ordered', not of {self.by!r}: leave it out")
        if self.options and self.preset is None:
            raise refused("options", "options are of a preset: pass preset, too")
        return self
