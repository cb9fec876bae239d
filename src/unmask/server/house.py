"""What routes know: models by name, settings, and the threads that compute for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import anyio
from fastapi import Request

from unmask.errors import nearest
from unmask.server.failures import QueueFull
from unmask.server.problems import Problem
from unmask.server.served import Served
from unmask.server.settings import Settings
from unmask.server.turns import Permit
from unmask.text import TextModel

Result = TypeVar("Result")
COMPUTING, COMPILING, TELLING, PASSING = 8, 2, 8, 4  # threads


class House:
    """Models by name, the first of them the default, and settings.

    The event loop computes nothing: tokenizing and reading is done by `compute`, compiling forms,
    which may take seconds, by `compile`, making answers and events by `tell`, what takes passes of
    a network beside the worker by `passes`, each on a bounded number of threads of its own, so that
    none holds up the others, or streams.
    """

    def __init__(self, models: Sequence[Served], settings: Settings):
        self.models = {each.name: each for each in models}
        self.settings = settings
        self._computing = anyio.CapacityLimiter(COMPUTING)
        self._compiling = anyio.CapacityLimiter(COMPILING)
        self._telling = anyio.CapacityLimiter(TELLING)
        self._passing = anyio.CapacityLimiter(PASSING)

    def model(self, name: str | None) -> Served:
        """Return the model of this name, the default for None. Raises a Problem for others."""
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            hint = nearest(name, self.models)
            what = f"no model {name!r} is served: {hint}"
            raise Problem(404, what, param="model", code="model_not_found")
        return self.models[name]

    def text_model(self, name: str | None) -> tuple[Served, TextModel]:
        """Return the model of this name, and its text. Raises a Problem for models of no text."""
        served = self.model(name)
        if served.text is None:
            what = f"{served.name!r} has ids that are no text: use /v1/infill"
            raise Problem(400, what, param="model")
        return served, served.text

    async def compute(self, function: Callable[..., Result], *given: Any) -> Result:
        """Call a function that reads a request on a thread."""
        return await anyio.to_thread.run_sync(function, *given, limiter=self._computing)

    async def compile(self, function: Callable[..., Result], *given: Any) -> Result:
        """Call a function that compiles a form on a thread."""
        return await anyio.to_thread.run_sync(function, *given, limiter=self._compiling)

    async def tell(self, function: Callable[..., Result], *given: Any) -> Result:
        """Call a function that makes an answer, or a part of one, on a thread."""
        return await anyio.to_thread.run_sync(function, *given, limiter=self._telling)

    async def passes(self, permit: Permit, function: Callable[..., Result], *given: Any) -> Result:
        """Call a function that takes passes of a network on a thread, as long as the permit lasts.

        Raises QueueFull if too many wait to do so.
        """
        waiting = self._passing.statistics().tasks_waiting
        if waiting >= self.settings.max_queue and self._passing.available_tokens < 1:
            raise QueueFull(f"{waiting} requests wait already: try again later")

        def permitted() -> Result:
            with permit.held():
                return function(*given)

        return await anyio.to_thread.run_sync(permitted, limiter=self._passing)


def house_of(request: Request) -> House:
    """Return what a request's application knows."""
    house: Any = request.app.state.house
    assert isinstance(house, House)
    return house
