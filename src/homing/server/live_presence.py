"""Who is connected to this node, said to the database with a grace period.

A phone in a lift loses its socket every minute and is back in seconds: that is not news. So somebody counts as gone
only after ``grace_seconds`` without a connection. Coming is said at once. Both are said for many users in one
statement, by the hub between two rounds.

Which sessions are connected is said too, without grace: a phone in a lift is not reached, and is sent notifications.
"""

from __future__ import annotations

from collections import Counter
from time import monotonic
from uuid import UUID

from homing.accounts import presence
from homing.postgres.sql import Connection


class Attendance:
    """``waits``: somebody left, and the database does not know yet."""

    def __init__(self, node: UUID, *, grace_seconds: float) -> None:
        self._node = node
        self._grace_seconds = grace_seconds
        self._here: dict[UUID, None] = {}
        """Users as the database knows them to be here."""
        self._coming: dict[UUID, None] = {}
        self._sessions: Counter[UUID] = Counter()
        """Connections of each session."""
        self._sessions_said: set[UUID] = set()
        """Sessions as the database knows them to be here."""
        self._leaving: dict[UUID, float] = {}
        """When each may be said to have gone."""
        self._beaten = float("-inf")

    @property
    def waits(self) -> bool:
        return bool(self._leaving)

    def connect(self, session: UUID) -> None:
        self._sessions[session] += 1

    def disconnect(self, session: UUID) -> None:
        self._sessions[session] -= 1
        if not self._sessions[session]:
            del self._sessions[session]

    def enter(self, user: UUID) -> None:
        self._leaving.pop(user, None)
        if user not in self._here:
            self._coming[user] = None

    def leave(self, user: UUID) -> None:
        if user in self._here or user in self._coming:
            self._leaving[user] = monotonic() + self._grace_seconds

    def begin(self) -> None:
        """The connection is a new one. What was said last may have gone with the old one: a sign of life is due."""
        self._beaten = float("-inf")

    async def settle(self, conn: Connection) -> bool:
        """Say what is due; whether anything was said."""
        now = monotonic()
        if now - self._beaten >= presence.BEAT_SECONDS:
            await self._beat(conn)
            self._beaten = now
        said = False
        if coming := [user for user in self._coming if user not in self._leaving]:
            await presence.arrive(conn, self._node, coming)
            self._here |= dict.fromkeys(coming)
            for user in coming:
                self._coming.pop(user, None)
            said = True
        if gone := [user for user, due in self._leaving.items() if due <= now]:
            if known := [user for user in gone if user in self._here]:
                await presence.depart(conn, self._node, known)
                said = True
            for user in gone:
                self._coming.pop(user, None)
                # Who came back while it was being said is here again, and the database is told again.
                if self._leaving.get(user, now + 1) <= now:
                    del self._leaving[user]
                elif user in self._here:
                    self._coming[user] = None
                self._here.pop(user, None)
        await self._say_sessions(conn)
        return said

    async def _say_sessions(self, conn: Connection) -> None:
        here = set(self._sessions)
        if coming := here - self._sessions_said:
            await presence.arrive_sessions(conn, self._node, coming)
        if gone := self._sessions_said - here:
            await presence.depart_sessions(conn, self._node, gone)
        self._sessions_said = here

    async def close(self, conn: Connection) -> None:
        """This node has nobody any more."""
        await presence.close_node(conn, self._node)
        self._here.clear()
        self._sessions_said = set()
        self._coming.clear()
        self._leaving.clear()
        self._beaten = float("-inf")

    async def _beat(self, conn: Connection) -> None:
        if await presence.beat(conn, self._node):
            self._coming |= self._here  # the others took this node for dead
            self._here = {}
            self._sessions_said = set()
        await presence.bury_nodes(conn)
        await presence.mend(conn, self._node)
