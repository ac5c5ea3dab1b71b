"""People with devices, notifications to them, and workers that deliver, at whatever time the test says it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg.rows

from homing.accounts import push_tokens, users
from homing.accounts.push_tokens import Platform
from homing.accounts.users import NewUser
from homing.engine.caller import Caller
from homing.notify import Kind, notify
from homing.notify.carriers import Carriers
from homing.notify.deliver import Done, deliver
from homing.postgres.database import Database
from tests.notify.vendors import Vendors

MATCH = Kind(name="job_match", title="A new job", body="It matches you.", preference="jobMatches", ids=("job_id",))


@dataclass
class Scene:
    """``now`` is when it is for workers; the database's own clock goes on by itself."""

    db: Database
    carriers: Carriers
    vendors: Vendors
    apple: Vendors
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def rows(self, query: str, *params: Any) -> list[Any]:
        async with self.db.connection() as conn:
            return await (await conn.execute(query.encode(), params)).fetchall()

    async def person(self, name: str) -> UUID:
        new = NewUser(login=name, name=name.title(), role="WORKER", password=None)
        return (await users.create(self.db, new, roles={"WORKER"})).id

    async def device(self, user: UUID, text: str, platform: Platform, *, name: str | None = None) -> Caller:
        """A signed-in app or browser, with its token; ``name`` is a registered device's."""
        async with self.db.transaction() as conn:
            ((session,),) = await self._all(
                conn,
                "INSERT INTO homing.sessions (user_id, device_id, expires_at) VALUES (%s, %s, %s) RETURNING id",
                user,
                name,
                self.now + timedelta(days=60),
            )
            device = None
            if name is not None:
                ((device,),) = await self._all(
                    conn,
                    "INSERT INTO homing.mobile_devices (device_id, user_id) VALUES (%s, %s) RETURNING id",
                    name,
                    user,
                )
            caller = Caller(user, "WORKER", "default", platform, session, name, device)
            token = push_tokens.recognise(text, platform, private=True)
            await push_tokens.keep(conn, caller, token, device_id=device, most=1000, now=self.now)
        return caller

    async def tell(self, *people: UUID, job: int = 1, collapse: int | None = None, kind: Kind = MATCH) -> None:
        async with self.db.transaction() as conn:
            data = {"job_id": job} if kind.ids else {}
            await notify(conn, kind, user_ids=people, data=data, collapse=collapse)

    async def deliver(self, *, after: timedelta = timedelta(0)) -> Done:
        """What a worker does, ``after`` the last time."""
        self.now += after
        return await deliver(self.db, self.carriers, now=self.now)

    async def deliveries(self) -> list[Any]:
        """Token's address (None for one that is gone), status and attempts, the oldest first."""
        return await self.rows(
            "SELECT t.address, d.status, d.attempts FROM homing.push_deliveries d"
            " LEFT JOIN homing.push_tokens t ON t.id = d.token_id ORDER BY d.id"
        )

    async def jobs(self) -> list[Any]:
        return await self.rows(
            "SELECT task_name, status::text, scheduled_at FROM procrastinate.procrastinate_jobs"
            " WHERE scheduled_at IS NOT NULL ORDER BY scheduled_at"
        )

    async def _all(self, conn: psycopg.AsyncConnection[Any], query: str, *params: Any) -> Sequence[Any]:
        return await (await conn.execute(query.encode(), params)).fetchall()
