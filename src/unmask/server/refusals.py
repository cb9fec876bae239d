"""Errors of all routes, in OpenAI's form."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from unmask.errors import UnmaskError
from unmask.server.problems import Problem, problem_of
from unmask.server.tracing import trace_of

log = logging.getLogger("unmask.server")


def install(app: FastAPI) -> None:
    """Let an application answer each error by its problem."""

    @app.exception_handler(Problem)
    async def _problem(request: Request, problem: Problem) -> JSONResponse:
        trace_of(request).note(problem.status, problem.__cause__)
        return _told(problem)

    @app.exception_handler(UnmaskError)
    async def _of_the_library(_: Request, error: UnmaskError) -> JSONResponse:
        return _told(problem_of(error))

    @app.exception_handler(HTTPException)
    async def _of_http(request: Request, error: HTTPException) -> JSONResponse:
        where = f"{request.method} {request.url.path}"
        problem = Problem(error.status_code, f"{where}: {error.detail}")
        return JSONResponse(problem.body, problem.status, error.headers)

    @app.exception_handler(Exception)
    async def _unforeseen(_: Request, error: Exception) -> JSONResponse:
        log.error("a request failed", exc_info=error)
        return _told(problem_of(error))


def problem_of_body(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """Return the problem of a body that does not fit, by the first thing that is wrong with it."""
    first = errors[0]
    context = first.get("ctx") or {}
    place = [str(part) for part in first["loc"] if part != "body"]
    if first["type"] == "refused":
        return Problem(400, context["message"], param=".".join([*place, *context["param"]]))
    param = ".".join(place)
    return Problem(400, f"{param}: {first['msg']}", param=param or None)


def _told(problem: Problem) -> JSONResponse:
    return JSONResponse(problem.body, problem.status, problem.headers)
