"""From the fields of a body to a strategy, and to the request of a text model."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from inspect import signature
from typing import Any

from unmask.core.network import DenoiserSpec
from unmask.core.random import SEED_LIMIT
from unmask.decoding import Strategy
from unmask.errors import StrategyError
from unmask.guidance import Guidance, HidePrompt, NullCondition
from unmask.presets import by_name
from unmask.server.problems import Problem
from unmask.server.settings import Settings
from unmask.server.wire.chat import ChatRequest
from unmask.server.wire.completions import CompletionRequest
from unmask.server.wire.decoding import Decoding
from unmask.server.wire.texts import Texts
from unmask.stopping import Budget
from unmask.text import TextModel
from unmask.text.inputs import messages_of, text_of
from unmask.text.prompts import Row
from unmask.text.request import TextRequest

COMPLETION, ANSWER = 16, 256
"""Tokens of a completion and of an answer where nothing is said; the first is OpenAI's."""
_FIELDS = {"steps": "steps", "block": "block_length", "threshold": "threshold"}
_SAMPLING = ("temperature", "top_p", "top_k", "min_p")

Null = float | HidePrompt | NullCondition


def strategy_of(
    asked: Decoding, spec: DenoiserSpec, own: Strategy | None = None, null: Null | None = None
) -> Strategy | None:
    """Return the strategy of these fields, None for what the model does where nothing is said.

    own: the model's strategy where it has one that is no preset. null: as of `Guidance`, by default
    the hidden prompt. Raises StrategyError for what the preset does not take.
    """
    options = _options(asked)
    sampling = _given(asked, {name: name for name in _SAMPLING})
    if asked.preset is None and own is not None and not options:
        chosen, rest = own, sampling
    else:
        if asked.preset is None and own is not None:
            raise StrategyError(
                f"{', '.join(options)}: the model has a strategy of its own, {own.name!r}, which "
                "takes no options: pass a preset, too"
            )
        name, base = asked.preset, dict[str, Any]()
        if name is None:
            name, base = by_name.name_and_options(spec.recommended)
        preset = by_name.known().get(name)
        takes = () if preset is None else signature(preset).parameters
        direct = {key: value for key, value in sampling.items() if key in takes}
        given = {**base, **options, **direct}
        chosen = by_name.build(name, given, grid=spec.grid, spelling=_spelt(asked))
        rest = {key: value for key, value in sampling.items() if key not in takes}
    rest |= _bias(asked, spec)
    if rest:
        chosen = chosen.but(sampling=replace(chosen.sampling, **rest))
    said = asked.preset or asked.max_forwards or asked.cfg_scale or asked.logit_bias
    nothing = not (said or options or sampling)
    return None if nothing else _bounded(_guided(chosen, asked, null), asked)


def _bias(asked: Decoding, spec: DenoiserSpec) -> dict[str, Any]:
    """Return the bias of ids as an option of `Sampling`. Raises a Problem for ids that are none."""
    outside = [token for token in asked.logit_bias or () if token >= spec.vocab_size]
    if outside:
        what = f"logit_bias is of the id {outside[0]}: the ids are 0 to {spec.vocab_size - 1}"
        raise Problem(400, what, param="logit_bias")
    return {"bias": asked.logit_bias} if asked.logit_bias else {}


def with_alternatives(rows: TextRequest, count: int | None) -> TextRequest:
    """Return a request whose steps tell so many of the likeliest ids of each position."""
    if not count:
        return rows
    plans = [replace(p, strategy=p.strategy.but(alternatives=count)) for p in rows.plans]
    return replace(rows, plans=plans)


def _options(asked: Decoding) -> dict[str, Any]:
    """Return the options of a preset that are asked for, by their names there."""
    named = _given(asked, _FIELDS)
    for name in named.keys() & asked.options.keys():
        raise StrategyError(f"{_FIELDS[name]} and options.{name} are both given: pass one of them")
    for name in asked.options.keys() & {*_SAMPLING}:
        if getattr(asked, name) is not None:
            raise StrategyError(f"{name} and options.{name} are both given: pass one of them")
    return {**asked.options, **named}


def _given(asked: Decoding, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields that are not null, by other names."""
    found = {name: getattr(asked, field) for name, field in names.items()}
    return {name: value for name, value in found.items() if value is not None}


def _spelt(asked: Decoding) -> Callable[[str, Any], str]:
    """Return how errors write an option of a preset: by the name of its field."""

    def spelling(name: str, value: Any) -> str:
        field = _FIELDS.get(name, name)
        field = name if getattr(asked, field, None) is None else field
        return f"{field}={value!r}"

    return spelling


def _guided(chosen: Strategy, asked: Decoding, null: Null | None) -> Strategy:
    if not asked.cfg_scale:
        return chosen
    if chosen.guidance is not None:
        raise StrategyError("cfg_scale and the preset's guidance are both given: pass one of them")
    hidden = HidePrompt() if null is None else null
    return chosen.but(guidance=Guidance(asked.cfg_scale, "from_conditional", hidden))


def _bounded(chosen: Strategy, asked: Decoding) -> Strategy:
    if asked.max_forwards is None:
        return chosen
    return chosen.but(stopping=(*chosen.stopping, Budget(asked.max_forwards)))


def seed_of(asked: Decoding) -> int:
    """Return the seed of a request, drawn where it names none."""
    return secrets.randbelow(SEED_LIMIT) if asked.seed is None else asked.seed


def check_limits(asked: Decoding, rows: int, settings: Settings) -> None:
    """Raise a Problem for more rows or steps than the server allows."""
    if rows > settings.max_n:
        raise Problem(400, f"{rows} rows: this server gives {settings.max_n} at most", param="n")
    for name in ("steps", "later_steps"):
        steps = getattr(asked, name, None) or asked.options.get(name)
        counts = steps if isinstance(steps, list) else [steps]
        if any(isinstance(each, int) and each > settings.max_steps for each in counts):
            most = settings.max_steps
            raise Problem(400, f"{name}={steps}: this server takes {most} at most", param=name)


def completions_of(
    model: TextModel, asked: CompletionRequest, seed: int, settings: Settings
) -> TextRequest:
    """Return the request of texts that go on, or between two; the rows of a prompt beside it.

    Between two texts, passes of the network are made to find the number of tokens.
    """
    check_limits(asked, len(asked.prompt) * asked.rows_each, settings)
    options = _text_options(model, asked, seed, asked.rows_each)
    for each in asked.prompt:
        if isinstance(each, str):
            text_of("prompt", each)
        else:
            _check_ids(each, model)
    text_of("suffix", asked.suffix or "")
    if asked.suffix:
        [prompt] = asked.prompt
        given = [*_tokens(model, str(prompt)), *_tokens(model, asked.suffix)]
        most = _most(model, asked, settings, [given], COMPLETION)
        return model.requests.between(str(prompt), asked.suffix, max_tokens=most, **options)
    rows = [_tokens(model, each) for each in asked.prompt]
    most = _most(model, asked, settings, rows, COMPLETION)
    return model.requests.continuations(asked.prompt, most, **options)


def answer_of(model: TextModel, asked: ChatRequest, seed: int, settings: Settings) -> TextRequest:
    """Return the request of an answer to a talk."""
    check_limits(asked, asked.n, settings)
    options = _text_options(model, asked, seed, asked.n)
    messages = [{"role": each.role, "content": each.content} for each in asked.messages]
    ids = model.encoding.template(messages_of(messages), dict(model.template))
    most = _most(model, asked, settings, [ids], ANSWER)
    return model.requests.answer(messages, most, **options)


def _text_options(model: TextModel, asked: Texts, seed: int, rows: int) -> dict[str, Any]:
    strategy = strategy_of(asked, model.denoiser.spec, model.strategy)
    return {"n": rows, "seed": seed, "strategy": strategy, "stop": asked.stop, **asked.form}


def _tokens(model: TextModel, prompt: str | list[int]) -> list[int]:
    before, after = model.encoding.around
    ids = model.encoding.encode(prompt) if isinstance(prompt, str) else prompt
    return [*before, *ids, *after]


def _most(
    model: TextModel, asked: Texts, settings: Settings, given: list[list[int]], usual: int
) -> int:
    """Return the most tokens of each text: those asked for, or the usual number if there is room.

    given: the tokens of each text that are known. Raises a Problem for texts that are too long.
    """
    spec, longest = model.denoiser.spec, max(map(len, given))
    room = settings.max_length
    if spec.max_length is not None:
        room = min(room, spec.max_length)
    if asked.most is not None:
        if longest + asked.most > settings.max_length:
            raise Problem(
                400,
                f"{longest} given tokens and max_tokens={asked.most}: this server takes "
                f"{settings.max_length} in all",
                param="max_tokens",
                code="context_length_exceeded",
            )
        return asked.most
    block = spec.block_size or 1
    if spec.block_origin == "prompt":
        return max(1, min(usual, (room - longest) // block * block))
    return max(1, min(usual, room // block * block - longest))


def _check_ids(ids: list[int], model: TextModel) -> None:
    spec = model.denoiser.spec
    for place, token in enumerate(ids):
        if not 0 <= token < spec.vocab_size:
            what = f"the ids of this model are 0 to {spec.vocab_size - 1}"
        elif token == spec.mask_id:
            what = "that is the mask id, which is no text: use /v1/infill for what is unknown"
        else:
            continue
        raise Problem(400, f"prompt has the id {token} at place {place}: {what}", param="prompt")


def given_tokens(row: Row) -> int:
    """Return the number of tokens of a row that are given."""
    return len(row.before) + len(row.after)
