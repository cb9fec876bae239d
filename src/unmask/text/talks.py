"""Talks as ids for training: which of them the assistant says, by the tokenizer's chat template."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from unmask.data.talks import ASSISTANT, Message, Pair, Talk
from unmask.errors import DataError
from unmask.text.encoding import Encoding

_MARK = re.compile(r"\{%-?\s*generation\s*-?%\}")


@dataclass(frozen=True)
class Learnt:
    """Ids of a row, and for each whether it is learnt."""

    ids: list[int]
    learnt: list[bool]
    where: str

    def until_learnt(self) -> Learnt:
        """Return the row up to the last id that is learnt.

        A row of a talk goes on behind that, where nothing would be when an answer is generated.
        """
        end = len(self.learnt) - self.learnt[::-1].index(True) if True in self.learnt else 0
        return Learnt(self.ids[:end], self.learnt[:end], self.where)


@dataclass(frozen=True)
class Reader:
    """Makes rows of talks and pairs.

    template: options of the chat template. end_ids: ids that end a text, the first of which is put
    behind texts that have none.
    """

    encoding: Encoding
    template: Mapping[str, Any]
    end_ids: tuple[int, ...]

    def pair(self, pair: Pair) -> Learnt:
        """Return the row of a prompt and its completion; only the completion is learnt."""
        before, after = self.encoding.around
        given, whole = self.encoding.encode_all([pair.prompt, pair.prompt + pair.completion])
        if whole[: len(given)] == given:
            rest = whole[len(given) :]
        else:  # a token would reach across, which none does when the completion is generated
            rest = self.encoding.encode(pair.completion)
        if not after:
            rest = self._ended(rest)
        ids = [*before, *given, *rest, *after]
        flags = [False] * (len(before) + len(given)) + [True] * len(rest) + [False] * len(after)
        return Learnt(ids, flags, pair.where)

    def talk(self, talk: Talk, *, each: bool) -> list[Learnt]:
        """Return the rows of a talk, in which only what the assistant says is learnt.

        each: whether every turn is a row of its own, which ends there, so that no answer is learnt
        beside what is said after it; else all are learnt in one row. Raises DataError for a
        template that fails, leaves messages out, or does not show which ids are the assistant's.
        """
        self._check_kept(talk)
        turns = talk.turns
        parts = [[turn] for turn in turns] if each else [turns]
        return [self._row(talk, part).until_learnt() for part in parts]

    @cached_property
    def _backend(self) -> Any:
        backend = getattr(self.encoding, "backend", None)
        if not getattr(backend, "chat_template", None):
            raise DataError(
                "messages become ids by a chat template, and the model's tokenizer has none: pass "
                "another tokenizer (--tokenizer PATH), or data with columns 'prompt' and "
                "'completion'"
            )
        return backend

    @cached_property
    def _marked(self) -> bool:
        """Whether the template marks what the assistant says, as `{% generation %}` does."""
        template = str(self._backend.get_chat_template())
        return bool(_MARK.search(template)) and bool(self._backend.is_fast)

    def _row(self, talk: Talk, turns: Sequence[int]) -> Learnt:
        found = self._by_marks(talk, turns) if self._marked else self._by_prefixes(talk, turns)
        if not any(found.learnt):
            raise DataError(
                f"{talk.where}: the chat template marks nothing that the assistant says: its "
                "{% generation %} stands around nothing of this talk; correct it, or leave the "
                "row out"
            )
        return found

    def _by_marks(self, talk: Talk, turns: Sequence[int]) -> Learnt:
        """Return a row by the template's own mask of what the assistant says."""
        shown = talk.messages[: turns[-1] + 1]
        found = self._applied(
            talk, shown, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
        )
        ids = [int(each) for each in found["input_ids"]]
        flags = [bool(each) for each in found["assistant_masks"]]
        earlier = [n for n, each in enumerate(shown) if each["role"] == ASSISTANT]
        if earlier[0] != turns[0]:  # answers that are given
            start = self._ids(self._text(talk, talk.messages[: turns[0]], begun=True))
            same = (n for n, pair in enumerate(zip(start, ids, strict=False)) if pair[0] != pair[1])
            first = next(same, min(len(start), len(ids)))
            flags = [flag and n >= first for n, flag in enumerate(flags)]
        return self._with_ends(ids, flags, talk.where)

    def _by_prefixes(self, talk: Talk, turns: Sequence[int]) -> Learnt:
        """Return a row by what the template writes up to each answer, and up to its end."""
        texts = list[str]()
        for turn in turns:
            texts.append(self._text(talk, talk.messages[:turn], begun=True))
            texts.append(self._text(talk, talk.messages[: turn + 1]))
        for number, (text, longer) in enumerate(pairwise(texts)):
            if not longer.startswith(text):
                raise DataError(_disagreement(talk, turns[number // 2], text, longer))
        ids, ends = self._cut(texts)
        flags = [False] * len(ids)
        for begin, end in zip(ends[::2], ends[1::2], strict=True):
            known = [n for n in range(begin, end) if ids[n] in self.end_ids]
            last = known[-1] + 1 if known else end
            flags[begin:last] = [True] * (last - begin)
        return self._with_ends(ids, flags, talk.where)

    def _cut(self, texts: Sequence[str]) -> tuple[list[int], list[int]]:
        """Return the ids of the last of texts that begin with each other, and where each ends.

        Where a token of the whole reaches across an end, the parts become ids on their own.
        """
        whole, *shorter = self._ids_of([texts[-1], *texts[:-1]])
        if all(whole[: len(ids)] == ids for ids in shorter):
            return whole, [*map(len, shorter), len(whole)]
        heads = ["", *texts[:-1]]
        parts = self._ids_of([t[len(head) :] for head, t in zip(heads, texts, strict=True)])
        ends = [sum(map(len, parts[: n + 1])) for n in range(len(parts))]
        return [number for part in parts for number in part], ends

    def _with_ends(self, ids: list[int], flags: list[bool], where: str) -> Learnt:
        """Let the end of each answer be learnt, and put one behind the last where none is."""
        for n in range(1, len(ids)):
            if flags[n - 1] and not flags[n] and ids[n] in self.end_ids:
                flags[n] = ids[n - 1] not in self.end_ids
        row = Learnt(ids, flags, where).until_learnt()
        more = len(self._ended(row.ids)) - len(row.ids) if row.ids else 0
        return Learnt([*row.ids, *self.end_ids[:more]], [*row.learnt, *[True] * more], where)

    def _ended(self, ids: list[int]) -> list[int]:
        ended = bool(ids) and ids[-1] in self.end_ids
        return ids if ended else [*ids, *self.end_ids[:1]]

    def _ids(self, text: str) -> list[int]:
        return self._ids_of([text])[0]

    def _ids_of(self, texts: Sequence[str]) -> list[list[int]]:
        rows = self._backend(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        return [[int(number) for number in row] for row in rows]

    def _text(self, talk: Talk, messages: Sequence[Message], *, begun: bool = False) -> str:
        """Return what the template writes; begun: with the beginning of an answer."""
        return str(self._applied(talk, messages, tokenize=False, add_generation_prompt=begun))

    def _applied(self, talk: Talk, messages: Sequence[Message], **how: Any) -> Any:
        try:
            return self._backend.apply_chat_template(list(messages), **how, **self.template)
        except Exception as error:  # of the template's own making
            roles = ", ".join(dict.fromkeys(each["role"] for each in messages))
            raise DataError(
                f"{talk.where}: the chat template fails on a talk of {roles}: {error}"
            ) from error

    def _check_kept(self, talk: Talk) -> None:
        """Raise DataError for a message that the template writes nowhere, as of unknown roles."""
        whole = self._text(talk, talk.messages)
        for number, each in enumerate(talk.messages):
            said = each["content"].strip()
            if not said or said in whole:
                continue
            others = [m for n, m in enumerate(talk.messages) if n != number]
            if self._text(talk, others) == whole:
                raise DataError(
                    f"{talk.where}, message {number}: the chat template leaves messages of the "
                    f"role {each['role']!r} out; use a role that it knows, such as 'user', or "
                    "another template"
                )


def _disagreement(talk: Talk, turn: int, text: str, longer: str) -> str:
    """Return the message on two texts of which one should begin with the other."""
    pairs = zip(text, longer, strict=False)
    at = next((n for n, pair in enumerate(pairs) if pair[0] != pair[1]), len(longer))
    return (
        f"{talk.where}: what the assistant says in message {turn} cannot be found: the chat "
        f"template writes {text[at : at + 30]!r} after {text[max(0, at - 30) : at]!r} in the talk "
        f"up to there, and {longer[at : at + 30]!r} in the longer one; mark the assistant's part "
        "of the template by {% generation %} and {% endgeneration %}, or learn each turn in a row "
        "of its own (data.turns=each)"
    )
