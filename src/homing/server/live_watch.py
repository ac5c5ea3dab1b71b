"""Who watches a tenant without holding its rows: open pages of the console, which ask again for a part of themselves
when it may have changed.

A subscriber (``live.py``) is sent rows, so everything about it turns on which ones it may see. A watcher is told only
*that* something changed, by names: ``ANY`` for whatever was written, ``PRESENCE``, and the tables of the rows that a
round found. The page then asks for its parts as it always does, with its own rights. So nothing needs to be kept for a
watcher but the names that it was not told yet: one that reads slowly gets them together, and no backlog grows.

The hub feeds this with what wakes it and with its rounds. What gives no hint and is in no round (a job that died, the
time that passed) shows with the next look, when everybody is told everything.

``mark`` names what was told and noted so far. A page has the mark of the moment before it was made, and comes with it:
with another one it is told everything at once, so what happened in between, or while a line was cut, is not lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import suppress
from time import monotonic
from uuid import UUID

from homing.engine.caller import Claims
from homing.engine.live_callers import Badge
from homing.protocol.errors import Problem
from homing.protocol.live import HEARTBEAT_SECONDS

ANY = "any"
PRESENCE = "presence"
ALL = frozenset({"*"})
"""More than can be named."""
WATCHERS_MAX = 1000
"""Pages that watch one tenant on one node: each holds a connection and is asked about every second."""
WATCHERS_A_USER_MAX = 12
"""Of one user: windows that are in sight. One more is refused, and asks from time to time instead."""
TOLD_SECONDS = 0.5
"""Shortest time between two tellings: a page asks at most so often, however much is written."""
LOOK_SECONDS = 30.0
"""How late a page is with what nothing tells of."""
RETRY_MILLISECONDS = 2000
"""After how long a browser comes back whose line was cut."""


class Watcher:
    """One page. ``parts``: the names that it wants to hear."""

    def __init__(self, claims: Claims, until: float, parts: frozenset[str]) -> None:
        self.claims = claims
        self.badge = Badge.of(claims)
        self.until = until
        """When its cookie expires, in seconds of the epoch."""
        self._parts = parts
        self._due: set[str] = set()
        self._mark = ""
        self._bye: Problem | None = None
        self._news = asyncio.Event()

    def tell(self, parts: Collection[str], mark: str) -> None:
        due = self._parts if "*" in parts else self._parts.intersection(parts)
        if due:
            self._due |= due
            self._mark = mark
            self._news.set()

    def close(self, problem: Problem) -> None:
        """End it, with its reason."""
        self._bye = self._bye or problem
        self._news.set()

    async def events(self) -> AsyncIterator[bytes]:
        """What to write, until the bye. A line without meaning now and then shows whether somebody is there."""
        yield b"retry: %d\n\n" % RETRY_MILLISECONDS
        while self._bye is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await self._news.wait()
            self._news.clear()
            due, self._due = self._due, set()
            if due and self._bye is None:
                yield f"id: {self._mark}\nevent: changed\ndata: {' '.join(sorted(due))}\n\n".encode()
            elif self._bye is None:
                yield b":\n\n"
        yield f"event: bye\ndata: {self._bye.code.code}\n\n".encode()


class Watchers:
    """Everybody who watches one tenant on this node."""

    def __init__(self, node: UUID) -> None:
        self._node = node
        self._watchers: dict[Watcher, None] = {}
        self._noted: set[str] = set()
        self._count = 0
        """Of notes."""
        self._told = 0
        """Of tellings."""
        self._told_at = self._looked_at = float("-inf")

    def __len__(self) -> int:
        return len(self._watchers)

    def __iter__(self) -> Iterator[Watcher]:
        return iter(list(self._watchers))

    @property
    def mark(self) -> str:
        return f"{self._node.hex}.{self._count}.{self._told}"

    @property
    def version(self) -> str:
        """Changes when figures that were read before are to be read again: while pages are told, with each telling and
        not with each of the many writes in between."""
        return f"told {self._told}" if self._watchers else f"noted {self._count}"

    def note(self, parts: Collection[str]) -> None:
        """These changed, so something did."""
        self._count += 1
        self._noted |= {ANY, *parts}

    def enter(self, watcher: Watcher, *, mark: str | None) -> bool:
        """Let a page in that was made at ``mark``; False where there are too many."""
        mine = sum(each.claims.user_id == watcher.claims.user_id for each in self._watchers)
        if len(self._watchers) >= WATCHERS_MAX or mine >= WATCHERS_A_USER_MAX:
            return False
        if not self._watchers:
            self._noted.clear()  # for the pages that are open; of what came before, the mark tells
            self._looked_at = monotonic()
        if mark != self.mark:
            watcher.tell(ALL, self.mark)
        self._watchers[watcher] = None
        return True

    def leave(self, watcher: Watcher) -> None:
        self._watchers.pop(watcher, None)

    def drop(self, watcher: Watcher, problem: Problem) -> None:
        self.leave(watcher)
        watcher.close(problem)

    def drop_all(self, problem: Problem) -> None:
        for each in list(self._watchers):
            self.drop(each, problem)

    def tell(self, now: float) -> None:
        """Tell what is due: what was noted, unless something was told just now; everything, once in a while."""
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self._noted |= ALL
        if not self._noted or now - self._told_at < TOLD_SECONDS:
            return
        noted, self._noted, self._told_at = self._noted, set(), now
        self._told += 1
        for each in self._watchers:
            each.tell(noted, self.mark)
