"""The application: models behind one address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from unmask.server.operations import Operations, watch_over
from unmask.server.problems import Problem
from unmask.server.routes import health
from unmask.server.served import Served
from unmask.server.settings import Settings


class House:
    """What routes know: models by name, the first of them the default, and settings."""

    def __init__(self, models: Sequence[Served], settings: Settings):
        self.models = {each.name: each for each in models}
        self.settings = settings


def create_app(
    models: Sequence[Served], settings: Settings | None = None, operations: Operations | None = None
) -> FastAPI:
    """Return the application of models whose workers have begun."""
    app = FastAPI(title="unmask", docs_url="/docs", redoc_url=None)
    app.state.house = House(models, settings or Settings())
    watch_over(app, app.state.house.settings, operations or Operations())
    for module in (health,):
        app.include_router(module.router)

    @app.exception_handler(Problem)
    async def _told(_: Request, problem: Problem) -> JSONResponse:
        return JSONResponse(problem.body, problem.status, problem.headers)

    return app


def house_of(request: Request) -> House:
    """Return what a request's application knows."""
    house: Any = request.app.state.house
    assert isinstance(house, House)
    return house
