"""A model that is served: its network, its text or layout, and its worker."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from unmask.core.network import Denoiser
from unmask.errors import ModelError
from unmask.models.checkpoint import Card, read_card
from unmask.models.loading import is_pretrained, load
from unmask.server.meter import Meter
from unmask.server.settings import Settings
from unmask.server.turns import InTurn, Turns
from unmask.server.worker import Worker
from unmask.text import TextModel
from unmask.viz import Layout


@dataclass(frozen=True)
class Served:
    """A model by the name that requests call it.

    denoiser: its passes wait for their turn beside the worker. text: None for a model of ids that
    are no text; layout: how its rows look, None where nothing says it. created: in seconds since
    1970.
    """

    name: str
    denoiser: Denoiser
    worker: Worker
    text: TextModel | None = None
    layout: Layout | None = None
    card: Card | None = None
    created: int = field(default_factory=lambda: int(time.time()))

    @classmethod
    def open(cls, model: str, settings: Settings, meter: Meter | None = None) -> Served:
        """Return a model of a name, a folder or a repository. Raises as `load` does."""
        card = None if is_pretrained(model) else read_card(model)
        loading: dict[str, Any] = settings.loading
        try:
            text: TextModel | None = TextModel.load(model, **loading)
        except ModelError:
            text = None
        network = load(model, **loading) if text is None else text.denoiser
        return cls.of(model, network, settings, text=text, card=card, meter=meter)

    @classmethod
    def of(
        cls,
        name: str,
        network: Denoiser,
        settings: Settings,
        *,
        text: TextModel | None = None,
        card: Card | None = None,
        meter: Meter | None = None,
    ) -> Served:
        """Return a network that is served, with its worker begun."""
        turns = Turns()
        worker = Worker(
            network,
            max_rows=settings.max_rows,
            max_tokens=settings.max_tokens,
            max_queue=settings.max_queue,
            turns=turns,
            meter=meter,
            name=name,
        )
        network = InTurn(network, turns)
        if text is not None:
            text = TextModel(
                network,
                text.encoding,
                strategy=text.strategy,
                end_ids=text.end_ids,
                template=text.template,
            )
        about = {} if card is None else card.about
        layout = Layout.from_dict(about["layout"]) if "layout" in about else None
        return cls(name, network, worker, text, layout, card)
