"""Months are made before they begin and dropped when all of them is too old."""

from datetime import UTC, datetime
from typing import Any

import pytest

from homing.postgres.database import Database
from homing.telemetry import drop_older, make_ahead
from homing.telemetry.retention import Dropped

pytestmark = pytest.mark.anyio

DEVICE = "00000000-0000-0000-0001-000000000001"
TABLES = ("telemetry", "telemetry_metrics")


async def partitions(db: Database, table: str) -> list[str]:
    async with db.connection() as conn:
        found = await conn.execute(
            "SELECT right(inhrelid::regclass::text, 6) FROM pg_inherits WHERE inhparent = %s::regclass"
            " AND inhrelid::regclass::text ~ '[0-9]{6}$' ORDER BY 1",
            [f"homing.{table}"],
        )
        return [name for (name,) in await found.fetchall()]


async def counts(db: Database) -> dict[str, list[Any]]:
    """What is left of each table: the days on which it arrived."""
    left = {}
    async with db.connection() as conn:
        for table in (*TABLES, "telemetry_batches"):
            found = await conn.execute(f"SELECT created_at::date::text FROM homing.{table} ORDER BY 1".encode())
            left[table] = [day for (day,) in await found.fetchall()]
    return left


async def test_months_are_made_ahead_once(db: Database) -> None:
    now = datetime(2031, 11, 30, 23, 59, tzinfo=UTC)
    assert await make_ahead(db, now=now) == 12
    assert await make_ahead(db, now=now) == 0
    for table in TABLES:
        assert (await partitions(db, table))[-4:] == ["203111", "203112", "203201", "203202"]
    assert await make_ahead(db, now=datetime(2031, 12, 1, tzinfo=UTC)) == 3


async def test_only_months_that_are_old_to_the_last_day_are_dropped(db: Database) -> None:
    days = ["2031-10-31", "2031-11-01", "2031-11-30", "2031-12-01"]
    await make_ahead(db, now=datetime(2031, 11, 1, tzinfo=UTC))  # October has no partition: it went to the default
    async with db.transaction() as conn:
        await conn.execute("INSERT INTO homing.mobile_devices (id, device_id) VALUES (%s, 'phone')", [DEVICE])
        for day in days:
            await conn.execute(
                "INSERT INTO homing.telemetry (device_id, metrics, created_at) VALUES (%s, '[]', %s)", [DEVICE, day]
            )
            await conn.execute(
                "INSERT INTO homing.telemetry_metrics (device_id, name, value, at, created_at)"
                " VALUES (%s, 'x', '1', %s, %s)",
                [DEVICE, day, day],
            )
            await conn.execute(
                "INSERT INTO homing.telemetry_batches (device_id, id, body_hash, created_at)"
                " VALUES (%s, gen_random_uuid(), sha256(''), %s)",
                [DEVICE, day],
            )
    everything = dict.fromkeys((*TABLES, "telemetry_batches"), days)
    assert await counts(db) == everything
    # The fifteen are the months of the migration, long empty. November stays until its last day is over.
    assert await drop_older(db, before=datetime(2031, 11, 30, 23, tzinfo=UTC)) == Dropped(partitions=15, rows=5)
    assert await counts(db) == dict.fromkeys(TABLES, days[1:]) | {"telemetry_batches": days[3:]}
    assert await drop_older(db, before=datetime(2031, 12, 1, tzinfo=UTC)) == Dropped(partitions=3, rows=0)
    assert await counts(db) == dict.fromkeys(everything, days[3:])
    assert "203111" not in await partitions(db, "telemetry_metrics")
    assert await drop_older(db, before=datetime(2031, 12, 1, tzinfo=UTC)) == Dropped(partitions=0, rows=0)
