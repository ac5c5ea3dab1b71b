"""How often a profile was looked at: each visitor once a day.

A look is a row beside, and an hourly job adds them up: the counter is a column that syncs, and every change of it would
travel to all who hold the profile.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final
from uuid import UUID

from homing.jobs import Job, Task
from homing.postgres.database import Database
from homing.postgres.sql import Connection, execute, load
from homing.server.tenant import Tenant

EVERY: Final = timedelta(hours=1)


async def note_visit(conn: Connection, *, profile: UUID, visitor: UUID, today: date) -> None:
    """``visitor`` looked at ``profile``. One's own does not count."""
    await execute(conn, load(__package__, "note_visit"), {"profile": profile, "visitor": visitor, "today": today})


async def count_visits(owner: Database, *, today: date) -> int:
    """Add up what was not counted yet; how many profiles were looked at."""
    async with owner.transaction(actor="server") as conn:
        counted = await execute(conn, load(__package__, "count_visits"))
        await execute(conn, load(__package__, "delete_visits"), {"today": today})
    return counted


async def _count(tenant: Tenant, _: Job) -> None:
    await count_visits(tenant.engine.owner, today=tenant.clock().date())


VIEWS = Task(name="marketplace.views", run=_count, every=EVERY)
