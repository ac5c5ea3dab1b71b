"""What happened to a device, in the order in which it did: for whoever looks at its page and asks why.

Written in the transaction of what happened. The newest ``KEPT_MAX`` of a device are kept (``forget``): one that says
another fingerprint each time fills no disk.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from homing.postgres.database import Database
from homing.postgres.sql import Connection, execute, load

KEPT_MAX = 1000

Kind = Literal[
    "registered", "moved", "enrolled", "fingerprint_changed", "trust_lowered", "trust_reset", "status_changed"
]


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a page begins: behind the event with this id."""

    id: Annotated[int, Meta(ge=1, le=2**63 - 1)]


class DeviceEvent(msgspec.Struct, frozen=True, kw_only=True):
    """``user_id``: who did it, or who was using the device; None for the server itself.

    ``details``: of ``fingerprint_changed`` where it was told (``where``), of ``trust_lowered`` ``reason``, ``score``,
    of ``status_changed`` and ``trust_reset`` what the office said.
    """

    id: int
    kind: Kind
    at: datetime
    user_id: UUID | None
    details: dict[str, Any]


async def note(
    conn: Connection, *, device_id: UUID, kind: Kind, user_id: UUID | None, now: datetime, **details: Any
) -> None:
    """In the caller's transaction."""
    await execute(
        conn,
        load(__package__, "insert_device_event"),
        {"device": device_id, "kind": kind, "user": user_id, "now": now, "details": Jsonb(details)},
    )


async def read_page(db: Database, device_id: UUID, *, after: int | None, limit: int) -> list[DeviceEvent]:
    """Events of a device, the newest first, from before ``after`` (an id)."""
    async with db.connection() as conn, conn.cursor(row_factory=class_row(DeviceEvent)) as cursor:
        params = {"device": device_id, "after": after, "limit": limit}
        return await (await cursor.execute(load(__package__, "list_device_events"), params)).fetchall()


async def forget(db: Database) -> int:
    """Remove those that are too many; how many."""
    async with db.transaction() as conn:
        return await execute(conn, load(__package__, "forget_device_events"), {"kept": KEPT_MAX})
