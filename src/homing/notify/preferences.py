"""What people want to be told, and what their apps keep of their tastes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from homing.postgres.database import Database
from homing.postgres.sql import execute, fetch_one, load
from homing.protocol.errors import Problem

MOBILE_BYTES_MAX = 16 * 2**10
"""Bytes of an app's own preferences as JSON."""


class Preferences(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Spec 4's four switches."""

    jobMatches: bool  # noqa: N815 - as the specification spells it
    proposalUpdates: bool  # noqa: N815
    paymentAlerts: bool  # noqa: N815
    marketing: bool


async def read(db: Database, user: UUID) -> Preferences:
    """Somebody's switches; the defaults where they never touched them."""
    async with db.connection() as conn, conn.cursor(row_factory=class_row(Preferences)) as cursor:
        row = await (await cursor.execute(load(__package__, "read_preferences"), {"user": user})).fetchone()
    assert row is not None
    return row


async def write(db: Database, user: UUID, wanted: Preferences) -> None:
    """All four at once: the last one to say counts."""
    async with db.transaction(actor=str(user)) as conn:
        await execute(conn, load(__package__, "write_preferences"), {"user": user, **msgspec.to_builtins(wanted)})


async def read_mobile(db: Database, user: UUID) -> dict[str, Any]:
    """What the user's apps keep: theme, language, whatever they like."""
    async with db.connection() as conn:
        row = await fetch_one(conn, load(__package__, "read_mobile_preferences"), {"user": user})
    assert row is not None
    found: dict[str, Any] = row[0]
    return found


async def write_mobile(db: Database, user: UUID, wanted: dict[str, Any]) -> None:
    """In place of what was there. Raises Problem("too_large")."""
    if len(msgspec.json.encode(wanted)) > MOBILE_BYTES_MAX:
        raise Problem("too_large", f"Preferences may have {MOBILE_BYTES_MAX} bytes as JSON.", limit=MOBILE_BYTES_MAX)
    async with db.transaction(actor=str(user)) as conn:
        await execute(conn, load(__package__, "write_mobile_preferences"), {"user": user, "wanted": Jsonb(wanted)})
