"""``GET /api/v1/live`` as server-sent events: the same messages, for clients that speak only HTTP.

Each message is an event's data. The event that completes a delta carries its token as the event's id, so that a
browser's EventSource, or anything that remembers the last id, goes on where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from homing.protocol.errors import Problem
from homing.protocol.live import bye

DRAIN_SECONDS = 30
"""How long a client may take for a page of a pull."""


class StreamOutlet:
    """A stream as the hub sees it: what is sent waits here until the line takes it."""

    def __init__(self, *, backlog_bytes_max: int) -> None:
        self._max = backlog_bytes_max
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._ended = False

    def send(self, messages: Sequence[bytes], token: bytes | None = None) -> bool:
        if self._ended:
            return True
        parts = [b"data: %b\n\n" % message for message in messages]
        if token is not None:
            parts[-1] = b"id: %b\n%b" % (token, parts[-1])
        self._put(b"".join(parts))
        return self._bytes <= self._max

    def close(self, problem: Problem) -> None:
        if not self._ended:
            self._ended = True
            self._put(b"data: %b\n\n" % bye(problem))

    async def drained(self) -> None:
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._room.wait()
        except TimeoutError:
            raise Problem("too_slow_reader") from None

    async def events(self) -> AsyncIterator[bytes]:
        """What to write, until the bye."""
        while self._waiting or not self._ended:
            await self._news.wait()
            self._news.clear()
            waiting, self._waiting, self._bytes = self._waiting, [], 0
            self._room.set()
            if waiting:
                yield b"".join(waiting)

    def _put(self, data: bytes) -> None:
        self._waiting.append(data)
        self._bytes += len(data)
        if self._bytes > self._max // 4:
            self._room.clear()
        self._news.set()
