"""The states of an automaton over partly known rows: forward, backward, and between.

Sets of states are flags. A step over an unknown position follows the links between states, of which
there are few; one over a known position reads a column of the table. Shapes: b rows, N positions,
V vocabulary, S states, C classes, L links, E edges. The state S and the class C are dead: nothing
leads out of the one, and the other leads there.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Moves:
    """What leads from state to state. Tensors are int64, but for accept (S,) bool."""

    table: Tensor  # (S+1,C+1): the state after a class
    start: int
    accept: Tensor
    classes: Tensor  # (V,): the class of each id
    drawn: Tensor  # (V,): the same, dead where the id is never drawn
    link_from: Tensor  # (L,): pairs of states between which some id that may be drawn leads
    link_to: Tensor
    edge_from: Tensor  # (E,): transitions by a class of ids that may be drawn
    edge_class: Tensor
    edge_to: Tensor

    @classmethod
    def of(
        cls, transitions: Tensor, start: int, accept: Tensor, classes: Tensor, drawn: Tensor
    ) -> Moves:
        """Return the moves by transitions (S,C); classes and drawn are −1 where an id has none."""
        states, count = transitions.shape
        table = torch.full((states + 1, count + 1), states)
        table[:states, :count] = transitions.where(transitions >= 0, states)
        alive = torch.zeros(count + 1, dtype=torch.bool)
        alive[drawn] = True  # −1 is the last one
        alive[count] = False
        origin, column = ((table[:states] < states) & alive).nonzero(as_tuple=True)
        after = table[origin, column]
        pair = (origin * (states + 1) + after).unique()
        classes, drawn = (each.where(each >= 0, count) for each in (classes, drawn))
        return cls(
            table, start, accept, classes, drawn,
            pair // (states + 1), pair % (states + 1), origin, column, after,
        )  # fmt: skip

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        every = (getattr(self, field.name) for field in fields(self))
        return sum(each.nbytes for each in every if isinstance(each, Tensor))

    def to(self, device: torch.device) -> Moves:
        """Return the moves on a device."""
        given: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        sent: dict[str, Any] = {
            n: v.to(device) if isinstance(v, Tensor) else v for n, v in given.items()
        }
        return Moves(**sent)

    def started(self, rows: int) -> Tensor:
        """Return (b,S) bool: the start of each row."""
        states = torch.zeros(rows, len(self.accept), dtype=torch.bool, device=self.accept.device)
        states[:, self.start] = True
        return states

    def legal(self, ids: Tensor) -> Tensor:
        """Return (b,N,C+1) bool: the classes that have one of the ids (b,N,V) that may be drawn."""
        rows, length, _ = ids.shape
        found = ids.new_zeros(rows, length, self.table.shape[1])
        for i in range(length):  # as numbers, ids take four times as much memory
            count = torch.zeros(rows, self.table.shape[1], device=ids.device)
            found[:, i] = count.index_add_(1, self.drawn, ids[:, i].float()) > 0
        return found

    def after(
        self, tokens: Tensor, known: Tensor, read: Tensor, legal: Tensor | None = None
    ) -> Tensor:
        """Return (N+1,b,S) bool: the states before position i in which the rest can be completed.

        tokens, known and read (b,N): ids, which of them are known, and which positions are read.
        legal (b,N,C+1): the classes that unknown positions may have, None for all.
        """
        rows, length = tokens.shape
        column = self.classes[tokens.masked_fill(~known, 0)]
        out = self.accept.new_zeros(length + 1, rows, len(self.accept))
        out[length] = self.accept
        kinds = _kinds(known, read)
        for i in range(length - 1, -1, -1):
            good, kind = out[i + 1], kinds[i]
            found = good
            if kind.unknown:
                found = self._back(good, None if legal is None else legal[:, i])
            if kind.known:
                by_token = _with_dead(good).gather(1, self.table[:-1, column[:, i]].T)
                found = by_token.where(known[:, i, None], found) if kind.unknown else by_token
            out[i] = found if kind.all_read else found.where(read[:, i, None], good)
        return out

    def before(self, tokens: Tensor, known: Tensor, read: Tensor, position: Tensor) -> Tensor:
        """Return (b,S) bool: the states that the positions before `position` (b,) lead to."""
        read = read & (torch.arange(tokens.shape[1], device=read.device) < position.unsqueeze(1))
        states, most = self.started(len(tokens)), int(position.max()) if len(position) else 0
        return self.forward(states, tokens[:, :most], known[:, :most], read[:, :most])

    def forward(
        self,
        states: Tensor,
        tokens: Tensor,
        known: Tensor,
        read: Tensor,
        legal: Tensor | None = None,
    ) -> Tensor:
        """Return (b,S) bool: the states that positions (b,n) lead to from others."""
        column = self.classes[tokens.masked_fill(~known, 0)]
        for i, kind in enumerate(_kinds(known, read)):
            found = states
            if kind.unknown:
                found = self._on(states, None if legal is None else legal[:, i])
            if kind.known:
                after = self.table[:-1, column[:, i]].T  # (b,S)
                count = states.new_zeros(len(states), len(self.table), dtype=torch.float32)
                by_token = count.scatter_add_(1, after, states.float())[:, :-1] > 0
                found = by_token.where(known[:, i, None], found) if kind.unknown else by_token
            states = found if kind.all_read else found.where(read[:, i, None], states)
        return states

    def between(self, before: Tensor, after: Tensor) -> Tensor:
        """Return (b,C+1) bool: classes that lead from a state of before (b,S) to one of after."""
        leads = before[:, self.edge_from] & after[:, self.edge_to]
        count = leads.new_zeros(len(before), self.table.shape[1], dtype=torch.float32)
        return count.index_add_(1, self.edge_class, leads.float()) > 0

    def reached(self, length: int) -> Tensor:
        """Return (length+1,) bool: the lengths up to this one of sequences that are accepted."""
        states, found = self.started(1), list[Tensor]()
        for _ in range(length + 1):
            found.append((states[0] & self.accept).any())
            states = self._on(states)
        return torch.stack(found)

    def shortest(self) -> int | None:
        """Return the number of ids of the shortest sequence that is accepted; None without any."""
        states, seen = self.started(1), self.started(1)
        for length in range(len(self.accept)):
            if bool((states[0] & self.accept).any()):
                return length
            states = self._on(states)
            if not bool((states & ~seen).any()):
                return None
            seen = seen | states
            states = seen
        return None

    def _on(self, states: Tensor, legal: Tensor | None = None) -> Tensor:
        """Return (b,S) bool: the states that any id, or one of legal classes (b,C+1), leads to."""
        if legal is None:
            return _led(states, self.link_from, self.link_to)
        return _led(states, self.edge_from, self.edge_to, legal[:, self.edge_class])

    def _back(self, states: Tensor, legal: Tensor | None = None) -> Tensor:
        """Return (b,S) bool: the states from which some such id leads into the set."""
        if legal is None:
            return _led(states, self.link_to, self.link_from)
        return _led(states, self.edge_to, self.edge_from, legal[:, self.edge_class])


@dataclass(frozen=True)
class _Kind:
    """What the rows have at a position."""

    known: bool  # some row a known token
    unknown: bool  # some row an unknown one
    all_read: bool  # every row one that is read


def _kinds(known: Tensor, read: Tensor) -> list[_Kind]:
    """Return the kind of each of N positions, read from the device at once."""
    counts = torch.stack([(known & read).any(0), (~known & read).any(0), read.all(0)], 1)
    return [_Kind(*flags) for flags in counts.tolist()]


def _led(states: Tensor, begin: Tensor, end: Tensor, kept: Tensor | None = None) -> Tensor:
    """(b,S) bool: the ends of pairs that begin in the set; kept (b,E): the pairs that count."""
    leads = states[:, begin] if kept is None else states[:, begin] & kept
    count = states.new_zeros(states.shape, dtype=torch.float32)
    return count.index_add_(1, end, leads.float()) > 0


def _with_dead(states: Tensor) -> Tensor:
    """(b,S+1): with the dead state, which is in no set."""
    return torch.cat([states, torch.zeros_like(states[:, :1])], 1)
