"""Settings of a server: what may be set, and the values that it may have."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, fields
from typing import Any, get_args, get_type_hints

from unmask.errors import InputError, nearest

DTYPES = ("auto", "bfloat16", "float16", "float32")
LEVELS = ("debug", "info", "warning", "error")
_ORIGIN = re.compile(r"https?://[^/\s?#]+")
_KEY = re.compile(r"[!-~]+")


@dataclass(frozen=True)
class Settings:
    """What a server allows. Times are in seconds. Raises InputError for values that cannot work.

    port: 0 for a free one. max_rows, max_tokens, max_queue: of each model's worker (`Worker`).
    timeout: of a request. grace: of requests at hand when the server ends. stall: in which a client
    takes nothing of its answer, after which it is cut off. max_body: bytes of a request; max_n:
    rows of one; max_length: positions of a row; max_steps: steps of one. cors: origins whose pages
    may call the server. dtype, device_map: as of `unmask.load`, of all models.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    api_key: str | None = field(default=None, repr=False)
    max_rows: int = 64
    max_tokens: int | None = None
    max_queue: int = 256
    timeout: float = 600.0
    grace: float = 30.0
    stall: float = 30.0
    cors: tuple[str, ...] = ()
    log_level: str = "info"
    max_body: int = 4 * 2**20
    max_n: int = 128
    max_length: int = 16_384
    max_steps: int = 16_384
    dtype: str | None = None
    device_map: str | None = None

    @property
    def loading(self) -> dict[str, str]:
        """The arguments of `unmask.load` that are said."""
        given = {"dtype": self.dtype, "device_map": self.device_map}
        return {name: value for name, value in given.items() if value is not None}

    def __post_init__(self) -> None:
        for name, kinds in KINDS.items():
            value = getattr(self, name)
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise _wrong(name, value, f"a {_words(kinds)}")
        if not self.host.strip():
            raise _wrong("host", self.host, "an address or a name")
        if not 0 <= self.port <= 65535:
            raise _wrong("port", self.port, "0 to 65535, and 0 means any that is free")
        for name in ("max_rows", "max_tokens", "max_body", "max_n", "max_length", "max_steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise _wrong(name, value, "1 or more")
        if self.max_queue < 0:
            raise _wrong("max_queue", self.max_queue, "0 or more")
        for name, zero in (("timeout", False), ("stall", False), ("grace", True)):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
                least = "0 or more" if zero else "more than 0"
                raise _wrong(name, value, f"a number of seconds, {least}")
        if self.log_level not in LEVELS:
            raise InputError(f"{option('log_level')}: {nearest(self.log_level, LEVELS)}")
        if self.api_key is not None and not _KEY.fullmatch(self.api_key):
            raise InputError(
                "the API key is empty, or has spaces or other characters than visible ASCII, which "
                'no header carries: type one such as --api-key "$KEY", after '
                "KEY=$(openssl rand -hex 24)"
            )
        if self.dtype is not None and self.dtype not in DTYPES:
            raise InputError(f"{option('dtype')}: {nearest(self.dtype, DTYPES)}")
        if self.device_map is not None and not self.device_map.strip():
            raise _wrong("device_map", self.device_map, "a device, or auto")
        for origin in self.cors:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise _wrong("cors", origin, "scheme, host and port of a page, without a path")


_HINTS: dict[str, Any] = get_type_hints(Settings)
KINDS: dict[str, tuple[type, ...]] = {
    name: {float: (float, int), tuple[str, ...]: (tuple,)}.get(hint, get_args(hint) or (hint,))
    for name, hint in _HINTS.items()
}
EXAMPLES = {each.name: each.default for each in fields(Settings)} | {
    "api_key": "KEY",
    "max_tokens": 4096,
    "cors": "https://app.example",
    "dtype": "bfloat16",
    "device_map": "cuda:0",
}


def option(name: str) -> str:
    """Return the option of the command line that sets a setting, or its line in a file."""
    return (
        f"--{name.replace('_', '-')}" if name in OPTIONS else f"in the file of --config: {name} ="
    )


OPTIONS = (
    "host", "port", "api_key", "max_rows", "max_tokens", "max_queue", "timeout", "grace", "cors",
    "log_level", "dtype", "device_map",
)  # fmt: skip


def _wrong(name: str, value: object, words: str) -> InputError:
    return InputError(f"{name} = {value!r} is not {words}: type {option(name)} {EXAMPLES[name]}")


def _words(kinds: tuple[type, ...]) -> str:
    names = {int: "whole number", float: "number", str: "text", tuple: "list of texts"}
    return "number" if float in kinds else names[kinds[0]]
