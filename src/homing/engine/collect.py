"""Collecting what no device can need any more: old removals, old history, forgotten scope sets.

Dead devices do not hold collection up. The floor rises with time alone, is published before anything is deleted, and is
read by every pull in the pull's own snapshot: a token from below it gets ``resync_required``, never a silent gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import sql

from homing.engine.engine import Engine
from homing.postgres.sql import load


@dataclass(frozen=True, slots=True)
class Collected:
    """How many rows and partitions went, and the floor now (None: it did not rise)."""

    departures: int
    partitions: tuple[str, ...]
    scope_sets: int
    floor: int | None


async def collect(engine: Engine, *, now: datetime) -> Collected:
    """Run it once a day, from any node; running it twice at once does no harm."""
    limits = engine.limits
    cutoff = now - timedelta(days=limits.departures_days)
    async with engine.owner.transaction() as conn:
        await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('homing collect', 0))")
        await conn.execute("INSERT INTO homing.instants (at) VALUES (%s) ON CONFLICT DO NOTHING", [now])
        row = await (await conn.execute(load(__package__, "raise_floor"), {"cutoff": cutoff})).fetchone()
        await conn.execute(
            "DELETE FROM homing.instants WHERE at < (SELECT max(at) FROM homing.instants WHERE at <= %s)", [cutoff]
        )
        await conn.execute("SELECT homing.make_partitions('homing.history', 3, %s)", [now.date()])
    async with engine.owner.transaction() as conn:
        # Only now, when every new pull sees the new floor. A pull that began before still sees what it needs: its
        # snapshot is older than this transaction.
        departures = (await conn.execute(load(__package__, "drop_departures"))).rowcount
        sets = (await conn.execute(load(__package__, "drop_scope_sets"), {"cutoff": cutoff})).rowcount
        old = await (
            await conn.execute(
                load(__package__, "list_old_partitions"),
                {"parent": "homing.history", "cutoff": now - timedelta(days=limits.history_days)},
            )
        ).fetchall()
        for (name,) in old:
            schema, table = name.split(".")
            await conn.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(schema, table)))
    return Collected(departures, tuple(name for (name,) in old), sets, int(row[0]) if row is not None else None)
