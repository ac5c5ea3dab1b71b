"""Answers too long to be made whole: sent in pieces as they are made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import zstandard
from isal import isal_zlib
from litestar.types import Receive, Scope, Send

from homing.server.answers import RawJson
from homing.server.edge import best_encoding

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
        small = _Smaller(scope)
        headers += small.headers
        await send(start)
        await send({"type": "http.response.body", "body": small.piece(b"".join(held)), "more_body": True})
        held.clear()
        async for piece in self.pieces:
            await send({"type": "http.response.body", "body": small.piece(piece), "more_body": True})
        await send({"type": "http.response.body", "body": small.end(), "more_body": False})


class _Smaller:
    """Compresses a stream as the client takes it. What a piece holds is sent with it: phones show rows as they come."""

    def __init__(self, scope: Scope) -> None:
        asked = next((value for name, value in scope["headers"] if name == b"accept-encoding"), b"")
        encoding = best_encoding(asked)
        self.headers = [(b"vary", b"accept-encoding")]
        if encoding is not None:
            self.headers.append((b"content-encoding", encoding))
        self._zstd = zstandard.ZstdCompressor(level=1).compressobj() if encoding == b"zstd" else None
        self._gzip = isal_zlib.compressobj(level=1, wbits=31) if encoding == b"gzip" else None

    def piece(self, text: bytes) -> bytes:
        if self._zstd is not None:
            return self._zstd.compress(text) + self._zstd.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        if self._gzip is not None:
            made: bytes = self._gzip.compress(text) + self._gzip.flush(isal_zlib.Z_SYNC_FLUSH)
            return made
        return text

    def end(self) -> bytes:
        if self._zstd is not None:
            return self._zstd.flush()
        if self._gzip is not None:
            made: bytes = self._gzip.flush()
            return made
        return b""
