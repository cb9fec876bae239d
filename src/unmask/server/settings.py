"""Settings of a server, from its options or a TOML file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """What a server allows. Times are in seconds.

    max_rows, max_tokens, max_queue: of each model's worker (`Worker`). timeout: of a request.
    grace: of requests at hand when the server ends. max_body: bytes of a request; max_n: rows of
    one; max_length: positions of a row; max_steps: steps of one. cors: origins whose pages may call
    the server.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    api_key: str | None = None
    max_rows: int = 64
    max_tokens: int | None = None
    max_queue: int = 256
    timeout: float = 600.0
    grace: float = 30.0
    cors: tuple[str, ...] = ()
    log_level: str = "info"
    max_body: int = 4 * 2**20
    max_n: int = 128
    max_length: int = 16_384
    max_steps: int = 16_384
