"""Rows as REST answers show them: exactly as they travel in a pull, plus ``server_version``.

PostgreSQL makes the JSON by the engine's own column list, so a row looks the same here and on a phone, and columns that
never travel are in neither.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import msgspec
from psycopg import sql

from homing.engine.caller import Caller
from homing.engine.tables import BoundTable
from homing.postgres.sql import Connection
from homing.protocol.errors import Problem


async def read_rows(
    conn: Connection, table: BoundTable, ids: Sequence[UUID], *, columns: Collection[str] | None = None
) -> dict[UUID, msgspec.Raw]:
    """Rows by id, whoever may see them: the ids come from a query that asked. Of ``columns`` only, where they are
    given; the others are not even read."""
    query = _select(table, sql.SQL("t.{} = ANY (%(ids)s)").format(sql.Identifier(table.key.name)), columns)
    rows = await (await conn.execute(query, {"ids": list(ids)})).fetchall()
    return {key: with_member(payload, "server_version", version) for key, version, payload in rows}


async def read_row(conn: Connection, table: BoundTable, caller: Caller, row_id: UUID) -> msgspec.Raw:
    """One row that the caller holds, or that is public. Raises Problem("not_found"), the same for absent and
    invisible."""
    condition = sql.SQL("t.{key} = %(id)s AND {held}").format(key=sql.Identifier(table.key.name), held=table.seen_sql())
    row = await (await conn.execute(_select(table, condition), {"id": row_id, "user": caller.user_id})).fetchone()
    if row is None:
        raise Problem("not_found")
    _key, version, payload = row
    return with_member(payload, "server_version", version)


async def require_seen(conn: Connection, table: BoundTable, caller: Caller, row_id: UUID) -> None:
    """Raises Problem("not_found") where ``read_row`` would, without reading the row."""
    query = sql.SQL("SELECT 1 FROM {table} WHERE {key} = %(id)s AND {seen}").format(
        table=table.qualified, key=sql.Identifier(table.key.name), seen=table.seen_sql()
    )
    if await (await conn.execute(query, {"id": row_id, "user": caller.user_id})).fetchone() is None:
        raise Problem("not_found")


def with_member(json_object: str | bytes | msgspec.Raw, name: str, value: Any) -> msgspec.Raw:
    """A JSON object with one more member, without reading it. The object has members already, as every row has."""
    text = json_object.encode() if isinstance(json_object, str) else bytes(json_object)
    return msgspec.Raw(b"%s,%s:%s}" % (text.rstrip()[:-1], msgspec.json.encode(name), msgspec.json.encode(value)))


def _select(table: BoundTable, condition: sql.Composable, columns: Collection[str] | None = None) -> sql.Composed:
    return sql.SQL("SELECT t.{key}, t.{version}, {payload}::text FROM {table} AS t WHERE {condition}").format(
        key=sql.Identifier(table.key.name),
        version=table.version_sql,
        payload=table.payload_sql(columns=columns),
        table=table.qualified,
        condition=condition,
    )
