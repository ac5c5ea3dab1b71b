"""What happens to every request at the edge, before routing and after the answer is made.

Only canonical paths go in: what several spellings reach, somebody's proxy rules miss. On the way out: the headers that
keep browsers from guessing and caches from keeping, compression where it was asked for and pays, and the metrics.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import lru_cache
from time import perf_counter
from typing import Any

import zstandard
from isal import igzip
from litestar.types import Receive, Scope, Send

from homing.protocol.errors import Problem
from homing.server.metrics import Metrics
from homing.server.problems import MEDIA_TYPE, body_of

COMPRESS_BYTES_MIN = 1024
"""A smaller answer fits into one packet anyway."""

DEFAULT_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""Sent unless the answer has its own: pages and files do."""

ASKER_KEY = "homing.asker"
"""Where the gate leaves in the scope the tenant's name, and the platform that the access token says, or None."""
HEADERS_KEY = "homing.headers"
"""Where something in between leaves header fields for the answer in the scope, whatever the answer is."""

Served = Callable[[Any, Receive, Send], Awaitable[None]]

_zstd = zstandard.ZstdCompressor(level=1)


class Edge:
    """Wraps the application. One per server."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def __call__(self, app: Served, scope: Scope, receive: Receive, send: Send) -> None:
        began = perf_counter()
        answer = _Answer(scope, send)
        try:
            if _is_canonical(scope["path"], scope.get("raw_path", b"")):
                await app(scope, receive, answer.send)
            else:
                await _not_found(answer.send)
        finally:
            route = scope.get("path_template") or "unmatched"
            seconds = perf_counter() - began
            self._metrics.count(route, str(scope.get("method")), answer.status, seconds)
            asker: tuple[str, str | None] | None = scope.get(ASKER_KEY)  # type: ignore[assignment]
            if asker is not None and route.startswith("/api/") and not route.endswith("/live"):
                # Streams are left out: they last as long as somebody listens.
                self._metrics.count_platform(*asker, answer.status, seconds)


class _Answer:
    """Holds the start of an answer back until its body is known, which is the next message."""

    __slots__ = ("_scope", "_send", "_start", "status")

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._start: Any = None
        self.status = 500  # what uvicorn answers if we never do

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            more: Any = self._scope.get(HEADERS_KEY, ())
            message["headers"] = _with_defaults([*message["headers"], *more])
            self._start = message
            return
        if self._start is not None:
            start, self._start = self._start, None
            if not message.get("more_body") and len(message.get("body", b"")) >= COMPRESS_BYTES_MIN:
                message = self._compressed(start, message)
            await self._send(start)
        await self._send(message)

    def _compressed(self, start: Any, message: Any) -> Any:
        names = dict(start["headers"])
        if b"content-encoding" in names or b"content-range" in names or not _pays(names.get(b"content-type", b"")):
            return message
        asked = next((value for name, value in self._scope["headers"] if name == b"accept-encoding"), b"")
        encoding = best_encoding(asked)
        start["headers"].append((b"vary", b"accept-encoding"))
        if encoding is None:
            return message
        body = message["body"]
        small = _zstd.compress(body) if encoding == b"zstd" else igzip.compress(body, compresslevel=1)
        start["headers"] = [pair for pair in start["headers"] if pair[0] != b"content-length"]
        start["headers"] += [(b"content-encoding", encoding), (b"content-length", str(len(small)).encode())]
        return {"type": "http.response.body", "body": small, "more_body": False}


def _with_defaults(headers: Any) -> list[tuple[bytes, bytes]]:
    given: list[tuple[bytes, bytes]] = list(headers)
    names = {name for name, _ in given}
    return given + [pair for pair in DEFAULT_HEADERS if pair[0] not in names]


@lru_cache(256)
def _pays(content_type: bytes) -> bool:
    kind = content_type.partition(b";")[0].strip()
    return kind.startswith(b"text/") or kind.endswith((b"json", b"xml", b"javascript"))


@lru_cache(256)
def best_encoding(accept: bytes) -> bytes | None:
    """zstd, then gzip, of those the client takes."""
    taken: dict[str, bool] = {}
    for part in accept.decode("latin-1").lower().split(","):
        name, _, weight = part.strip().partition(";")
        taken[name.strip()] = weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    for encoding in ("zstd", "gzip"):
        if taken.get(encoding, taken.get("*", False)):
            return encoding.encode()
    return None


def _is_canonical(path: str, raw_path: bytes) -> bool:
    """One address, one spelling: no empty or dot segments, no trailing slash, no slash or NUL in disguise."""
    if "//" in path or "\0" in path or "\\" in path or (path.endswith("/") and path != "/"):
        return False
    if b"%" in raw_path and b"%2f" in raw_path.lower():
        return False
    return "/." not in path or not any(part in (".", "..") for part in path.split("/"))


async def _not_found(send: Send) -> None:
    body = body_of(Problem("not_found"))
    start: Any = {
        "type": "http.response.start",
        "status": 404,
        "headers": [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())],
    }
    await send(start)
    await send({"type": "http.response.body", "body": body, "more_body": False})
