"""Automata over bytes as automata over the ids of a tokenizer.

The bytes of every id are walked through the automaton from all states at once; ids that lead from
each state to the same one are a class. Shapes: V vocabulary, S states, K functions from states to
states, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from unmask.constraints import Automaton
from unmask.text.byte_automaton import ByteAutomaton
from unmask.text.regex import NoAutomaton
from unmask.text.spelling import Spelled, Spelling

_ENTRIES = 2**26  # of all functions, at most: a quarter of a gigabyte
_WORK = 2**32  # entries that are looked at to make them, at most: a few seconds
_MOVES = 2**23  # from states by classes, at most: each is looked at for each token of a step
_DEAD, _SAME = 0, 1  # the functions that lead nowhere, and from each state to itself

_TOO_LARGE = "it is too large: over the tokens of this model it has too many states and moves"


def token_automaton(
    automaton: ByteAutomaton,
    spelling: Spelling,
    vocab_size: int,
    ends: Sequence[int],
    fill: int | None,
    *,
    follows: bool,
) -> Automaton | None:
    """Return the automaton of the sequences of ids that write a text of an automaton over bytes.

    None where no ids write one.

    ends: ids that end a text, behind which fill stands to the end of a row; none where a text ends
    with its row. follows: whether other text stands before, at which some ids write a space. It
    reads the part of a row from the first to the last position to generate. Raises NoAutomaton for
    one that is too large.
    """
    functions, number = _functions(automaton.table, spelling.inside)
    states = len(automaton.table)
    first = number
    begun = functions[:, automaton.start]
    if not follows and spelling.first != spelling.inside:
        at_first, first = _functions(automaton.table, spelling.first)
        begun = at_first[:, automaton.start]
    pairs = np.stack([number, begun[first]], 1)  # (V,2): inside a text, and at its beginning
    pairs, classes = np.unique(pairs, axis=0, return_inverse=True)
    start, padded = states, states + 1
    table = np.full((states + 2, len(pairs) + len(ends) + 1), -1, np.int64)
    table[:states, : len(pairs)] = functions[pairs[:, 0]].T
    table[start, : len(pairs)] = pairs[:, 1]
    of_ids = np.full(vocab_size, -1, np.int64)
    of_ids[: len(classes)] = classes.ravel()
    accept = np.append(automaton.accept, [automaton.accept[automaton.start], True])
    for nth, end in enumerate(ends):
        table[:padded, len(pairs) + nth] = np.where(accept[:padded], padded, -1)
        of_ids[end] = len(pairs) + nth
    if ends and fill is not None:
        if fill not in ends:
            of_ids[fill] = table.shape[1] - 1
        table[padded, of_ids[fill]] = padded
    return _compact(table, start, accept, of_ids)


def _functions(table: np.ndarray, spelled: Spelled) -> tuple[np.ndarray, np.ndarray]:
    """The functions (K,S) int32 of states to states, −1 for none, and which (V,) each id is."""
    states, size = len(table), len(spelled)
    columns, of_byte = np.unique(table.T, axis=0, return_inverse=True)  # (b,S): bytes that differ
    of_byte = of_byte.ravel()
    nowhere = np.full((len(columns), 1), -1, np.int32)
    columns = np.concatenate([columns, nowhere], 1)  # at −1, the last one
    functions = [np.full(states, -1, np.int32), np.arange(states, dtype=np.int32)]
    known = {each.tobytes(): nth for nth, each in enumerate(functions)}
    work = 0
    lengths = np.array([len(text or b"") for text in spelled])
    starts = lengths.cumsum() - lengths
    flat = np.frombuffer(b"".join(text or b"" for text in spelled), np.uint8)
    number = np.array([_DEAD if text is None else _SAME for text in spelled])
    for depth in range(int(lengths.max(initial=0))):
        alive = np.flatnonzero((lengths > depth) & (number != _DEAD))
        key = number[alive] * len(columns) + of_byte[flat[starts[alive] + depth]]
        keys, inverse = np.unique(key, return_inverse=True)
        work += len(keys) * states
        if work > _WORK:
            raise NoAutomaton(_TOO_LARGE)
        made = np.empty(len(keys), np.int64)
        for nth, (function, column) in enumerate(zip(*divmod(keys, len(columns)), strict=True)):
            after = columns[column][functions[function]]
            made[nth] = known.setdefault(after.tobytes(), len(functions))
            if made[nth] == len(functions):
                functions.append(after)
                if len(functions) * states > _ENTRIES:
                    raise NoAutomaton(_TOO_LARGE)
        number[alive] = made[inverse.ravel()]
    assert len(number) == size
    return np.stack(functions), number


def _compact(
    table: np.ndarray, start: int, accept: np.ndarray, of_ids: np.ndarray
) -> Automaton | None:
    """The automaton with the states alone that can be reached, and the classes that lead on."""
    has_ids = np.zeros(table.shape[1], bool)
    has_ids[of_ids[of_ids >= 0]] = True
    table = np.where(has_ids, table, -1)
    reached, waiting = {start}, [start]
    while waiting:
        new = {int(each) for each in np.unique(table[waiting.pop()]) if each >= 0} - reached
        reached |= new
        waiting += new
    kept = np.array(sorted(reached))
    renamed = np.full(len(table) + 1, -1)
    renamed[kept] = np.arange(len(kept))
    table = renamed[table[kept]]
    if np.count_nonzero(table >= 0) > _MOVES:
        raise NoAutomaton(_TOO_LARGE)
    columns = np.flatnonzero((table >= 0).any(0))
    new_class = np.full(len(has_ids) + 1, -1)
    new_class[columns] = np.arange(len(columns))
    if not len(columns):
        table, columns = np.full((len(kept), 1), -1), np.array([0])
    accepted = np.flatnonzero(accept[kept]).tolist()
    if not accepted:
        return None
    return Automaton(
        torch.from_numpy(table[:, columns]),
        int(renamed[start]),
        accepted,
        torch.from_numpy(new_class[of_ids]),
        whole=False,
    )
