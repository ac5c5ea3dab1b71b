"""Answers that are JSON already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar.types import Receive, Scope, Send


class RawJson:
    """A 200 whose body is bytes that somebody else made: PostgreSQL, mostly. The shortest way out.

    A handler that is annotated ``-> RawJson`` names its answer for the API's page with ``answer=`` (see routing.py).
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, body: bytes, *, status: int = 200, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        self.body = body
        self.status = status
        self.headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's shape
        start: Any = {
            "type": "http.response.start",
            "status": self.status,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(self.body)).encode()),
                *self.headers,
            ],
        }
        await send(start)
        await send({"type": "http.response.body", "body": self.body, "more_body": False})
