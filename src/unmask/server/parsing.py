"""Bodies of requests as objects: JSON that says one thing, checked by its model on a thread."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Coroutine
from email.message import Message
from typing import Any, TypeVar, get_type_hints

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import ValidationError

from unmask.server.house import house_of
from unmask.server.problems import Problem
from unmask.server.refusals import problem_of_body
from unmask.server.wire.fields import Wire

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Body = TypeVar("Body", bound=Wire)
NO_OBJECT = "the body is no JSON object: send one, with the header Content-Type: application/json"


class Parsed(Request):
    """A request whose body is an object already."""

    content: Any = None

    async def json(self) -> Any:
        """Return the object."""
        return self.content


class Checked(APIRoute):
    """A route whose argument `body` is made on a thread: a body may be megabytes of numbers."""

    def get_route_handler(self) -> Handler:
        """Return what answers a request."""
        handle, kind = super().get_route_handler(), get_type_hints(self.endpoint)["body"]

        async def checked(request: Request) -> Response:
            given = Parsed(request.scope, request.receive)
            text = await given.body()
            if not text or not is_json(given.headers.get("content-type", "")):
                raise Problem(400, NO_OBJECT)
            given.content = await house_of(request).compute(body_of, kind, text)
            return await handle(given)

        return checked


def is_json(content_type: str) -> bool:
    """Return whether a header says that a body is JSON."""
    message = Message()
    message["content-type"] = content_type
    kind = message.get_content_subtype()
    is_application = message.get_content_maintype() == "application"
    return is_application and (kind == "json" or kind.endswith("+json"))


def body_of(kind: type[Body], text: bytes) -> Body:
    """Return the body of a JSON text. Raises Problem 400 for what is wrong with it first."""
    given = value_of(text)
    if not isinstance(given, dict):
        raise Problem(400, NO_OBJECT)
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise problem_of_body(error.errors(include_url=False, include_input=False)) from error


def value_of(text: bytes) -> Any:
    """Return the value of a JSON text.

    Raises Problem 400 for what is no JSON, for NaN and infinite numbers, which JSON has not, and
    for an object that has a name twice, of which one value would be ignored.
    """
    try:
        return json.loads(
            text.decode(), parse_constant=_constant, parse_float=_number, object_pairs_hook=_object
        )
    except json.JSONDecodeError as error:
        what = f"the body is no JSON: {error.msg} at character {error.pos}"
        raise Problem(400, what, code="invalid_json") from error
    except ValueError as error:  # of whole numbers
        what = "the body has a whole number of thousands of digits: no field takes one"
        raise Problem(400, what, code="invalid_json") from error


def _constant(name: str) -> Any:
    raise Problem(400, f"the body has {name}, which is no JSON: pass a number", code="invalid_json")


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        what = f"the body has {text:.40}, which is beyond all numbers: pass a smaller one"
        raise Problem(400, what, code="invalid_json")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        what = f"the body has {twice!r:.80} twice within one object: pass it once"
        raise Problem(400, what, param=f"{twice:.80}", code="duplicate_field")
    return found
