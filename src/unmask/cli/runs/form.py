"""The options about the form of texts, for the commands that generate them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unmask.cli.io.canvas_input import Given, text_of
from unmask.errors import InputError

if TYPE_CHECKING:
    from unmask.cli.runs.generation_job import Job


@dataclass(frozen=True)
class Form:
    """The options about the form of texts."""

    regex: str | None = None
    json_schema: Path | None = None
    choice: list[str] | None = None
    likeliest: bool = False

    def given(self) -> dict[str, Any]:
        """Return the arguments of `TextModel` that they are."""
        schema = None if self.json_schema is None else text_of(self.json_schema, "--json-schema")
        named = {"regex": self.regex, "json_schema": schema, "choices": self.choice}
        return {**named, "likeliest": self.likeliest}


def formed(job: Job, given: Given, form: Form) -> Job:
    """Return a job whose rows have the form from their first to their last unknown position.

    Raises InputError for a model whose ids are no text.
    """
    from unmask.text.structured import Structure

    structure = Structure.of(**form.given())
    if structure is None:
        return job
    if job.model.encoding is None:
        raise InputError(f"the ids of {job.model.name} are no text: leave the form out")
    encoding, spec = job.model.encoding, job.model.denoiser.spec
    strategy = job.strategy
    strategy = strategy.but(stopping=[rule for rule in strategy.stopping if rule.end_id is None])
    behind = set[bool]()
    for row in given.rows:
        before = row[: row.index(None)] if None in row else []
        behind.add(any(i not in encoding.special for i in before))
    made = [structure.applied(strategy, encoding, spec, (), follows) for follows in sorted(behind)]
    if len(made) > 1 and made[0] != made[1]:
        raise InputError(
            "some rows have text before [MASK] and others none, where this tokenizer writes words "
            "in another way: pass them in two calls"
        )
    return replace(job, strategy=made[0]) if made else job
