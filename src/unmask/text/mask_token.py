"""The mask token of a tokenizer that has none: a new one, or one that stands for nothing."""

from __future__ import annotations

import copy
from typing import Any

from unmask.core.checks import is_integer
from unmask.errors import ModelError, nearest
from unmask.models.families.files import special_ids

MASK_TOKEN = "<|mask|>"
_ROLES = ("bos", "eos", "unk", "sep", "cls")


def with_mask(
    tokenizer: Any, size: int, mask_token: str | None, mask_id: int | None
) -> tuple[Any, int]:
    """Return a copy of a tokenizer with its mask token, and the id of that.

    size: ids that the network has. mask_token: a new token, or one that stands for nothing; by
    default the tokenizer's own mask token, or `MASK_TOKEN`. mask_id: an id of the network instead;
    where the tokenizer has no token there, it gets none.
    Raises ModelError for what is a word of the tokenizer, or in use as another token.
    """
    if mask_token is not None and not (isinstance(mask_token, str) and mask_token.strip()):
        raise ModelError(f"mask_token={mask_token!r}: pass the name of a token, such as <|mask|>")
    tokenizer = copy.deepcopy(tokenizer)
    words = tokenizer.get_vocab()
    if mask_id is not None:
        mask_token = _named(mask_id, size, words, mask_token)
        if mask_token is None:
            return tokenizer, mask_id
    name = mask_token or tokenizer.mask_token or MASK_TOKEN
    if name in words:
        _check_unused(tokenizer, name, int(words[name]))
    tokenizer.add_special_tokens({"mask_token": name})
    found = tokenizer.convert_tokens_to_ids(name)
    if tokenizer.convert_ids_to_tokens(found) != name or special_ids(tokenizer).count(found) != 1:
        raise ModelError(
            f"the tokenizer takes no special token {name!r}: pass mask_id=, an id without a token"
        )
    return tokenizer, int(found)


def _named(mask_id: Any, size: int, words: dict[str, int], name: str | None) -> str | None:
    """Return the token of an id, None where there is none. name: what it is to be, None if any."""
    if not is_integer(mask_id, 0):
        raise ModelError(f"mask_id={mask_id!r}: pass an id")
    if mask_id >= size:
        raise ModelError(
            f"mask_id={mask_id} is none of the {size} ids of the network: leave mask_id out, and "
            "a new one is made"
        )
    found = next((word for word, number in words.items() if number == mask_id), None)
    if name not in (None, found):
        here = "no token" if found is None else f"{found!r}"
        raise ModelError(
            f"mask_token={name!r} and mask_id={mask_id}, where the tokenizer has {here}: pass one "
            "of them"
        )
    return found


def _check_unused(tokenizer: Any, name: str, number: int) -> None:
    """Raise ModelError for a token of text, and for one that stands for something else."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    if number not in special_ids(tokenizer) and number not in added:
        free = [each for each in map(str, added.values()) if each not in _used(tokenizer)]
        close = f": {nearest(name, free)}" if free else ""
        raise ModelError(
            f"{name!r}, id {number}, is an ordinary word of the tokenizer, so texts that have it "
            f"would be unknown there: leave it out, and <|mask|> is added, or pass a token that "
            f"stands for nothing{close}"
        )
    if name in _used(tokenizer) or name in str(tokenizer.chat_template or ""):
        raise ModelError(
            f"{name!r}, id {number}, is in use already, as an end or a beginning, or in the chat "
            "template: leave it out, and <|mask|> is added, or pass a token that stands for nothing"
        )


def _used(tokenizer: Any) -> set[str]:
    """Return the tokens that have another role."""
    return {getattr(tokenizer, f"{role}_token") for role in _ROLES} - {None}
