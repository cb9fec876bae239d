"""Feasibility hooks: the ids that a position may hold so that its row can still become valid.

A hook is called for one position of each row at a time. `Automaton` allows the sequences that a
finite automaton accepts, `Listed` those of a list. Any callable like `Feasible` is a hook.

Shapes: b rows, N positions, V vocabulary, S states of an automaton, G listed sequences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from unmask.core.arrays import first_true
from unmask.core.by_value import ByValue
from unmask.core.checks import is_integer
from unmask.core.ids import are_integers
from unmask.errors import StrategyError

_CHUNK_ELEMENTS = 2**23  # flags in one tensor: 8 MiB


class Feasible(Protocol):
    """A function: tokens (b,N) int64, known (b,N) bool, position (b,) int64 -> (b,V) bool.

    The result is True at ids that, put at the row's position, leave some valid sequence that agrees
    with all known tokens. Prompts count as known; `tokens` is arbitrary at unknown positions.
    """

    def __call__(self, tokens: Tensor, known: Tensor, position: Tensor) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Automaton(ByValue):
    """Sequences that a deterministic finite automaton accepts, read from left to right.

    transitions: integers (S,V), the state after reading id v in state s, or −1 where there is none.
    start: the state before the first token. accept: the states in which a sequence may end.
    Put transitions on the device of the canvas to save a copy at each call.
    Raises StrategyError for states or ids out of range.
    """

    transitions: Tensor
    start: int
    accept: Sequence[int]
    # (S,S) float: 1 where some id leads from one state to the other.
    _linked: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        table = _integers("transitions", "(S,V)", self.transitions)
        states = len(table)
        if (at := first_true((table < -1) | (table >= states))) is not None:
            raise StrategyError(
                f"transitions lead from state {at[0]} by id {at[1]} to state "
                f"{int(table[tuple(at)])}: pass 0 to {states - 1}, or -1 for no transition"
            )
        if not isinstance(self.accept, Sequence) or not len(self.accept):
            raise StrategyError(
                f"accept={self.accept!r}: pass a list of the states in which a sequence may end, "
                f"such as [{states - 1}]"
            )
        for name, given in (("start", [self.start]), ("accept", self.accept)):
            if not all(_is_index(state, states) for state in given):
                raise StrategyError(
                    f"{name}={getattr(self, name)!r}: pass states from 0 to {states - 1}; "
                    f"transitions has {states} rows, one for each state"
                )
        object.__setattr__(self, "transitions", table)
        object.__setattr__(self, "accept", tuple(self.accept))
        linked = torch.zeros(states, states + 1, device=table.device)
        linked.scatter_(1, table % (states + 1), 1.0)  # −1 falls into the column that is cut off
        object.__setattr__(self, "_linked", linked[:, :states])

    @classmethod
    def avoiding(cls, patterns: Sequence[Sequence[int]], vocab_size: int) -> Automaton:
        """Return the automaton of sequences that contain none of these patterns (Aho–Corasick)."""
        banned = {tuple(int(token) for token in pattern) for pattern in patterns}
        if not banned or () in banned:
            raise StrategyError(f"patterns={patterns!r}: pass lists of ids, such as [[3, 3], [7]]")
        ids = sorted({token for pattern in banned for token in pattern})
        if not all(_is_index(token, vocab_size) for token in ids):
            raise StrategyError(f"patterns hold ids {ids}: pass ids from 0 to {vocab_size - 1}")
        # The state is the longest suffix of the ids read so far that is a prefix of a pattern.
        begun = sorted({pattern[:k] for pattern in banned for k in range(len(pattern))})
        state = {prefix: number for number, prefix in enumerate(begun)}
        table = torch.zeros(len(begun), vocab_size, dtype=torch.int64)  # 0: the empty prefix
        for prefix in begun:
            for token in ids:
                read = (*prefix, token)
                ends = [read[k:] for k in range(len(read) + 1)]
                found = any(end in banned for end in ends)
                after = -1 if found else next(state[end] for end in ends if end in state)
                table[state[prefix], token] = after
        return cls(table, 0, range(len(begun)))

    def __call__(
        self, tokens: Tensor, known: Tensor, position: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        """Return (b,V) bool, as in `Feasible`. valid: (b,N) bool, False at padding."""
        table, linked = self.transitions.to(tokens.device), self._linked.to(tokens.device)
        valid = torch.ones_like(known) if valid is None else valid
        known = known & valid
        _check_known(tokens, known, table.shape[1])
        shown = tokens.masked_fill(~known, 0)
        before = torch.zeros(len(tokens), len(table), dtype=torch.bool, device=tokens.device)
        after = before.clone()
        before[:, self.start] = True
        after[:, list(self.accept)] = True
        asked = position.tolist()
        for i in range(max(asked, default=0)):
            read = (i < position).unsqueeze(1)
            before = _forward(before, table, linked, shown[:, i], known[:, i]).where(read, before)
        for i in range(tokens.shape[1] - 1, min(asked, default=0), -1):
            read = (valid[:, i] & (i > position)).unsqueeze(1)
            after = _backward(after, table, linked, shown[:, i], known[:, i]).where(read, after)
        return _between(before, table, after)


@dataclass(frozen=True, eq=False)
class Listed(ByValue):
    """The sequences of a list, integers (G,N) from 0 to vocab_size − 1.

    Raises StrategyError for ids out of range.
    """

    sequences: Tensor
    vocab_size: int

    def __post_init__(self) -> None:
        listed = _integers("sequences", "(G,N)", self.sequences)
        if not _is_index(self.vocab_size, torch.iinfo(torch.int64).max) or self.vocab_size < 1:
            raise StrategyError(
                f"vocab_size={self.vocab_size!r}: pass the number of ids, such as 17"
            )
        if (at := first_true((listed < 0) | (listed >= self.vocab_size))) is not None:
            raise StrategyError(
                f"sequence {at[0]} has id {int(listed[tuple(at)])} at position {at[1]}: pass "
                f"ids from 0 to {self.vocab_size - 1}"
            )
        object.__setattr__(self, "sequences", listed)

    def __call__(
        self, tokens: Tensor, known: Tensor, position: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        """Return (b,V) bool, as in `Feasible`. Raises StrategyError for rows of another length.

        valid: (b,N) bool, False at padding, which does not count.
        """
        listed = self.sequences.to(tokens.device)
        lengths = [tokens.shape[1]] if valid is None else valid.sum(1).unique().tolist()
        for length in (length for length in lengths if length != listed.shape[1]):
            raise StrategyError(
                f"rows have {length} positions and the listed sequences {listed.shape[1]}: list "
                f"sequences of {length} ids"
            )
        agrees = torch.ones(len(tokens), len(listed), dtype=torch.bool, device=tokens.device)
        for i in range(listed.shape[1]):
            asked = ~known[:, i] | (position == i)
            agrees &= (tokens[:, i, None] == listed[:, i]) | asked.unsqueeze(1)
        count = torch.zeros(len(tokens), self.vocab_size, dtype=torch.int64, device=tokens.device)
        return count.scatter_add_(1, listed.T[position], agrees.long()) > 0


def _forward(states: Tensor, table: Tensor, linked: Tensor, token: Tensor, known: Tensor) -> Tensor:
    """States (b,S) that one more token leads to: the known one, or any."""
    away = states.float() @ linked > 0
    after = table[:, token].T % (states.shape[1] + 1)
    count = torch.zeros(len(states), states.shape[1] + 1, dtype=torch.int64, device=states.device)
    by_token = count.scatter_add_(1, after, states.long())[:, :-1] > 0
    return by_token.where(known.unsqueeze(1), away)


def _backward(good: Tensor, table: Tensor, linked: Tensor, token: Tensor, known: Tensor) -> Tensor:
    """States (b,S) from which one token, the known one or any, leads to a good state."""
    away = good.float() @ linked.T > 0
    after = table[:, token].T
    by_token = good.gather(1, after.clamp(min=0)) & (after >= 0)
    return by_token.where(known.unsqueeze(1), away)


def _between(before: Tensor, table: Tensor, after: Tensor) -> Tensor:
    """(b,V): ids that lead from a state of before (b,S) to one of after (b,S)."""
    allowed = torch.zeros(len(before), table.shape[1], dtype=torch.bool, device=before.device)
    ending = torch.cat([after, torch.zeros_like(after[:, :1])], 1)  # at −1: no state
    reached = before.any(0).nonzero().squeeze(1)
    for some in reached.split(max(1, _CHUNK_ELEMENTS // max(1, allowed.numel()))):
        leads = ending[:, table[some]]  # (b,s,V)
        allowed |= (leads & before[:, some, None]).any(1)
    return allowed


def _integers(name: str, shape: str, given: Any) -> Tensor:
    """An int64 tensor of two dimensions, neither empty."""
    tensor = isinstance(given, Tensor)
    if not tensor or given.dim() != 2 or not are_integers(given) or not given.numel():
        what = (
            f"{given.dtype} of shape {tuple(given.shape)}"
            if tensor
            else f"a {type(given).__name__}"
        )
        raise StrategyError(f"{name} is {what}: pass a tensor of integers {shape}")
    integers: Tensor = given.long()
    return integers


def _is_index(value: object, size: int) -> bool:
    return is_integer(value, 0) and value < size


def _check_known(tokens: Tensor, known: Tensor, vocab: int) -> None:
    if (at := first_true(known & ((tokens < 0) | (tokens >= vocab)))) is not None:
        raise StrategyError(
            f"id {int(tokens[tuple(at)])} at position {at[1]} has no transition: the "
            f"automaton has {vocab} ids; give transitions one column for each id of the vocabulary"
        )
