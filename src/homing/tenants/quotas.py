"""How much a tenant may hold, kept where it can be kept.

Users, devices and bytes of files are counted by the tenant's own database, in the transaction that adds one
(``homing.keep_quota``). Pushes are counted here, by this node's clock, before one begins. Rows are looked at here, by
whatever is about to create some: by PostgreSQL's statistics, so a tenant may overshoot by what is under way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from time import monotonic

import msgspec

from homing.postgres.database import Database
from homing.postgres.sql import Connection, execute, fetch_one, load
from homing.protocol.errors import Problem
from homing.tenants.entry import Quotas

ROWS_SECONDS = 10.0
"""How often the rows are asked for: one query in this time, and statistics are not quicker."""
MINUTE = 60.0


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant has of each quota."""

    users: int
    devices: int
    rows: int
    media_bytes: int


async def keep(owner: Database, quotas: Quotas) -> None:
    """Write the quotas that the database itself keeps into it."""
    given = {"users": quotas.users, "devices": quotas.devices, "media_bytes": quotas.media_bytes}
    bound = {kind: most for kind, most in given.items() if most is not None}
    async with owner.transaction() as conn:
        await execute(conn, load(__package__, "keep_quotas"), {"kinds": list(bound), "most": list(bound.values())})


async def measure(owner: Database, tables: Sequence[str]) -> Usage:
    """``tables``: the qualified names of the synced ones."""
    async with owner.connection() as conn:
        row = await fetch_one(conn, load(__package__, "read_usage"), {"tables": list(tables)})
    assert row is not None
    return Usage(users=row[0], devices=row[1], rows=row[2], media_bytes=row[3])


@dataclass(slots=True)
class Rows:
    """The rows of one tenant as this node knows them. ``most``: None for no bound. Times are monotonic seconds."""

    most: int | None
    tables: Sequence[str]
    _found: int = 0
    _at: float = float("-inf")

    async def keep(self, conn: Connection, growth: int, *, now: float | None = None) -> None:
        """Before so many rows more are created than deleted, in the transaction of ``conn`` or before it; without
        growth everything passes: who has too many must be able to delete. Raises Problem("quota_exceeded")."""
        if self.most is None or growth <= 0:
            return
        now = monotonic() if now is None else now
        if now - self._at >= ROWS_SECONDS:
            row = await fetch_one(conn, load(__package__, "read_rows"), {"tables": list(self.tables)})
            assert row is not None
            self._found, self._at = row[0], now
        if self._found >= self.most:
            raise Problem("quota_exceeded", f"This tenant may have {self.most} rows.", quota="rows")
        self._found += growth


@dataclass(slots=True)
class Pushes:
    """The pushes of one tenant at one node. ``most`` a minute, None for no bound. Times are monotonic seconds."""

    most: int | None
    _spent: float = 0.0
    _at: float = 0.0

    def take(self, *, now: float | None = None) -> None:
        """Count a push. Raises Problem("rate_limited"), with the seconds until the next one."""
        most = self.most
        if most is None:
            return
        now = monotonic() if now is None else now
        spent = max(0.0, self._spent - (now - self._at) * most / MINUTE)
        if spent + 1 > most:
            wait = (spent + 1 - most) * MINUTE / most
            raise Problem("rate_limited", f"This tenant may push {most} times a minute.", retry_after=ceil(wait))
        self._spent, self._at = spent + 1, now
