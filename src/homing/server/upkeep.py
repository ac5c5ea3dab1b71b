"""Upkeep of the database: what specification 5 does each week and each month.

Autovacuum does most of it all the time; this makes up for what it left. Nothing here takes a lock that readers or
writers wait for, and nothing has a time limit but its job's.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import AsyncConnection, sql

from homing.postgres.database import Database
from homing.postgres.sql import fetch_all, load

BLOAT_PARTS = 0.5
BLOAT_BYTES_MIN = 10 * 2**20
"""An index is rebuilt when at least so much of it is empty, and it is worth the while."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """An index, its size before and after in bytes."""

    index: str
    before: int
    after: int


async def vacuum(owner: Database) -> None:
    """VACUUM ANALYZE of the whole database: rows that nobody sees any more make room, plans know the sizes."""
    async with owner.dedicated() as conn:
        await _without_limits(conn)
        await conn.execute("VACUUM (ANALYZE, SKIP_LOCKED)")


async def reindex(owner: Database, *, schemas: list[str]) -> list[Rebuilt]:
    """Rebuild the bloated indexes of these schemas, one at a time, while everybody reads and writes."""
    rebuilt = []
    async with owner.dedicated() as conn:
        await _without_limits(conn)
        params = {"schemas": schemas, "bytes": BLOAT_BYTES_MIN, "part": BLOAT_PARTS}
        for schema, name, before in await fetch_all(conn, load(__package__, "find_bloated_indexes"), params):
            index = sql.Identifier(schema, name)
            await conn.execute(sql.SQL("REINDEX INDEX CONCURRENTLY {}").format(index))
            ((after,),) = await fetch_all(
                conn, "SELECT pg_relation_size(%(index)s::text::regclass)", {"index": index.as_string(conn)}
            )
            rebuilt.append(Rebuilt(f"{schema}.{name}", int(before), int(after)))
    return rebuilt


async def _without_limits(conn: AsyncConnection[tuple[object, ...]]) -> None:
    await conn.execute("SET statement_timeout = 0")
