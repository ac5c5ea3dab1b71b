"""The CRM's jobs: operations that wait, and partitions."""

from __future__ import annotations

from datetime import datetime, timedelta

from homing.apps.crm.operations import OPERATIONS
from homing.jobs import Job, Task
from homing.postgres.database import Database
from homing.server.tenant import Tenant

KEPT = timedelta(days=3 * 366)
"""Activity, and operations that are completed: as long as somebody may dispute a bill."""


async def keep_partitions(owner: Database, *, now: datetime) -> tuple[int, int]:
    """Make the months that come and drop those that are too old; how many of each."""
    async with owner.transaction() as conn:
        cursor = await conn.execute(
            "SELECT crm.make_partitions(%(today)s::date), crm.drop_partitions(%(before)s::timestamptz)",
            {"today": now.date(), "before": now - KEPT},
        )
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


async def _partitions(tenant: Tenant, _: Job) -> None:
    await keep_partitions(tenant.engine.owner, now=tenant.clock())


PARTITIONS = Task(name="crm.partitions", run=_partitions, every=timedelta(days=1))

JOBS = [OPERATIONS, PARTITIONS]
