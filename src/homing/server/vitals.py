"""The key figures of a database that specification 5 lists: statements, indexes, bloat, connections, replication; and
whether its log is archived. For ``/metrics`` once a minute, and for the doctor."""

from __future__ import annotations

from typing import Literal

import msgspec
from psycopg import sql
from psycopg.rows import class_row, dict_row

from homing.postgres.sql import Connection, fetch_all, load

TOP = 10
"""Statements and tables that are named: those that cost most."""
BLOAT_BYTES_MIN = 10 * 2**20
"""A smaller table is not worth measuring."""


class StatementSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A statement without its values, and what it took in all since the statistics began."""

    id: str
    text: str
    calls: int
    seconds: float


class TableSeen(msgspec.Struct, frozen=True, kw_only=True):
    """Partitions count one by one."""

    name: str
    bytes: int
    live: int
    dead: int


class UnusedIndex(msgspec.Struct, frozen=True, kw_only=True):
    """An index that no query used since the statistics began, and that keeps nothing unique."""

    name: str
    bytes: int


class Bloat(msgspec.Struct, frozen=True, kw_only=True):
    """``part`` of a table that holds no row anybody sees: measured, or judged by the count of dead rows."""

    name: str
    part: float
    how: Literal["measured", "estimated"]


class Vitals(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds and bytes. ``statements`` is None where pg_stat_statements is not in the database; ``replication_lag``
    where there is no standby; ``archived_ago`` where nothing was archived yet; ``archiving``: whether it is on, and the
    last attempt went well (None: it is off)."""

    connections: int
    connections_max: int
    bytes: int
    replication_lag: float | None
    archiving: bool | None
    archived_ago: float | None
    statistics_days: float
    statements: list[StatementSeen] | None
    tables: list[TableSeen]
    unused: list[UnusedIndex]


async def read(conn: Connection, *, schemas: list[str]) -> Vitals:
    """A look of a few milliseconds: nothing but PostgreSQL's own statistics. ``conn``: the owner's."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        server = await (await cursor.execute(load(__package__, "read_vitals"))).fetchone()
    assert server is not None
    params = {"schemas": schemas, "limit": TOP}
    statements = None
    if where := server.pop("statements_schema"):
        async with conn.cursor(row_factory=class_row(StatementSeen)) as seen:
            statements = await (await seen.execute(_with_extension("read_statements", where), params)).fetchall()
    async with conn.cursor(row_factory=class_row(TableSeen)) as tables:
        found = await (await tables.execute(load(__package__, "read_table_rows"), params)).fetchall()
    async with conn.cursor(row_factory=class_row(UnusedIndex)) as indexes:
        unused = await (await indexes.execute(load(__package__, "read_unused_indexes"), params)).fetchall()
    return Vitals(**server, statements=statements, tables=found, unused=unused)


async def measure_bloat(conn: Connection, tables: list[TableSeen]) -> list[Bloat]:
    """How much of the larger tables is empty: by pgstattuple where it is in the database, which reads the pages that
    the visibility map does not vouch for; otherwise judged by dead rows."""
    large = [each for each in tables if each.bytes >= BLOAT_BYTES_MIN]
    rows = await fetch_all(
        conn, "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'pgstattuple'"
    )
    if not rows:
        return [Bloat(name=each.name, part=each.dead / (each.live + each.dead or 1), how="estimated") for each in large]
    query = _with_extension("measure_bloat", str(rows[0][0]))
    found = []
    for each in large:
        ((part,),) = await (await conn.execute(query, {"table": each.name})).fetchall()
        found.append(Bloat(name=each.name, part=float(part or 0.0), how="measured"))
    return found


def _with_extension(query: str, schema: str) -> sql.Composed:
    """The query, for an extension that is in this schema (quoted where it must be, by PostgreSQL)."""
    before, after = load(__package__, query).split("homing_extension.")
    return sql.SQL("{}{}.{}").format(sql.SQL(before), sql.SQL(schema), sql.SQL(after))
