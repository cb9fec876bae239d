"""Texts of a form: a regular expression, a JSON schema, or choices, kept by every output."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from unmask.constraints import Automaton
from unmask.constraints.automaton import moves_of
from unmask.constraints.moves import Moves
from unmask.core.head import illegal_ids
from unmask.core.network import DenoiserSpec
from unmask.core.recent import recent
from unmask.decoding import Strategy
from unmask.errors import InputError
from unmask.text.encoding import CONTEXT, Encoding
from unmask.text.inputs import texts_of
from unmask.text.missing import needs
from unmask.text.patterns import any_of, byte_automaton, check_regex
from unmask.text.prompts import Row
from unmask.text.regex import NoAutomaton
from unmask.text.schema import schema_regex
from unmask.text.spelling import Spelling, spelling_of
from unmask.text.tokens import token_automaton

Schema = Mapping[str, Any] | str | None
_TRIED = 8  # lengths of a text between two others


@dataclass(frozen=True)
class Structure:
    """The form of a text. name: the argument that says it. pattern: its regular expression.

    likeliest: as in `Constraint`.
    """

    name: str
    pattern: str
    choices: tuple[str, ...] = ()
    likeliest: bool = False

    @classmethod
    def of(
        cls,
        regex: str | None = None,
        json_schema: Schema = None,
        choices: Sequence[str] | None = None,
        likeliest: bool = False,
    ) -> Structure | None:
        """Return the form that one of the arguments says; None if none does.

        Raises InputError for more than one, and for a wrong one, with the place.
        """
        given = {"regex": regex, "json_schema": json_schema, "choices": choices}
        named = [name for name, value in given.items() if value is not None]
        if len(named) > 1:
            raise InputError(f"{named[0]}= and {named[1]}= are both given: pass one of them")
        if not named:
            if likeliest is not False:
                raise InputError(
                    f"likeliest={likeliest!r} chooses among texts of a form: pass regex=, "
                    "json_schema= or choices="
                )
            return None
        try:
            pattern, texts = _pattern(regex, json_schema, choices)
            byte_automaton(pattern, named[0])
        except RecursionError as error:
            raise InputError(f"{named[0]} is nested too deeply: write it flatter") from error
        return cls(named[0], pattern, texts, likeliest)

    def automaton(
        self,
        encoding: Encoding,
        vocab_size: int,
        ends: tuple[int, ...],
        fill: int | None,
        follows: bool,
    ) -> Automaton:
        """Return the automaton over the ids of a tokenizer, made once for equal arguments.

        ends, fill, follows: as of `token_automaton`. Raises InputError for a form, or a choice,
        that the tokenizer cannot write.
        """
        spelling = spelling_of(encoding)
        follows = follows or spelling.first == spelling.inside
        for text in self.choices:
            if not _is_written(text.encode(), spelling, follows):
                told = needs(any_of([text]), _parts(spelling)) or _hint(spelling)
                raise InputError(
                    f"choices: this tokenizer has no tokens that write {text!r:.80}{told}"
                )
        found = _compiled(encoding, self.name, self.pattern, vocab_size, ends, fill, follows)
        if found is None:
            told = needs(self.pattern, _parts(spelling)) or _hint(spelling)
            raise InputError(
                f"{self.name}: this tokenizer has no tokens that write such a text{told}"
            )
        return found

    def applied(
        self,
        plan: Strategy,
        encoding: Encoding,
        spec: DenoiserSpec,
        end_ids: Sequence[int],
        follows: bool,
    ) -> Strategy:
        """Return the strategy that keeps the form. end_ids: that end a text, none where a row does.

        Raises StrategyError for strategies that cannot.
        """
        if plan.constraint.feasible is not None:
            raise InputError(
                f"{self.name}= and the strategy's own feasible= are both given: leave one of them "
                "out"
            )
        if plan.growth is not None:
            raise InputError(
                f"{self.name}= is kept in a fixed number of positions, and "
                f"{type(plan.growth).__name__} changes them while a row is generated: pass a "
                "strategy without growth="
            )
        ends, fill = tuple(end_ids), next(iter(end_ids), None)
        if plan.end is not None and plan.end_id is not None:
            ends = tuple(dict.fromkeys((plan.end_id, *plan.end.also, *ends)))
            fill = plan.end_id if plan.end.fill is None else plan.end.fill
        found = self.automaton(encoding, spec.vocab_size, ends, fill, follows)
        new = replace(plan.constraint, feasible=found, likeliest=self.likeliest)
        return plan.but(constraint=new)

    def check(
        self, plan: Strategy, encoding: Encoding, spec: DenoiserSpec, rows: Sequence[Row]
    ) -> None:
        """Raise InputError for a row of a length that no text of the form has."""
        moves, shortest = self._moves(plan, encoding, spec)
        for count in sorted({row.unknown for row in rows}):
            if bool(moves.reached(count)[count]):
                continue
            told = f"{count} tokens: {self.name}= takes {shortest} at least"
            if count > shortest:
                further = [n for n in moves.reached(2 * count).nonzero().squeeze(1).tolist() if n]
                near = sorted(further, key=lambda n: abs(n - count))[:_TRIED]
                told = (
                    f"{count} tokens: no text that {self.name}= allows has as many, and nothing "
                    f"ends it before; pass one of {sorted(near)}"
                )
            raise InputError(told if count > shortest else f"{told}: pass {shortest} or more")

    def lengths(
        self, plan: Strategy, encoding: Encoding, spec: DenoiserSpec, most: int
    ) -> list[int]:
        """Return at most eight lengths up to this one that texts of the form have."""
        moves, shortest = self._moves(plan, encoding, spec)
        found = [n for n in moves.reached(most).nonzero().squeeze(1).tolist() if n]
        if not found:
            raise InputError(f"max_tokens={most}: {self.name}= takes {shortest} at least")
        return sorted({found[len(found) * k // _TRIED] for k in range(_TRIED)})

    def _moves(self, plan: Strategy, encoding: Encoding, spec: DenoiserSpec) -> tuple[Moves, int]:
        """Return the moves by ids that may be drawn, and the fewest tokens, one or more."""
        found = plan.constraint.feasible
        assert isinstance(found, Automaton)
        never = illegal_ids(spec, plan.constraint.forbidden)
        moves = moves_of(found, never, torch.device("cpu"))
        shortest = moves.shortest()
        if shortest is None:
            told = needs(self.pattern, _parts(spelling_of(encoding), never))
            raise InputError(
                f"{self.name}: no text of it can be written without ids that are never generated"
                f"{told}"
            )
        if not shortest:  # a row has a token at least
            counts = moves.reached(len(moves.accept))[1:].nonzero().squeeze(1).tolist()
            if not counts:
                raise InputError(f"{self.name}: only the empty text is of it, and nothing ends it")
            shortest = counts[0] + 1
        return moves, shortest


def form_of(
    regex: str | None, json_schema: Schema, choices: Sequence[str] | None, likeliest: bool
) -> dict[str, Any]:
    """Return the arguments of `Structure.of` by name."""
    named = {"regex": regex, "json_schema": json_schema, "choices": choices}
    return {**named, "likeliest": likeliest}


def _pattern(
    regex: str | None, json_schema: Schema, choices: Sequence[str] | None
) -> tuple[str, tuple[str, ...]]:
    """Return the expression that one of these says, and the choices."""
    if regex is not None:
        return check_regex("regex", regex), ()
    if json_schema is not None:
        return schema_regex(json_schema), ()
    texts = tuple(texts_of("choices", choices))
    if not texts:
        raise InputError("choices=[]: pass a text or more")
    return any_of(texts), texts


def _size(made: Automaton | None) -> int:
    """Return the bytes of an automaton."""
    return 0 if made is None else made.transitions.nbytes


@recent(2**29, size=_size)
def _compiled(
    encoding: Encoding,
    name: str,
    pattern: str,
    vocab_size: int,
    ends: tuple[int, ...],
    fill: int | None,
    follows: bool,
) -> Automaton | None:
    spelling = spelling_of(encoding)
    automaton = byte_automaton(pattern, name)
    try:
        return token_automaton(automaton, spelling, vocab_size, ends, fill, follows=follows)
    except NoAutomaton as error:
        raise InputError(f"{name}={pattern!r:.200} has no automaton: {error}") from error


def _is_written(text: bytes, spelling: Spelling, follows: bool) -> bool:
    """Whether ids write a text."""
    inside = {part for part in spelling.inside if part}
    first = inside if follows else {part for part in spelling.first if part}
    first |= inside if b"" in spelling.first else first  # behind an id that writes nothing
    longest = max(map(len, inside | first), default=0)
    reached = {0}
    for begin in range(len(text)):
        if begin in reached:
            parts = inside if begin else first
            ends = range(begin + 1, min(begin + longest, len(text)) + 1)
            reached |= {end for end in ends if text[begin:end] in parts}
    return len(text) in reached


def _parts(spelling: Spelling, never: Collection[int] = ()) -> set[bytes]:
    """Return what ids write, but for those that are never generated."""
    barred = frozenset(never)
    every = (*enumerate(spelling.inside), *enumerate(spelling.first))
    return {part for token, part in every if part and token not in barred}


def _hint(spelling: Spelling) -> str:
    """What to try where every word begins with a space."""
    parts = [part for part in spelling.inside if part]
    if 2 * sum(part.startswith(b" ") for part in parts) < len(parts):
        return ""
    return "; behind other text its words begin with a space, as in ' word'"


def follows_text(row: Row, encoding: Encoding) -> bool:
    """Return whether text stands before the unknown positions, as in `Encoding.continued`."""
    return any(i not in encoding.special for i in row.context[-CONTEXT:])


def closed_row(row: Row, fill: int | None) -> Row:
    """Return the row with the end of the text in place of its surplus, for the text is whole there.

    Raises InputError where nothing ends a text.
    """
    if not row.surplus:
        return row
    if fill is None:
        raise InputError(
            f"max_new_tokens={row.unknown}: the network generates whole blocks, and no id ends a "
            f"text: pass {row.unknown + row.surplus}"
        )
    return replace(row, after=[fill] * row.surplus, surplus=0)
