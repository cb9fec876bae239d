"""Whether the server is alive, and whether it takes requests."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(tags=["health"])


@router.get("/health")
async def health() -> dict[str, str]:
    """Say that the event loop runs."""
    return {"status": "ok"}
