"""Bodies of requests: their size, and texts that no JSON parser should be handed."""

from __future__ import annotations

import re

import numpy as np

from unmask.server.asgi import Message, Receive
from unmask.server.problems import Problem

DEPTH = 64
"""The most arrays and objects that may be within one another."""
_PAIR = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_HALF = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_BRACKETS = b"[]{}"
_OTHERS = bytes(set(range(256)) - set(_BRACKETS))


def depth_of(body: bytes) -> int:
    """Return how many arrays and objects of a JSON text are within one another, at most.

    Made of passes in C alone: a body may be megabytes of brackets.
    """
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = b"".join(unescaped.split(b'"')[::2])
    brackets = np.frombuffer(outside.translate(None, _OTHERS), np.uint8)
    if not len(brackets):
        return 0
    opens = (brackets == ord("[")) | (brackets == ord("{"))
    return max(0, int(np.where(opens, 1, -1).cumsum().max()))


def has_half_character(body: bytes) -> bool:
    """Return whether a JSON text escapes one half of a surrogate pair, which is no character."""
    unescaped = body.replace(b"\\\\", b"")
    return _HALF.search(_PAIR.sub(b"", unescaped)) is not None


def check_body(body: bytes) -> None:
    """Raise Problem 400 for a body that is no UTF-8, or nested too deeply."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise Problem(
            400, f"the body is no UTF-8, at byte {error.start}: encode it so", code="invalid_utf8"
        ) from error
    if has_half_character(body):
        raise Problem(
            400,
            "the body escapes half a character (a lone surrogate, such as \\ud83d): send both "
            "halves, or the character itself",
            code="invalid_unicode",
        )
    depth = depth_of(body)
    if depth > DEPTH:
        raise Problem(
            400,
            f"the body has {depth} arrays and objects within one another: at most {DEPTH} are read",
            code="too_deep",
        )


class TooLarge(Problem):
    """A body with more bytes than are read."""

    def __init__(self, most: int):
        super().__init__(
            413,
            f"the body has more than {most:,} bytes: send less, or start the server with a larger "
            "max_body",
            code="body_too_large",
        )


async def read_body(receive: Receive, most: int) -> bytes | None:
    """Return a whole body, None if the client went away. Raises Problem 413 beyond `most` bytes."""
    found = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        found += message.get("body", b"")
        if len(found) > most:
            raise TooLarge(most)
        if not message.get("more_body", False):
            return bytes(found)


def replayed(body: bytes, receive: Receive) -> Receive:
    """Return a receiver that gives a body that was read, and then what follows."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
