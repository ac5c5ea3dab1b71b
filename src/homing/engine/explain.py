"""Explain: why a device holds or lacks a row."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg import sql

from homing.engine.changes import to_wire
from homing.engine.engine import Engine
from homing.engine.items import canonical_key
from homing.engine.scopes import held_statement
from homing.engine.tables import BoundTable
from homing.postgres.sql import Statement, load
from homing.protocol.errors import Problem
from homing.protocol.token import Snapshot


class Explanation(msgspec.Struct, kw_only=True):
    """``row_scopes``: the scopes the row is in; ``by``: those of them that the device's user holds. ``holds``: whether
    the device has, or gets with its next pull, this row. ``delivered``: whether its last ack covers the row's last
    change. ``left``: scopes the user holds that the row was in and left."""

    device_id: str
    user: str | None
    resource_type: str
    row_id: str
    exists: bool
    version: int | None
    changed_at: datetime | None
    row_scopes: list[str]
    by: list[str]
    left: list[str]
    holds: bool
    delivered: bool
    acked_at: datetime | None
    last_seen: datetime | None
    reason: str


class Change(msgspec.Struct, kw_only=True):
    """One entry of a row's history. ``fields``: {name: [old, new]}, on delete {name: [old]}."""

    version: int
    action: str
    actor: str
    by: str | None
    device_id: str | None
    at: datetime
    fields: msgspec.Raw | None
    batch_id: UUID | None


SEARCHED_MAX = 10_000
"""Rows that a search for a row looks through: those that changed last, along the index on that."""


class Found(msgspec.Struct, frozen=True):
    """A row that was searched for: its key, and its texts."""

    row_id: str
    label: str


async def explain(engine: Engine, *, device: str, resource_type: str, row: str) -> Explanation:
    """Raises Problem("not_found") for an unknown device or table."""
    table = engine.bound.by_resource_type.get(resource_type)
    key = canonical_key(table, row) if table is not None else None
    if table is None or key is None:
        raise Problem("not_found")
    async with engine.owner.snapshot() as conn:
        found = await (await conn.execute(load(__package__, "read_device_user"), {"device": device})).fetchone()
        if found is None:
            raise Problem("not_found")
        _id, user_id, username, _role, status, snapshot, epoch, acked_at, last_seen, here = found
        held = set()
        if user_id is not None:
            held = {s for (s,) in (await held_statement(engine.bound.scope_names()).run(conn, {"user": user_id})).rows}
        standing = (await _scopes_of(table).run(conn, {"id": key})).row
        gone = await (
            await conn.execute(
                "SELECT scope FROM homing.departures WHERE table_id = %s AND row_id = %s AND scope = ANY (%s)",
                [table.id, key, sorted(held)],
            )
        ).fetchall()
        history = await _history(conn, table, key, None, 1)
    row_scopes = sorted(s for s in (standing[2] if standing is not None else []) if s is not None)
    by = sorted(held & set(row_scopes))
    version = standing[0] if standing is not None else None
    covered = (
        snapshot is not None
        and epoch == here
        and standing is not None
        and Snapshot.parse(snapshot).sees(int(standing[1]))
    )
    left = sorted(s for (s,) in gone if s not in row_scopes)
    return Explanation(
        device_id=device,
        user=username,
        resource_type=table.resource_type,
        row_id=key,
        exists=standing is not None,
        version=version,
        changed_at=history[0].at if history else None,
        row_scopes=row_scopes,
        by=by,
        left=left,
        holds=bool(by) and status == "active",
        delivered=bool(by) and covered,
        acked_at=acked_at,
        last_seen=last_seen,
        reason=_reason(status, username, standing is not None, row_scopes, by, left, acked_at, covered=covered),
    )


async def scopes_of(engine: Engine, user: UUID) -> list[str]:
    """The scopes a user holds at this moment."""
    async with engine.owner.connection() as conn:
        rows = (await held_statement(engine.bound.scope_names()).run(conn, {"user": user})).rows
    return [scope for (scope,) in rows]


async def search(engine: Engine, *, resource_type: str, text: str, limit: int) -> list[Found]:
    """Rows whose key or texts contain ``text``, of the ``SEARCHED_MAX`` that changed last. Raises
    Problem("not_found") for an unknown table."""
    table = engine.bound.by_resource_type.get(resource_type)
    if table is None:
        raise Problem("not_found")
    async with engine.owner.connection() as conn:
        params = {"text": text.lower(), "limit": limit, "searched": SEARCHED_MAX}
        rows = (await _search_statement(table).run(conn, params)).rows
    return [Found(key, label) for key, label in rows]


def _search_statement(table: BoundTable) -> Statement:
    texts: list[sql.Composable] = [
        sql.Identifier("r", column.name) for column in table.columns.values() if column.wire.kind == "text"
    ]
    label = sql.SQL("concat_ws(' · ', {})").format(sql.SQL(", ").join(texts or [sql.NULL]))
    return Statement(
        sql.SQL(load("homing.engine", "search_rows")).format(
            table=table.qualified, key=sql.Identifier(table.key.name), version=table.version_sql, label=label
        )
    )


def _reason(
    status: str,
    user: str | None,
    exists: bool,
    row_scopes: list[str],
    by: list[str],
    left: list[str],
    acked_at: datetime | None,
    *,
    covered: bool,
) -> str:
    if status != "active":
        return f"The device is {status}: nothing is delivered to it."
    if user is None:
        return "The device has no user, so it holds no scopes."
    if not exists:
        return "The row was deleted." if left else "There is no such row."
    if not by:
        where = ", ".join(row_scopes) or "no scope"
        return f"{user} does not hold it: the row is in {where}."
    through = ", ".join(by)
    if covered:
        return f"{user} holds {through}, and the device acked a pull with the row's last change."
    if acked_at is None:
        return f"{user} holds {through}; the device has not acked any pull yet."
    return f"{user} holds {through}; the row's last change comes with the device's next pull."


def _scopes_of(table: BoundTable) -> Statement:
    return Statement(
        sql.SQL(
            "SELECT t.{version}, t.changed::text, ARRAY[{scopes}] FROM {table} AS t"
            " WHERE t.{key} = %(id)s::text::{type}"
        ).format(
            version=table.version_sql,
            scopes=sql.SQL(", ").join(
                sql.SQL("{} || (({})::text)").format(sql.Literal(f"{key.scope}:"), sql.SQL(key.expression))
                for key in table.scope_keys
            ),
            table=table.qualified,
            key=sql.Identifier(table.key.name),
            type=sql.SQL(table.key_type),
        )
    )


async def history(
    engine: Engine, *, resource_type: str, row: str, before: tuple[datetime, int] | None = None, limit: int = 50
) -> list[Change]:
    """What happened to a row, newest first; ``before``: (at, version) of the last one seen. Raises
    Problem("not_found")."""
    table = engine.bound.by_resource_type.get(resource_type)
    key = canonical_key(table, row) if table is not None else None
    if table is None or key is None:
        raise Problem("not_found")
    async with engine.owner.connection() as conn:
        return await _history(conn, table, key, before, limit)


async def _history(
    conn: Any, table: BoundTable, key: str, before: tuple[datetime, int] | None, limit: int
) -> list[Change]:
    params = {
        "table_id": table.id,
        "row_id": key,
        "hidden": list(table.hidden),
        "before_at": before[0] if before else None,
        "before_version": before[1] if before else None,
        "limit": limit,
    }
    rows = await (await conn.execute(load(__package__, "read_row_history"), params)).fetchall()
    kept = [row[6].encode() for row in rows if row[6] is not None]
    fields = iter(await to_wire(conn, table, kept))
    return [
        Change(
            version=version,
            action=action,
            actor=actor,
            by=username,
            device_id=device,
            at=at,
            fields=None if changes is None else next(fields),
            batch_id=batch_id,
        )
        for version, action, actor, username, device, at, changes, batch_id in rows
    ]
