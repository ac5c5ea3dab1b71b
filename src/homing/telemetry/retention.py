"""Months of telemetry: made before they begin, dropped when they are too old. Called by the node's daily round."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from homing.postgres.database import Database
from homing.postgres.sql import execute, fetch_all, load


@dataclass(frozen=True, slots=True)
class Dropped:
    """``partitions`` dropped whole; ``rows`` deleted one by one, where the month had no partition of its own, and the
    ids of batches, which are not partitioned."""

    partitions: int
    rows: int


async def make_ahead(db: Database, *, now: datetime) -> int:
    """Make the partitions of this month and the next three; how many were missing."""
    async with db.transaction() as conn:
        ((made,),) = await fetch_all(conn, load("homing.telemetry", "make_partitions"), {"today": now.date()})
    return int(made)


async def drop_older(db: Database, *, before: datetime) -> Dropped:
    """Drop what arrived before ``before``; a month goes once all of it is older.

    A batch sent again after its id was dropped here would count again; by then it is as old as what is dropped.
    Raises Problem("unavailable") when a long query holds a table for longer than lock_timeout.
    """
    async with db.transaction() as conn:
        ((dropped,),) = await fetch_all(conn, load("homing.telemetry", "drop_partitions"), {"before": before})
        rows = [
            await execute(conn, load("homing.telemetry", name), {"before": before})
            for name in (
                "delete_old_metrics",
                "delete_old_batches",
                "delete_old_ids",
                "delete_old_events",
                "delete_old_tallies",
                "delete_old_usage",
            )
        ]
    return Dropped(int(dropped), sum(rows))
