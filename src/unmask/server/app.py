"""The application: models behind one address."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI

from unmask.server import refusals
from unmask.server.document import describe
from unmask.server.house import House, house_of
from unmask.server.operations import Operations, watch_over
from unmask.server.routes import chat, completions, fim, health, infill, models, page, score
from unmask.server.served import Served
from unmask.server.settings import Settings

__all__ = ["House", "create_app", "house_of"]


def create_app(
    models_: Sequence[Served],
    settings: Settings | None = None,
    operations: Operations | None = None,
) -> FastAPI:
    """Return the application of models whose workers have begun."""
    app = FastAPI(title="unmask", docs_url="/docs", redoc_url=None)
    app.state.house = House(models_, settings or Settings())
    watch_over(app, app.state.house.settings, operations or Operations())
    for module in (health, models, completions, fim, chat, infill, score, page):
        app.include_router(module.router)
    refusals.install(app)
    describe(app)
    return app
