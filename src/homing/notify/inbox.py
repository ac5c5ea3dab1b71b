"""People's own notifications: the list, and what they did with each. What was read stays read."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg.rows import class_row, dict_row

from homing.engine.caller import Caller
from homing.postgres.database import Database
from homing.postgres.lines import load_with
from homing.postgres.sql import execute, fetch_one, load
from homing.protocol.errors import Problem

ID_END = 2**63 - 1
DELETED_AT_ONCE = 10_000


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """``data`` are the ids it carries. ``sent_at`` is when it was caused."""

    id: int
    platform: str
    notification_type: str
    title: str
    body: str
    data: dict[str, str]
    sent_at: datetime
    read_at: datetime | None
    clicked_at: datetime | None


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """Deliveries of one platform, carrier and fate, and how many of them were read and clicked."""

    platform: str
    provider: str
    status: str
    deliveries: int
    read: int
    clicked: int


async def find(
    db: Database, user: UUID, *, unread: bool, after: int | None, limit: int
) -> tuple[list[Notification], int]:
    """Somebody's notifications, the newest first, behind the id ``after``; and how many they have not read at all."""
    filters = {name for name, on in (("unread", unread), ("after", after is not None)) if on}
    params: dict[str, Any] = {"user": user, "limit": limit, **({"after": after} if after is not None else {})}
    async with db.snapshot() as conn, conn.cursor(row_factory=class_row(Notification)) as cursor:
        await cursor.execute(load_with(__package__, "list_notifications", frozenset(filters)), params)
        found = await cursor.fetchall()
        row = await fetch_one(conn, load(__package__, "count_unread"), {"user": user})
    assert row is not None
    return found, int(row[0])


async def mark(db: Database, caller: Caller, notification_id: int, *, clicked: bool, now: datetime) -> Notification:
    """Read, or clicked; again, it stays as it was. Raises Problem("not_found")."""
    params = {**_by(caller, notification_id), "clicked": clicked, "now": now}
    kind = class_row(Notification)
    async with db.transaction(actor=str(caller.user_id)) as conn, conn.cursor(row_factory=kind) as cursor:
        row = await (await cursor.execute(load(__package__, "mark_notification"), params)).fetchone()
    if row is None:
        raise Problem("not_found")
    return row


async def note_delivered(db: Database, caller: Caller, notification_id: int, *, now: datetime) -> None:
    """The caller's device showed it. Raises Problem("not_found")."""
    async with db.transaction(actor=str(caller.user_id)) as conn:
        row = await fetch_one(conn, load(__package__, "note_delivered"), {**_by(caller, notification_id), "now": now})
    if row != (1,):
        raise Problem("not_found")


async def mark_all(db: Database, user: UUID, *, up_to: int, now: datetime) -> int:
    """Everything up to this one was read; how many were not before."""
    async with db.transaction(actor=str(user)) as conn:
        return await execute(conn, load(__package__, "mark_all"), {"user": user, "up_to": up_to, "now": now})


async def rates(db: Database, *, since: datetime, until: datetime) -> list[Rate]:
    """What became of the notifications caused in a time: what delivery rates are reckoned from."""
    async with db.connection() as conn, conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(load(__package__, "read_rates"), {"since": since, "until": until})
        return [Rate(**row) for row in await cursor.fetchall()]


async def forget(owner: Database, *, before: datetime) -> int:
    """Delete what is older, in parts; how many."""
    deleted = 0
    while True:
        async with owner.transaction() as conn:
            params = {"before": before, "most": DELETED_AT_ONCE}
            found = await execute(conn, load(__package__, "delete_old"), params)
        deleted += found
        if found < DELETED_AT_ONCE:
            return deleted


def _by(caller: Caller, notification_id: int) -> dict[str, Any]:
    if not 0 < notification_id < ID_END:
        raise Problem("not_found")
    return {
        "id": notification_id,
        "user": caller.user_id,
        "session": caller.session_id,
        "device": caller.device_id,
    }
