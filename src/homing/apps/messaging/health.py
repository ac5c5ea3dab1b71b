"""What messaging adds to the server's health: how many messages there are, and how many wait for a phone."""

from __future__ import annotations

from homing.postgres.sql import Connection, fetch_one, load


async def count_health(conn: Connection) -> dict[str, int]:
    """Figures by name, over all users: ``conn`` must be the owner's."""
    row = await fetch_one(conn, load(__package__, "count_messages"))
    assert row is not None
    return {"message_count": row[0], "pending_sync_count": row[1]}
