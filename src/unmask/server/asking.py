"""From the fields of a body to a strategy, and to the request of a text model."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from inspect import signature
from typing import Any

from unmask.core.checks import is_integer
from unmask.core.network import DenoiserSpec
from unmask.core.random import SEED_LIMIT
from unmask.decoding import Strategy
from unmask.errors import InputError, LogitsError, ModelError, StrategyError
from unmask.guidance import Guidance, HidePrompt, NullCondition
from unmask.presets import by_name
from unmask.server.problems import Problem
from unmask.server.settings import Settings
from unmask.server.wire.chat import ChatRequest
from unmask.server.wire.completions import CompletionRequest
from unmask.server.wire.decoding import Decoding
from unmask.server.wire.fields import MOST
from unmask.server.wire.score import ScoreRequest
from unmask.server.wire.texts import Texts
from unmask.stopping import Budget
from unmask.text import TextModel
from unmask.text.inputs import messages_of
from unmask.text.prompts import Row
from unmask.text.request import TextRequest
from unmask.text.structured import Structure

COMPLETION, ANSWER = 16, 256
"""Tokens of a completion and of an answer where nothing is said; the first is OpenAI's."""
_FIELDS = {"steps": "steps", "block": "block_length", "threshold": "threshold"}
_COUNTS = ("steps", "block_length")
_IDS, _SIDES = ("end_id",), ("height", "width")
_OPTION = re.compile(r"(\w+)=")  # as errors write options
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
        chosen = built(asked, name, given, spec)
        rest = {key: value for key, value in sampling.items() if key not in takes}
    rest |= _bias(asked, spec)
    if rest:
        chosen = chosen.but(sampling=replace(chosen.sampling, **rest))
    said = asked.preset or asked.max_forwards or asked.cfg_scale or asked.logit_bias
    nothing = not (said or options or sampling)
    return None if nothing else _bounded(_guided(chosen, asked, null), asked)


def built(
    asked: Decoding | ScoreRequest, name: str, options: Mapping[str, Any], spec: DenoiserSpec
) -> Strategy:
    """Return a preset with options. Raises a Problem that names the field it is about."""

    def spelling(key: str, value: Any) -> str:
        return f"{_field(asked, key)}={value!r}"

    try:
        return by_name.build(name, options, grid=spec.grid, spelling=spelling)
    except (TypeError, ValueError, OverflowError) as error:  # InputError among them
        told = str(error)
        if not isinstance(error, InputError):
            told = f"preset {name!r} takes no such options as {dict(options)!r:.200}: {told}"
        fields = {key: _field(asked, key) for key in options}
        fields |= {field: field for field in fields.values()}
        named = [fields[each] for each in _OPTION.findall(told) if each in fields]
        raise Problem(400, told, param=named[0] if named else "preset") from error


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


def _field(asked: Decoding | ScoreRequest, name: str) -> str:
    """Return the name of the field that has an option of a preset."""
    field = _FIELDS.get(name, name)
    return name if getattr(asked, field, None) is None else field


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
    """Raise a Problem for more rows, steps or numbers in options than the server allows."""
    if rows > settings.max_n:
        raise Problem(400, f"{rows} rows: this server gives {settings.max_n} at most", param="n")
    check_options({**asked.options, **_given(asked, {n: n for n in _COUNTS})}, settings)


def check_options(options: Mapping[str, Any], settings: Settings) -> None:
    """Raise a Problem for steps, or whole numbers, of a preset that the server does not allow.

    Whole numbers are of steps, passes and positions, which take time and memory.
    """
    for name, value in options.items():
        most = settings.max_steps
        if "steps" not in name:
            most = MOST if name in _IDS else max(most, settings.max_length)
        counts = value if isinstance(value, list) else [value]
        if any(is_integer(each) and abs(each) > most for each in counts):
            what = f"{name}={value!r:.80}: this server takes {most} at most"
            raise Problem(400, what, param=name)
    sides = [value for name, value in options.items() if name in _SIDES and is_integer(value)]
    if len(sides) > 1 and sides[0] * sides[1] > settings.max_length:
        what = f"a grid of {sides[0]} by {sides[1]}: this server takes {settings.max_length} cells"
        raise Problem(400, what, param="height")


def completions_of(
    model: TextModel, asked: CompletionRequest, seed: int, settings: Settings
) -> TextRequest:
    """Return the request of texts that go on, or between two; the rows of a prompt beside it.

    Between two texts, passes of the network are made to find the number of tokens.
    """
    check_limits(asked, len(asked.prompt) * asked.rows_each, settings)
    options = _text_options(model, asked, seed, asked.rows_each)
    if asked.suffix:
        [prompt] = asked.prompt
        given = [*_tokens(model, str(prompt)), *_tokens(model, asked.suffix)]
        most = _most(model, asked, settings, [given], COMPLETION)
        with about(asked, "max_tokens"):
            return model.requests.between(str(prompt), asked.suffix, max_tokens=most, **options)
    most = _most(model, asked, settings, prompts_of(model, asked), COMPLETION)
    with about(asked, "max_tokens"):
        return model.requests.continuations(asked.prompt, most, **options)


def check_scoring(model: TextModel, asked: CompletionRequest, settings: Settings) -> None:
    """Raise a Problem for prompts that cannot be scored, as they stand, without a token behind."""
    check_limits(asked, len(asked.prompt) * asked.rows_each, settings)
    _text_options(model, asked, 0, asked.rows_each)
    _most(model, asked, settings, prompts_of(model, asked), COMPLETION)


def prompts_of(model: TextModel, asked: CompletionRequest) -> list[list[int]]:
    """Return the ids of each prompt, with those around it.

    Raises a Problem for ids that are none of the model's.
    """
    for each in asked.prompt:
        if not isinstance(each, str):
            _check_ids(each, model)
    return [_tokens(model, each) for each in asked.prompt]


def answer_of(model: TextModel, asked: ChatRequest, seed: int, settings: Settings) -> TextRequest:
    """Return the request of an answer to a talk."""
    check_limits(asked, asked.n, settings)
    options = _text_options(model, asked, seed, asked.n)
    messages = [{"role": each.role, "content": each.content} for each in asked.messages]
    ids = model.encoding.template(messages_of(messages), dict(model.template))
    most = _most(model, asked, settings, [ids], ANSWER)
    with about(asked, "max_tokens"):
        return model.requests.answer(messages, most, **options)


def _text_options(model: TextModel, asked: Texts, seed: int, rows: int) -> dict[str, Any]:
    with about(asked, "likeliest"):
        Structure.of(**asked.form)
    if asked.forms and asked.stop:
        form = asked.forms[0]
        what = f"stop={asked.stop!r:.80} cuts a text of which all must match {form}: leave it out"
        raise Problem(400, what, param="stop")
    strategy = strategy_of(asked, model.denoiser.spec, model.strategy)
    return {"n": rows, "seed": seed, "strategy": strategy, "stop": asked.stop, **asked.form}


@contextmanager
def about(asked: Texts, param: str) -> Iterator[None]:
    """Let errors of the library name a field: that of the form, where one is asked for.

    Those of strategies are about no field of texts.
    """
    try:
        yield
    except (StrategyError, LogitsError, ModelError):
        raise
    except InputError as error:
        raise Problem(400, str(error), param=next(iter(asked.forms), param)) from error


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
