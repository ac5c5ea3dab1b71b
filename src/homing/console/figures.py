"""The overview's figures: read together, bounded, and kept for a few seconds, because several people have the page
open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from psycopg.rows import dict_row

from homing.jobs import listing
from homing.postgres.sql import fetch_all, load
from homing.server.tenant import Tenant

KEPT_SECONDS = 5.0
COUNTED_MAX = 1000
"""Beyond it the page says ``1,000+``."""
HALF_HOUR = 1800
STEPS = 48


@dataclass(frozen=True, slots=True)
class Series:
    """A day by half hours. ``times``: Unix seconds; the others one value each."""

    times: list[int]
    batches: list[int]
    failed: list[int]
    items: list[int]
    conflicts: list[int]


@dataclass(frozen=True, slots=True)
class Figures:
    """``devices`` by status; ``versions``: (app version, devices) of the ``seen_last`` devices that were seen last, as
    the lags are, in seconds: how old what a device has acknowledged was when it was last here."""

    devices: dict[str, int]
    seen_today: int
    seen_last: int
    versions: list[tuple[str, int]]
    lag_middle: float | None
    lag_most: float | None
    conflicts: int
    oldest_conflict: datetime | None
    quarantined: int
    held: int
    dead_jobs: int
    connected: int
    bytes: int
    series: Series


_kept: WeakKeyDictionary[Tenant, tuple[str, float, Figures]] = WeakKeyDictionary()


async def read_figures(tenant: Tenant) -> Figures:
    """The figures of now, or of a few seconds ago where nothing was told since."""
    found, version = _kept.get(tenant), tenant.live.watchers.version
    if found is None or found[0] != version or monotonic() - found[1] > KEPT_SECONDS:
        found = _kept[tenant] = (version, monotonic(), await _read(tenant))
    return found[2]


async def _read(tenant: Tenant) -> Figures:
    now = tenant.clock()
    async with tenant.engine.owner.connection() as conn:
        async with conn.cursor(row_factory=dict_row) as cursor:
            row = await (await cursor.execute(load(__package__, "read_figures"), {"now": now})).fetchone()
        assert row is not None
        rate = await fetch_all(conn, load(__package__, "read_rate"), {"now": now})
        came = await fetch_all(conn, load(__package__, "read_new_conflicts"), {"now": now})
    dead = await listing.find(tenant.engine.owner, status="dead", limit=COUNTED_MAX + 1)
    values: dict[str, Any] = {**row}
    values["devices"] = msgspec.json.decode(values["devices"], type=dict[str, int])
    values["versions"] = msgspec.json.decode(values["versions"], type=list[tuple[str, int]])
    return Figures(**values, dead_jobs=len(dead), series=_series(now, rate, came))


def _series(now: datetime, rate: list[Any], came: list[Any]) -> Series:
    last = int(now.timestamp()) // HALF_HOUR * HALF_HOUR
    times = [last - HALF_HOUR * back for back in range(STEPS - 1, -1, -1)]
    by_time = {row[0]: row for row in rate}
    conflicts = {row[0]: row[1] for row in came}
    return Series(
        times=times,
        batches=[by_time[at][1] if at in by_time else 0 for at in times],
        failed=[by_time[at][2] if at in by_time else 0 for at in times],
        items=[by_time[at][3] if at in by_time else 0 for at in times],
        conflicts=[conflicts.get(at, 0) for at in times],
    )
