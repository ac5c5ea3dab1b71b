"""Hints between nodes: "something was committed", and nothing else.

NOTIFY is sent after the commit and in a transaction of its own, because inside a writing transaction it would take a
lock that all writers of the cluster share. A push takes it along, behind its COMMIT and in the same round trip; what
else writes has it sent on another connection. Many commits make one hint, and where no other node has subscribers,
none. A hint may be lost (the backend that listens is killed, a pooler stands between): the hub's poll is what is relied
on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic
from uuid import UUID

import psycopg
from psycopg import Notify, sql

from homing.accounts import presence
from homing.postgres.database import Database
from homing.postgres.sql import Call
from homing.protocol.errors import Problem

log = logging.getLogger("homing.live")

CHANNEL = "homing_live"
GAP_SECONDS = 0.005
"""Shortest time between two hints of one node."""
LOOK_SECONDS = 5.0
"""How long a node believes that it is alone, or not."""
TRIES = 10
"""After PostgreSQL was restarted, every connection of the pool fails once."""
AGAIN_SECONDS = 1.0
"""Before listening again, after the connection for it was lost."""

_GIVE = "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)"
"""Without waiting for the disk: a hint that a power cut takes away concerns nobody any more."""


class Hints:
    """``wake`` is called for hints of others. ``heard`` may be replaced to lose some, as a bad network would."""

    def __init__(self, database: Database, node: UUID, *, wake: Callable[[], None]) -> None:
        self._database = database
        self._node = node
        self._wake = wake
        self._giving: asyncio.Task[None] | None = None
        self._again = False
        self._looked = self._given_at = float("-inf")
        self._others = False
        self.heard: Callable[[str], bool] = lambda origin: origin != str(node)

    def take(self) -> Call | None:
        """A hint to be sent at once; None where there is no other node, as far as is known, or one was given just now:
        then ``give``."""
        now = monotonic()
        if not self._others or self._giving or self._is_doubtful(now) or now - self._given_at < GAP_SECONDS:
            return None
        self._given_at = now
        return Call(_GIVE, [CHANNEL, str(self._node)])

    def give(self) -> None:
        """Tell the other nodes, soon, if there are any."""
        if not self._others and not self._is_doubtful(monotonic()):
            return
        if self._giving is None:
            self._giving = asyncio.create_task(self._give(), name="live hint")
            self._giving.add_done_callback(self._given)
        else:
            self._again = True

    def _is_doubtful(self, now: float) -> bool:
        """Whether it has to be looked again if there are other nodes."""
        return now - self._looked >= LOOK_SECONDS

    def _given(self, _: asyncio.Task[None]) -> None:
        self._giving = None

    async def _give(self) -> None:
        self._again = True
        failures = 0
        while self._again:
            await asyncio.sleep(max(0.0, self._given_at + GAP_SECONDS - monotonic()))
            self._again = False
            now = self._given_at = monotonic()
            try:
                async with self._database.connection() as conn:
                    if self._is_doubtful(now):
                        self._others = await presence.others(conn, self._node)
                        self._looked = now
                    if self._others:
                        await conn.run_all([Call(_GIVE, [CHANNEL, str(self._node)])])
            except (Problem, psycopg.Error):
                failures += 1
                if failures == TRIES:
                    log.debug("a hint was not given", exc_info=True)  # the others poll
                    return
                self._again = True

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen while the block runs."""
        task = asyncio.create_task(self._listen(), name="live listen")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _listen(self) -> None:
        while True:
            try:
                async with self._database.dedicated() as conn:
                    await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)), prepare=False)
                    self._wake()  # whatever was said while nobody listened
                    async for notice in conn.notifies():
                        self._hear(notice)
            except (Problem, psycopg.Error):
                log.info("listening for hints again in %g s", AGAIN_SECONDS)
            await asyncio.sleep(AGAIN_SECONDS)

    def _hear(self, notice: Notify) -> None:
        if self.heard(notice.payload):
            self._wake()

    async def close(self) -> None:
        if self._giving is not None:
            self._giving.cancel()
            await asyncio.wait([self._giving])
