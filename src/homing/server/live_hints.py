"""Hints between nodes: "something was committed", and nothing else.

NOTIFY is sent after the commit and in a transaction of its own, because inside a writing transaction it would take a
lock that all writers of the cluster share. A push takes it along, behind its COMMIT and in the same round trip; what
else writes has it sent on another connection. Many commits make one hint, and where no other node has subscribers,
none. They are heard on the connection of the hub. A hint may be lost (a pooler stands between, the backend is killed):
the hub's poll is what is relied on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from uuid import UUID

import psycopg
from psycopg import Notify, sql

from homing.accounts import presence
from homing.postgres.database import Database
from homing.postgres.sql import Call, Connection
from homing.protocol.errors import Problem

log = logging.getLogger("homing.live")

CHANNEL = "homing_live"
GAP_SECONDS = 0.005
"""Shortest time between two hints of one node."""
LOOK_SECONDS = 5.0
"""How long a node believes that it is alone, or not."""
TRIES = 10
"""After PostgreSQL was restarted, every connection of the pool fails once."""

_GIVE = "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)"
"""Without waiting for the disk: a hint that a power cut takes away concerns nobody any more."""


class Hints:
    """``wake`` is called for hints of others, with the hub's connection where nothing else is done with it. ``heard``
    may be replaced to lose some, as a bad network would."""

    def __init__(self, database: Database, node: UUID, *, wake: Callable[[Connection | None], None]) -> None:
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

    async def listen(self, conn: Connection) -> None:
        """Hear, from now on, what other nodes say, on the hub's own connection."""
        conn.add_notify_handler(self._take_in)
        await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)), prepare=False)

    @contextmanager
    def hearing(self, conn: Connection) -> Iterator[None]:
        """While the block runs, in which nothing else is done with ``conn``, what is said there is heard at once.

        Raises psycopg.OperationalError where the connection is lost."""
        loop, socket = asyncio.get_running_loop(), conn.pgconn.socket
        self._hear(conn)  # what came with answers
        loop.add_reader(socket, self._hear, conn)
        try:
            yield
        finally:
            loop.remove_reader(socket)

    def _hear(self, conn: Connection) -> None:
        try:
            conn.pgconn.consume_input()
        except psycopg.OperationalError:
            self._wake(None)  # the next round will say so
            return
        while said := conn.pgconn.notifies():
            if self.heard(said.extra.decode()):
                self._wake(conn)

    def _take_in(self, notice: Notify) -> None:
        """What psycopg found among its own answers."""
        if self.heard(notice.payload):
            self._wake(None)

    async def close(self) -> None:
        if self._giving is not None:
            self._giving.cancel()
            await asyncio.wait([self._giving])
