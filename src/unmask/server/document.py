"""The OpenAPI document: answers and errors of each endpoint, as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unmask.server.wire.answers import Failure, Told

if TYPE_CHECKING:
    from fastapi import FastAPI

Responses = dict[int | str, dict[str, Any]]
ABOUT = (
    "Texts, images, boards and other rows of ids by iterative unmasking. Options of presets may "
    "stand in `options`, or beside the other fields."
)
ERRORS = {
    400: "a field, an option, or what the model cannot do",
    401: "the key is missing or wrong, where the server has one",
    404: "no such model or path",
    408: "not finished in time",
    413: "the body has more bytes than are read",
    429: "too many requests wait; Retry-After says how many seconds",
    500: "the network failed",
    503: "the server is loading or shutting down, or memory ran out for one row alone",
}
EVENT = {
    "type": "object",
    "properties": {"event": {"enum": ["message", "denoise"]}, "data": {"type": "string"}},
    "required": ["data"],
}
"""An event of a stream: its data is JSON, or [DONE]. Those without a name are called message."""
LOOKING = (401, 404, 503)
"""The errors of requests without a body."""


def answers(form: type[Told], *, streams: bool = False, errors: Any = tuple(ERRORS)) -> Responses:
    """Return the answers of an endpoint for the document. streams: whether it may be one."""
    told: dict[str, Any] = {"model": form, "description": "the answer"}
    if streams:
        told["description"] = "the answer, or with stream=true events (docs/http-api.md)"
        told["content"] = {"text/event-stream": {"itemSchema": EVENT}}
    found: Responses = {200: told}
    return found | {each: {"model": Failure, "description": ERRORS[each]} for each in errors}


def describe(app: FastAPI) -> None:
    """Let an application give its document, made when it is asked for first."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's way to change it


def _document(app: FastAPI) -> dict[str, Any]:
    """Return the document without the answer 422, which FastAPI adds and no route gives."""
    from fastapi.openapi.utils import get_openapi

    found = get_openapi(title=app.title, version=app.version, description=ABOUT, routes=app.routes)
    for operations in found["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        found.get("components", {}).get("schemas", {}).pop(name, None)
    return found
