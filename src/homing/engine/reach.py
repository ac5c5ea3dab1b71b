"""Reach: which devices have a row's version, as far as their acks say.

A device has a version when the snapshot that it acked last sees the transaction that wrote it. Whose business the row
is can be asked of a user only ("what do you hold?"), not of the row, so the devices seen last are asked, and no more
of them than a page shows.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from psycopg import sql

from homing.engine.engine import Engine
from homing.engine.tables import BoundTable
from homing.postgres.sql import Statement, load

DEVICES_MAX = 200
"""Devices asked whether they hold a row: each costs what its user's scopes cost."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A device whose user holds the row. ``has``: its last ack covers the version, or a later one; false says only that
    it is not known yet."""

    id: UUID
    device_id: str
    user: str
    last_seen: datetime | None
    acked_at: datetime | None
    has: bool


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """``exists`` false: the row is gone, and what it was is in nobody's scopes any more. ``whole`` false: more devices
    are active than were asked."""

    exists: bool
    version: int | None
    holders: list[Holder]
    whole: bool


async def reach(engine: Engine, *, resource_type: str, row_id: str, version: int) -> Reach:
    """The active devices, seen last first, whose users hold the row, and whether they have ``version`` of it."""
    table = engine.bound.by_resource_type.get(resource_type)
    if table is None:
        return Reach(exists=False, version=None, holders=[], whole=True)
    params = {"table_id": table.id, "id": row_id, "version": version, "limit": DEVICES_MAX}
    async with engine.owner.snapshot() as conn:
        rows = (await _statement(table).run(conn, params)).rows
    found = rows[0]
    holders = [
        Holder(id=row[3], device_id=row[4], user=row[5], last_seen=row[6], acked_at=row[7], has=bool(row[8]))
        for row in rows
        if row[9]
    ]
    return Reach(exists=found[0], version=found[1], holders=holders, whole=(found[2] or 0) <= DEVICES_MAX)


def _statement(table: BoundTable) -> Statement:
    """The declared queries of scopes, asked for each device's user in place of ``%(user)s``."""
    held = table.held_sql().as_string(None).replace("%(user)s", "homing_holder.user_id")
    return Statement(
        sql.SQL(load("homing.engine", "read_reach")).format(
            table=table.qualified,
            key=sql.Identifier(table.key.name),
            type=sql.SQL(table.key_type),
            version=table.version_sql,
            held=sql.SQL(held),
        )
    )
