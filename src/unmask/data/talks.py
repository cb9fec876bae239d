"""Talks and pairs of a prompt and its completion, from the columns of tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unmask.data.blocks import Block, Table
from unmask.data.rows import IDS
from unmask.data.values import listed
from unmask.errors import DataError, nearest

Message = dict[str, Any]
TALKS = ("messages", "conversations", "conversation")
PROMPT, COMPLETION = "prompt", "completion"
ASSISTANT = "assistant"
SENDERS = {"human": "user", "gpt": ASSISTANT}
"""ShareGPT's names of roles, and those of chat templates; other names are kept."""


@dataclass(frozen=True)
class Talk:
    """Messages of `role` and `content`, of which what the assistant says is learnt.

    where: the place, for messages of errors. given: messages from the first that are not learnt.
    """

    messages: list[Message]
    where: str
    given: int = 0

    @property
    def turns(self) -> list[int]:
        """The numbers of the messages that are learnt."""
        numbered = enumerate(self.messages)
        return [n for n, each in numbered if each["role"] == ASSISTANT and n >= self.given]


@dataclass(frozen=True)
class Pair:
    """A text that is given, and the text behind it, which is learnt."""

    prompt: str
    completion: str
    where: str


def columns_of(table: Table, column: str | None) -> tuple[str, ...]:
    """Return the columns of talks or pairs in a table; none where rows are ids or plain texts."""
    if column is not None:
        return (column,) if column in TALKS else ()
    if any(name in table.names for name in IDS):
        return ()
    found = [name for name in TALKS if name in table.names]
    if found:
        return (found[0],)
    both = (PROMPT, COMPLETION)
    return both if all(name in table.names for name in both) else ()


def talks_of(table: Table, columns: Sequence[str]) -> Iterator[Talk | Pair]:
    """Yield the rows of a table. Raises DataError, with the place, for what is no talk or pair."""
    for block in table.blocks(columns):
        parts = [_values(block, name) for name in columns]
        for number, row in zip(block.numbers, zip(*parts, strict=True), strict=True):
            place = block.column(columns[0])[2]
            where = place.describe(int(number))
            yield _talk(row[0], where) if len(row) == 1 else _pair(row[0], row[1], where)


def _values(block: Block, name: str) -> list[Any]:
    values, numbers, place = block.column(name)
    if values is None:
        raise DataError(f"{place.describe(int(numbers[0]))}: the column is missing")
    return listed(values)


def _pair(prompt: Any, completion: Any, where: str) -> Talk | Pair:
    """Return a pair of texts, or of lists of messages as one talk."""
    if isinstance(prompt, str) and isinstance(completion, str):
        if not completion:
            raise DataError(f"{where}: the completion is empty, so there is nothing to learn")
        return Pair(_whole(prompt, where), _whole(completion, where), where)
    if isinstance(prompt, list) and isinstance(completion, list):
        before, behind = messages_of(prompt, where), messages_of(completion, where)
        return _learnt(Talk([*before, *behind], where, len(before)))
    kinds = " and ".join(type(each).__name__ for each in (prompt, completion))
    raise DataError(f"{where}: {PROMPT!r} and {COMPLETION!r} are {kinds}; write two texts")


def _talk(value: Any, where: str) -> Talk:
    return _learnt(Talk(messages_of(value, where), where))


def _learnt(talk: Talk) -> Talk:
    if not talk.turns:
        roles = ", ".join(dict.fromkeys(str(each["role"]) for each in talk.messages)) or "no one"
        raise DataError(
            f"{talk.where}: no message of the assistant, so there is nothing to learn (the talk is "
            f"of {roles}); write one with 'role': {ASSISTANT!r}, or leave the row out"
        )
    return talk


def messages_of(value: Any, where: str) -> list[Message]:
    """Return messages with `role` and `content`, also of ShareGPT's `from` and `value`.

    Further entries are kept for the chat template, but for those that are null. DataError for
    anything else.
    """
    if not isinstance(value, list):
        raise DataError(
            f"{where}: {type(value).__name__} instead of a list of messages, such as "
            "[{'role': 'user', 'content': 'Hello'}]"
        )
    return [_message(each, f"{where}, message {n}") for n, each in enumerate(value)]


def _message(given: Any, where: str) -> Message:
    if not isinstance(given, Mapping):
        raise DataError(
            f"{where}: {type(given).__name__} instead of a message, such as "
            "{'role': 'user', 'content': 'Hello'}"
        )
    kept = {str(key): value for key, value in given.items() if value is not None}
    theirs = "from" in kept and "role" not in kept
    names = ("from", "value") if theirs else ("role", "content")
    for name in names:
        if not isinstance(kept.get(name), str):
            found = kept.get(name)
            parts = isinstance(found, list | tuple)
            why = "in parts, and images and other media are not read" if parts else f"{found!r:.60}"
            near = "" if found is not None or not kept else f" ({nearest(name, kept)})"
            raise DataError(f"{where}: {name!r} is {why}{near}; write a text")
        _whole(kept[name], where)
    role, content = (kept.pop(name) for name in names)
    return {"role": SENDERS.get(role, role) if theirs else role, "content": content, **kept}


def _whole(text: str, where: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise DataError(f"{where}: half a character (a surrogate) that no text holds")
    return text
