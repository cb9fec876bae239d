"""Fields of every body that asks for rows: how they are drawn, and how the answer is sent."""

from __future__ import annotations

import inspect
import re
from functools import cache
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from unmask.core.random import SEED_LIMIT
from unmask.presets import by_name
from unmask.server.wire.fields import LONGEST, Count, Name, Wire, refused, unknown_field

BIAS = 100
_ID = "(?:0|[1-9][0-9]{0,9})"
Biases = dict[Annotated[str, Field(pattern=f"^{_ID}$")], Annotated[float, Field(ge=-BIAS, le=BIAS)]]


def bias_of(given: Any) -> Any:
    """Return a bias by ids: those of JSON are strings."""
    if not isinstance(given, dict):
        return given
    found = dict[int, float]()
    for name, value in given.items():
        if not re.fullmatch(_ID, str(name)):
            what = f"logit_bias is of {name!r:.{LONGEST}}: its names are ids, such as '42'"
            raise refused(None, what)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number and abs(value) <= BIAS):
            shown = f"{value!r:.{LONGEST}}"
            what = f"logit_bias of {name} is {shown}: pass numbers from -{BIAS} to {BIAS}"
            raise refused(str(name), what)
        found[int(name)] = float(value)
    return found


class StreamOptions(Wire):
    """include_usage: whether a last chunk has the usage."""

    neutral: ClassVar[dict[str, tuple[Any, ...]]] = {"include_obfuscation": (False,)}
    include_usage: bool = False


class Decoding(Wire):
    """Fields about the rows of a request.

    model: by default the first one. n: rows of each prompt. seed: drawn where it is absent, and
    told. preset: by default that of the model. block_length: the preset's option `block`.
    logit_bias: numbers added to the logits of ids. cfg_scale: w of c + w·(c − u), the prompt hidden
    in u. max_forwards: network passes of a row, at most. options: of the preset; at the top level,
    too. diffusing: chunks are snapshots of the whole. stream_mode: "denoise" tells each step.
    return_record: with the record of each row.
    """

    model: Name | None = None
    n: Count = 1
    seed: int | None = Field(None, ge=0, lt=SEED_LIMIT)
    temperature: float | None = Field(None, ge=0)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: Count | None = None
    min_p: float | None = Field(None, ge=0, lt=1)
    preset: Name | None = None
    steps: Count | None = None
    block_length: Count | None = None
    threshold: float | None = None
    cfg_scale: float | None = Field(None, ge=-100, le=100)
    max_forwards: Count | None = None
    logit_bias: Annotated[
        dict[int, float] | None, BeforeValidator(bias_of, json_schema_input_type=Biases)
    ] = None
    options: dict[str, Any] = Field(default_factory=dict)
    stream: bool = False
    stream_options: StreamOptions | None = None
    diffusing: bool = False
    stream_mode: Literal["text", "denoise"] = "text"
    return_record: bool = False
    user: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _gather_options(cls, data: Any) -> Any:
        """Move options of presets from the top level to `options`; refuse what is none."""
        if not isinstance(data, dict):
            return data
        options = {} if data.get("options") is None else data["options"]
        if not isinstance(options, dict):
            raise refused("options", "options is an object: the options of the preset by name")
        known = {*cls.model_fields, *cls.neutral}
        moved = {name: data[name] for name in data if name in preset_options() - known}
        for name in data:
            if name not in known and name not in moved:
                raise refused(name, unknown_field(name, known | preset_options()))
        for name in moved:
            if name in options:
                raise refused(name, f"{name} is given twice, in options and beside it")
        rest = {name: value for name, value in data.items() if name not in moved}
        return {**rest, "options": {**options, **moved}}

    @model_validator(mode="after")
    def _check_streams(self) -> Decoding:
        if self.stream:
            if self.diffusing and self.stream_mode == "denoise":
                raise refused("diffusing", "diffusing and stream_mode='denoise': pass one of them")
            return self
        for name in ("stream_options", "diffusing", "stream_mode"):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise refused(name, f"{name} is about streams: pass it with stream=true")
        return self


@cache
def preset_options() -> frozenset[str]:
    """Return the names of the options of all presets."""
    every = by_name.known().values()
    return frozenset(name for each in every for name in inspect.signature(each).parameters)
