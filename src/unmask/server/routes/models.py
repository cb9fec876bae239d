"""The models that are served, and what they can do."""

from __future__ import annotations

from functools import cache
from typing import Any

from fastapi import APIRouter, Request

from unmask.presets import by_name
from unmask.server.document import LOOKING, answers
from unmask.server.house import house_of
from unmask.server.served import Served
from unmask.server.wire.answers import ModelEntry, ModelList
from unmask.text import TextModel
from unmask.text.encoding import TokenizerEncoding

router = APIRouter(tags=["models"])


@router.get("/v1/models", response_model=None, responses=answers(ModelList, errors=LOOKING))
async def models(request: Request) -> dict[str, Any]:
    """List the models; the first of them is the default."""
    every = house_of(request).models.values()
    return {"object": "list", "data": [model_entry(each) for each in every]}


@router.get(
    "/v1/models/{name:path}",
    response_model=None,
    responses=answers(ModelEntry, errors=LOOKING),
)
async def model(name: str, request: Request) -> dict[str, Any]:
    """Describe a model."""
    return model_entry(house_of(request).model(name))


def model_entry(served: Served) -> dict[str, Any]:
    """Return OpenAI's entry of a model, with what it can do under "unmask"."""
    spec, layout, card = served.denoiser.spec, served.layout, served.card
    classes = None if card is None else card.classes
    about = {
        "kind": _kind(served),
        "vocab_size": spec.vocab_size,
        "mask_id": spec.mask_id,
        "length": spec.default_length,
        "max_length": spec.max_length,
        "layout": None if layout is None else layout.to_dict(),
        "presets": [
            {"name": name, "options": options} for name, options in usual_presets(spec.grid)
        ],
        "preset": _recommended(served),
        "conditions": None if classes is None else {"classes": classes},
        "chat": served.text is not None and _talks(served.text),
    }
    named = {"id": served.name, "object": "model", "created": served.created}
    return {**named, "owned_by": "unmask", "unmask": about}


def _kind(served: Served) -> str:
    if served.text is not None:
        return "text"
    known = served.layout is not None and served.layout.kind in ("image", "board")
    return served.layout.kind if known and served.layout is not None else "ids"


@cache
def usual_presets(grid: tuple[int, int] | None) -> list[tuple[str, dict[str, Any]]]:
    """Return the presets that need no options but a grid, if there is one, and their defaults."""
    every = by_name.known().items()
    return [(name, by_name.defaults(make)) for name, make in every if not by_name.needs(make, grid)]


def _recommended(served: Served) -> dict[str, Any] | None:
    """Return the preset of requests that name none; None for a strategy of the model's own."""
    if served.text is not None and served.text.strategy is not None:
        return None
    name, options = by_name.name_and_options(served.denoiser.spec.recommended)
    return {"name": name, **options}


def _talks(model: TextModel) -> bool:
    encoding = model.encoding
    return isinstance(encoding, TokenizerEncoding) and bool(encoding.backend.chat_template)
