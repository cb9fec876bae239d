"""The forms of answers, for the document at /openapi.json; a test holds answers against it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Reason = Literal["stop", "length"]


class Told(BaseModel):
    """An answer, or a part of one."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Wrong(Told):
    """What is wrong with a request. param: the field that it is about."""

    message: str
    type: str
    param: str | None
    code: str | None


class Failure(Told):
    """An answer that is an error, as OpenAI's."""

    error: Wrong


class Status(Told):
    """The state of the server, in a word or two."""

    status: str


class Spent(Told):
    """What an answer cost; denoising_steps and forwards are of all its rows."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    denoising_steps: int
    forwards: int
    tokens_per_forward: float


class Record(Told):
    """How a row came about: the step that committed each token, and its log-probability."""

    commit_step: list[int]
    logprob: list[float]
    forwards: int
    steps: int


class Choice(Told):
    """A row. record: with return_record."""

    index: int
    finish_reason: Reason
    record: Record | None = None


class Head(Told):
    """What answers about rows begin with."""

    id: str
    created: int
    model: str
    seed: int
    usage: Spent


class CompletionLogprobs(Told):
    """Log-probabilities of the tokens of a completion, in nats; -9999 stands for minus infinity."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]] | None
    text_offset: list[int]


class CompletionChoice(Choice):
    """A text that goes on."""

    text: str
    logprobs: CompletionLogprobs | None


class CompletionAnswer(Head):
    """The answer of /v1/completions."""

    object: Literal["text_completion"]
    choices: list[CompletionChoice]


class ChatToken(Told):
    """A token of a message."""

    token: str
    logprob: float
    bytes: list[int]


class ChatEntry(ChatToken):
    """A token of a message, and the likeliest at its place."""

    top_logprobs: list[ChatToken]


class ChatLogprobs(Told):
    """Log-probabilities of the tokens of a message."""

    content: list[ChatEntry]
    refusal: None


class ChatMessage(Told):
    """A message of the model."""

    role: Literal["assistant"]
    content: str
    refusal: None


class ChatChoice(Choice):
    """An answer to a talk."""

    message: ChatMessage
    logprobs: ChatLogprobs | None


class ChatAnswer(Head):
    """The answer of /v1/chat/completions."""

    object: Literal["chat.completion"]
    choices: list[ChatChoice]


class Alternative(Told):
    """One of the likeliest ids at a position; text is null where ids are none."""

    token: int
    text: str | None
    logprob: float


class InfillChoice(Choice):
    """A row whose unknown positions are filled in. alternatives: with top_logprobs."""

    tokens: list[int]
    text: str | None
    grid: list[list[int]] | None
    logprob: float
    alternatives: list[list[Alternative] | None] | None = None


class InfillAnswer(Head):
    """The answer of /v1/infill."""

    object: Literal["infill"]
    preset: str
    choices: list[InfillChoice]


class ScoreAnswer(Told):
    """How likely a row is, in nats; null where a number is not known or infinite."""

    object: Literal["score"]
    model: str
    seed: int
    nats: float | None
    nats_per_token: float | None
    standard_error: float | None
    bits_per_token: float | None
    tokens: int
    kind: str


class PresetEntry(Told):
    """A preset, and the defaults of its options."""

    name: str
    options: dict[str, Any]


class Abilities(Told):
    """What a model can do. preset: of requests that name none."""

    kind: Literal["text", "image", "board", "ids"]
    vocab_size: int
    mask_id: int | None
    length: int | None
    max_length: int | None
    layout: dict[str, Any] | None
    presets: list[PresetEntry]
    preset: dict[str, Any] | None
    conditions: dict[str, int] | None
    chat: bool


class ModelEntry(Told):
    """A model that is served."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    unmask: Abilities


class ModelList(Told):
    """The models that are served, the default first."""

    object: Literal["list"]
    data: list[ModelEntry]
