"""The strategy of a call: what is never generated, what ends a text, and the form it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from unmask.candidates import length_beam
from unmask.core.network import Denoiser
from unmask.decoding import Strategy
from unmask.decoding.inputs import check_strategy
from unmask.engine import default_strategy
from unmask.errors import InputError, StrategyError
from unmask.presets.by_name import ending
from unmask.text.encoding import Encoding
from unmask.text.inputs import stops_of
from unmask.text.prompts import Row, check_lengths, seeds_of
from unmask.text.reading import Ends
from unmask.text.request import Planned, TextRequest
from unmask.text.structured import Structure, closed_row, follows_text


def never_generated(denoiser: Denoiser, encoding: Encoding) -> tuple[int, ...]:
    """Return the ids that stand for no text, or have none, but for the mask id."""
    spec, size = denoiser.spec, encoding.size
    never = {*encoding.special, *spec.reserved, *range(size, spec.vocab_size)}
    return tuple(sorted(never - {spec.mask_id}))


@dataclass(frozen=True)
class Planning:
    """Makes the strategies of calls. never: ids that are not generated."""

    denoiser: Denoiser
    encoding: Encoding
    strategy: Strategy | None
    end_ids: tuple[int, ...]
    never: tuple[int, ...]

    def plan(self, strategy: Strategy | None, *, closed: bool = False) -> Strategy:
        """Return the strategy of a call.

        closed: whether the number of tokens is given, so that rows neither end nor grow. Raises
        StrategyError for a strategy of the call whose rows do grow.
        """
        if strategy is not None:
            check_strategy(strategy)
            if closed and strategy.growth is not None:
                raise StrategyError(
                    f"{type(strategy.growth).__name__} makes rows longer at their end, and here "
                    "the number of tokens is given: pass another preset, or leave growth= out, as "
                    "in strategy.but(growth=None)"
                )
        chosen = strategy or self.strategy or default_strategy(self.denoiser)
        if closed and chosen.growth is not None:
            chosen = chosen.but(growth=None)
        stopping = (
            tuple(s for s in chosen.stopping if s.end_id is None) if closed else chosen.stopping
        )
        grows = None if chosen.growth is None else chosen.growth.end_id
        ends = set() if closed else {*self.end_ids, chosen.end_id, grows}
        never = {*chosen.constraint.forbidden, *self.never, *self.end_ids} - {*ends}
        constraint = replace(chosen.constraint, forbidden=tuple(never))
        chosen = chosen.but(constraint=constraint, stopping=stopping)
        end = next(iter(self.end_ids), None)
        return chosen if closed else ending(chosen, end, self.end_ids[1:])

    def formed(
        self, strategy: Strategy | None, form: Structure, row: Row, *, closed: bool = False
    ) -> Strategy:
        """Return the strategy of a call whose texts have a form, behind what stands in a row."""
        plan, ends = self.plan(strategy, closed=closed), () if closed else self.end_ids
        follows = follows_text(row, self.encoding)
        return form.applied(plan, self.encoding, self.denoiser.spec, ends, follows)

    def request(
        self,
        rows: Sequence[Row],
        given: Sequence[str],
        suffix: str = "",
        *,
        closed: bool = False,
        strategy: Strategy | None = None,
        form: Structure | None = None,
        stop: str | Sequence[str] = (),
        seed: int = 0,
    ) -> TextRequest:
        """Return rows as they are asked for, each behind the text that is given.

        closed, strategy: as of `plan`. Raises InputError for rows that cannot be generated, before
        any work.
        """
        stops = tuple(stops_of(stop))
        _check_stops(form, stops)
        rows, plans = self._planned(strategy, form, rows, closed)
        ends = Ends(() if closed else self.end_ids, stops)
        parts = (self.denoiser, self.encoding, rows, plans, seeds_of(rows, seed))
        return TextRequest(*parts, given, suffix, ends)

    def _planned(
        self, strategy: Strategy | None, form: Structure | None, rows: Sequence[Row], closed: bool
    ) -> tuple[list[Row], list[Planned]]:
        """Return rows as they are generated, and the strategies that do it."""
        spec = self.denoiser.spec
        check_lengths(rows, spec.max_length)
        if form is None:
            plan = self.plan(strategy, closed=closed)
            self._check_ends(plan)
            return list(rows), [Planned(plan, [*range(len(rows))])]
        fill = None if closed else next(iter(self.end_ids), None)
        rows, found = [closed_row(row, fill) for row in rows], list[Planned]()
        for follows in (False, True):
            numbers = [
                i for i, row in enumerate(rows) if follows_text(row, self.encoding) == follows
            ]
            if numbers:
                plan = self.formed(strategy, form, rows[numbers[0]], closed=closed)
                form.check(plan, self.encoding, spec, [rows[i] for i in numbers])
                found.append(Planned(plan, numbers))
        return rows, found

    def _check_ends(self, plan: Strategy) -> None:
        """Raise StrategyError for rows that grow at their end, where a token has to stand."""
        behind = self.encoding.around[1]
        if plan.growth is not None and behind:
            name = self.encoding.decode(behind, special=True)
            raise StrategyError(
                f"{type(plan.growth).__name__} makes texts longer at their end, and {name!r} "
                "stands behind every text of this model, at a place that does not move: pass a "
                "preset whose texts have a length from the start, or leave growth= out, as in "
                "strategy.but(growth=None)"
            )

    def best_length(
        self, row: Row, most: int, strategy: Strategy | None, seed: int, form: Structure | None
    ) -> int:
        """Return the length, of at most eight up to this one, of which a token is likeliest."""
        check_lengths([replace(row, unknown=most)], self.denoiser.spec.max_length)
        plan = self.plan(strategy, closed=True)
        lengths = sorted({max(1, round(most * k / 8)) for k in range(1, 9)})
        if form is not None:
            plan = self.formed(strategy, form, row, closed=True)
            lengths = form.lengths(plan, self.encoding, self.denoiser.spec, most)
        options: dict[str, Any] = {"prompt": row.before, "suffix": row.after, "seed": seed}
        return int(length_beam(self.denoiser, lengths, plan, **options).length)


def _check_stops(form: Structure | None, stops: Sequence[str]) -> None:
    """Raise InputError for texts of a form that would be cut."""
    if form is not None and stops:
        raise InputError(
            f"stop={list(stops)!r} cuts a text of which all must match {form.name}=: leave it out"
        )
