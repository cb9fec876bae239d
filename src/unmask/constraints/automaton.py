"""Sequences that a deterministic finite automaton accepts, its ids in classes.

Ids that every state treats alike are one class, so that the table is small whatever the vocabulary:
a column for each class, and the class of each id. Shapes: b rows, N positions, V vocabulary, S
states, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from unmask.constraints.moves import Moves
from unmask.core.arrays import first_true
from unmask.core.by_value import ByValue
from unmask.core.checks import is_integer
from unmask.core.ids import are_integers
from unmask.core.recent import recent
from unmask.errors import StrategyError


@dataclass(frozen=True, eq=False)
class Automaton(ByValue):
    """Sequences that a deterministic finite automaton accepts, read from left to right.

    transitions: integers (S,C), the state after reading an id of class c in state s, −1 where there
    is none. start: the state before the first token. accept: the states in which a sequence may
    end. classes: integers (V,), the class of each id, −1 where no state reads it; None: each id is
    its own class. whole: it reads the whole row, prompts included; if not, the part from the first
    to the last position to generate. All tokens that a step commits are then drawn from left to
    right, each from the ids that leave the row completable.
    Raises StrategyError for states, classes or ids out of range.
    """

    transitions: Tensor
    start: int
    accept: Sequence[int]
    classes: Tensor | None = None
    whole: bool = True
    vocab_size: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        table = integers("transitions", "(S,C)", self.transitions, 2)
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
            if not all(is_index(state, states) for state in given):
                raise StrategyError(
                    f"{name}={getattr(self, name)!r}: pass states from 0 to {states - 1}; "
                    f"transitions has {states} rows, one for each state"
                )
        if self.classes is not None:
            object.__setattr__(self, "classes", _classes(self.classes, table.shape[1]))
        size = table.shape[1] if self.classes is None else len(self.classes)
        object.__setattr__(self, "transitions", table)
        object.__setattr__(self, "accept", tuple(self.accept))
        object.__setattr__(self, "vocab_size", size)

    @classmethod
    def avoiding(cls, patterns: Sequence[Sequence[int]], vocab_size: int) -> Automaton:
        """Return the automaton of sequences that contain none of these patterns (Aho–Corasick)."""
        banned = {tuple(int(token) for token in pattern) for pattern in patterns}
        if not banned or () in banned:
            raise StrategyError(f"patterns={patterns!r}: pass lists of ids, such as [[3, 3], [7]]")
        ids = sorted({token for pattern in banned for token in pattern})
        if not all(is_index(token, vocab_size) for token in ids):
            raise StrategyError(f"patterns hold ids {ids}: pass ids from 0 to {vocab_size - 1}")
        # The state is the longest suffix of the ids read so far that is a prefix of a pattern.
        begun = sorted({pattern[:k] for pattern in banned for k in range(len(pattern))})
        state = {prefix: number for number, prefix in enumerate(begun)}
        table = torch.zeros(len(begun), len(ids) + 1, dtype=torch.int64)  # 0: the empty prefix
        for prefix in begun:
            for column, token in enumerate(ids, 1):
                read = (*prefix, token)
                ends = [read[k:] for k in range(len(read) + 1)]
                found = any(end in banned for end in ends)
                after = -1 if found else next(state[end] for end in ends if end in state)
                table[state[prefix], column] = after
        classes = torch.zeros(vocab_size, dtype=torch.int64)  # 0: of ids that stand in no pattern
        classes[ids] = torch.arange(1, len(ids) + 1)
        return cls(table, 0, range(len(begun)), classes)

    def __call__(
        self, tokens: Tensor, known: Tensor, position: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        """Return (b,V) bool, as in `Feasible`. valid: (b,N) bool, False at what is not read."""
        valid = torch.ones_like(known) if valid is None else valid
        known = known & valid
        self.check_known(tokens, known)
        moves, row = moves_of(self, (), tokens.device), torch.arange(len(tokens)).to(tokens.device)
        unknown = known.clone()
        unknown[row, position] = False
        after = moves.after(tokens, unknown, valid)
        before = moves.before(tokens, unknown, valid, position)
        allowed = moves.between(before, after[position + 1, row])
        return allowed[:, moves.classes]

    def check_known(self, tokens: Tensor, known: Tensor) -> None:
        """Raise StrategyError for a known id (b,N) that has no class."""
        vocab = self.vocab_size
        if (at := first_true(known & ((tokens < 0) | (tokens >= vocab)))) is not None:
            raise StrategyError(
                f"id {int(tokens[tuple(at)])} at position {at[1]} has no transition: the automaton "
                f"has {vocab} ids; give transitions, or classes, one entry for each id of the "
                "vocabulary"
            )

    def reads(self, editable: Tensor, valid: Tensor) -> Tensor:
        """Return (b,N) bool: the positions that are read, of canvases with these flags (b,N)."""
        if self.whole:
            return valid
        begun = editable.long().cumsum(1) > 0
        going = editable.long().flip(1).cumsum(1).flip(1) > 0
        return begun & going

    def closes(self, end_id: int, fill: int) -> bool:
        """Return whether what stands behind an end_id may always be fill, to the end.

        A sequence may then be cut at an end_id and filled, as `EndOfSequence` does.
        """
        moves = moves_of(self, (), self.transitions.device)
        if not (is_index(end_id, self.vocab_size) and is_index(fill, self.vocab_size)):
            return False
        states, dead = moves.accept.new_ones(len(moves.table)), len(self.transitions)
        states[:dead] = moves.accept
        ended = moves.table[:, moves.classes[end_id]]
        ended = ended[ended != dead]
        filled = moves.table[ended, moves.classes[fill]]
        return bool((states[ended] & (filled == ended)).all())

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON, of the table only what leads somewhere."""
        state, column = (self.transitions >= 0).nonzero(as_tuple=True)
        after = self.transitions[state, column]
        return {
            "shape": list(self.transitions.shape),
            "transitions": torch.stack([state, column, after], 1).tolist(),
            "start": self.start,
            "accept": list(self.accept),
            "classes": None if self.classes is None else self.classes.tolist(),
            "whole": self.whole,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Automaton:
        """Return the automaton that `to_dict` wrote. StrategyError for anything else."""
        try:
            table = torch.full(tuple(data["shape"]), -1, dtype=torch.int64)
            for state, column, after in data["transitions"]:
                table[state, column] = after
            classes = data["classes"]
            made = None if classes is None else torch.tensor(classes, dtype=torch.int64)
            return cls(table, data["start"], list(data["accept"]), made, data["whole"])
        except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
            raise StrategyError(
                f"no automaton: pass what Automaton.to_dict() returns: {error}"
            ) from error


@recent(2**29, size=lambda made: made.nbytes)
def moves_of(automaton: Automaton, barred: tuple[int, ...], device: torch.device) -> Moves:
    """Return the moves of an automaton by all ids but barred ones, on a device."""
    with torch.inference_mode(False):
        table, states = automaton.transitions, len(automaton.transitions)
        classes = automaton.classes
        classes = torch.arange(table.shape[1]) if classes is None else classes.cpu()
        drawn = classes.clone()
        inside = [each for each in barred if 0 <= each < len(drawn)]
        drawn[inside] = -1
        accept = torch.zeros(states, dtype=torch.bool)
        accept[list(automaton.accept)] = True
        return Moves.of(table.cpu(), automaton.start, accept, classes, drawn).to(device)


def _classes(given: Any, count: int) -> Tensor:
    classes = integers("classes", "(V,)", given, 1)
    if (at := first_true((classes < -1) | (classes >= count))) is not None:
        raise StrategyError(
            f"id {at[0]} has class {int(classes[at[0]])}: pass 0 to {count - 1}, the columns of "
            "transitions, or -1 for an id that is not read"
        )
    return classes


def integers(name: str, shape: str, given: Any, dimensions: int) -> Tensor:
    """Return an int64 tensor of so many dimensions, none empty. Raises StrategyError for others."""
    tensor = isinstance(given, Tensor)
    if not tensor or given.dim() != dimensions or not are_integers(given) or not given.numel():
        what = (
            f"{given.dtype} of shape {tuple(given.shape)}"
            if tensor
            else f"a {type(given).__name__}"
        )
        raise StrategyError(f"{name} is {what}: pass a tensor of integers {shape}")
    numbers: Tensor = given.long()
    return numbers


def is_index(value: object, size: int) -> bool:
    """Return whether a value is an integer from 0 to size − 1."""
    return is_integer(value, 0) and value < size
