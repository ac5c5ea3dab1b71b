"""Answers too long to be made whole: sent in pieces as they are made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from litestar.types import Receive, Scope, Send

from homing.server.answers import RawJson

WHOLE_BYTES_MAX: Final = 256 * 2**10
"""An answer that turns out to be no longer than this is sent whole, with its length and compressed. What goes wrong
before is a problem document like any other; after it, only cutting the connection tells the client."""


class StreamedJson(RawJson):
    """A 200 of JSON from an iterator of pieces, where a handler may also answer with JSON that is whole."""

    __slots__ = ("pieces",)

    def __init__(self, pieces: AsyncIterator[bytes], *, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(b"", headers=headers)
        self.pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's shape
        headers = [(b"content-type", b"application/json"), *self.headers]
        start: Any = {"type": "http.response.start", "status": 200, "headers": headers}
        held: list[bytes] = []
        size = 0
        async for piece in self.pieces:
            held.append(piece)
            size += len(piece)
            if size > WHOLE_BYTES_MAX:
                break
        else:
            body = b"".join(held)
            headers.append((b"content-length", str(len(body)).encode()))
            await send(start)
            await send({"type": "http.response.body", "body": body, "more_body": False})
            return
        await send(start)
        await send({"type": "http.response.body", "body": b"".join(held), "more_body": True})
        held.clear()
        async for piece in self.pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
