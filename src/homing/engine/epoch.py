"""Epochs: one unbroken line of transaction ids.

A token's snapshot can be compared with ours only within one epoch. The epoch changes when

* the database is another one: restored by pg_restore, cloned from a template, moved (other cluster or database oid);
* the cluster went back in time or on to another timeline: point-in-time recovery, failover to a standby;
* a synced table was truncated (the trigger in ``stamps.py``);
* the declarations changed what devices hold: other columns travel, or other scope keys;
* somebody says so: ``homing epoch new``, after a file-level copy that nothing here can notice.

Every token of an older epoch gets an explicit ``resync_required``. A new epoch in another line of transaction ids also
stamps the rows again whose ``changed`` is from the future: they would otherwise count as new in every delta.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, sql

from homing.engine.bind import Bound
from homing.postgres.sql import load


@dataclass(frozen=True, slots=True)
class Epoch:
    epoch: UUID
    floor: int
    reason: str


async def settle(conn: AsyncConnection[Any], bound: Bound) -> Epoch:
    """Find out whether this is still the line of transaction ids we know, and begin a new epoch if not. Call at start;
    safe from several nodes at once."""
    async with conn.transaction():
        await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('homing epoch', 0))")
        row = await (await conn.execute(load(__package__, "settle_epoch"), {"declared": bound.digest})).fetchone()
        assert row is not None
        epoch, floor, reason, restamp = row
        if restamp:
            for table in bound.tables:
                await conn.execute(
                    sql.SQL(
                        "UPDATE {t} SET changed = pg_current_xact_id() WHERE changed > pg_current_xact_id()"
                    ).format(t=table.qualified)
                )
            await conn.execute("DELETE FROM homing.departures WHERE xid > pg_current_xact_id()")
            await conn.execute(load(__package__, "forget_news"))
        return Epoch(epoch, int(floor), reason)


async def begin(conn: AsyncConnection[Any], reason: str) -> None:
    """Begin a new epoch: every device starts again, with its outbox."""
    await conn.execute(load(__package__, "begin_epoch"), {"reason": reason})
