"""The page: a browser's view of the models, at `/`, with its files at `/page/`."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import PurePosixPath

from fastapi import APIRouter, Request, Response

from unmask.server.problems import Problem

router = APIRouter(include_in_schema=False)

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
"""What the page may load: files of this server, and nothing that stands in its markup."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@cache
def assets() -> dict[str, tuple[bytes, str]]:
    """Return the content and the tag of each file of the page, by its name."""
    found = files("unmask.server").joinpath("page").iterdir()
    read = {each.name: each.read_bytes() for each in found if _kind(each.name) in TYPES}
    return {name: (body, f'"{sha256(body).hexdigest()[:20]}"') for name, body in read.items()}


@router.get("/")
def page(request: Request) -> Response:
    """Return the page."""
    return _answer(request, "index.html")


@router.get("/page/{name}")
def asset(request: Request, name: str) -> Response:
    """Return a file of the page. Only those that it has are looked up, so no path leads out."""
    return _answer(request, name)


def _answer(request: Request, name: str) -> Response:
    if name not in assets():
        raise Problem(404, f"the page has no file {name!r}", code="not_found")
    body, tag = assets()[name]
    headers = {**HEADERS, "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=TYPES[_kind(name)], headers=headers)


def _kind(name: str) -> str:
    return PurePosixPath(name).suffix
