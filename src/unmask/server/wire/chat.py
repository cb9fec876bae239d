"""The body of /v1/chat/completions."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator
from typing_extensions import TypedDict

from unmask.server.wire.fields import Listed, Wire, refused
from unmask.server.wire.texts import NOTHING, Texts


def content_of(given: Any) -> Any:
    """Return the text of content in parts. Parts of other kinds are refused."""
    if not isinstance(given, list):
        return given
    texts = list[str]()
    for part in given:
        known = isinstance(part, dict) and set(part) == {"type", "text"}
        if not (known and part["type"] == "text" and isinstance(part["text"], str)):
            kind = part.get("type") if isinstance(part, dict) else type(part).__name__
            raise refused(None, f"content of the type {kind!r} is not read: pass texts alone")
        texts.append(part["text"])
    if not texts:
        raise refused(None, "content is an empty list: pass a text")
    return "\n".join(texts)


Role = Literal["developer", "system", "user", "assistant"]


class TextPart(TypedDict):
    """A part of the content of a message."""

    type: Literal["text"]
    text: str


def role_of(given: Any) -> Any:
    """Return a role by the name that templates have for it."""
    return "system" if given == "developer" else given


class Message(Wire):
    """A message of a talk. role: "developer" is what OpenAI calls "system" since 2024."""

    neutral: ClassVar[dict[str, tuple[Any, ...]]] = {
        "name": (), "refusal": (), "audio": (), "function_call": (), "annotations": NOTHING,
        "tool_calls": NOTHING, "tool_call_id": (),
    }  # fmt: skip
    role: Annotated[
        Literal["system", "user", "assistant"],
        BeforeValidator(role_of, json_schema_input_type=Role),
    ]
    content: Annotated[
        str, BeforeValidator(content_of, json_schema_input_type=str | list[TextPart])
    ]


class ChatRequest(Texts):
    """An answer to a talk.

    logprobs: of the tokens that were chosen; top_logprobs: of so many likeliest at each place.
    """

    neutral: ClassVar[dict[str, tuple[Any, ...]]] = {
        **Texts.neutral,
        "tools": NOTHING,
        "tool_choice": ("none", "auto"),
        "parallel_tool_calls": (True, False),
        "functions": NOTHING,
        "function_call": ("none", "auto"),
        "modalities": (["text"],),
        "audio": (),
        "prediction": (),
        "reasoning_effort": (),
        "verbosity": (),
        "web_search_options": (),
    }
    messages: Listed[Message] = Field(min_length=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)

    @model_validator(mode="after")
    def _check_logprobs(self) -> ChatRequest:
        if self.top_logprobs is not None and not self.logprobs:
            raise refused("top_logprobs", "top_logprobs goes with logprobs=true")
        return self
