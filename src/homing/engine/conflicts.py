"""Conflicts: list, show, resolve.

A resolution is an ordinary write by the office, with the office's rights and the table's own rules: the version rises,
the history keeps it, every device gets it with its next pull. Exactly one of concurrent resolutions wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg import sql

from homing.engine import careful
from homing.engine.caller import Caller, Claims
from homing.engine.changes import to_wire
from homing.engine.engine import Engine
from homing.engine.items import Work, read_all
from homing.engine.meet import Meeting, meet
from homing.engine.merge import accept
from homing.engine.tables import BoundTable
from homing.engine.values import read_row, readable
from homing.postgres.lines import load_with
from homing.postgres.sql import Connection, Statement, load
from homing.protocol.errors import Problem
from homing.protocol.messages import ResolveRequest


class ConflictSummary(msgspec.Struct, kw_only=True):
    """One line of the queue."""

    id: UUID
    resource_type: str
    resource_id: str
    code: str
    action: str
    resolution: str
    resolution_action: str | None
    fields: list[str]
    server_version: int
    client_version: int | None
    detected_at: datetime
    resolved_at: datetime | None
    resolved_by: UUID | None
    device_id: str | None
    user: str | None
    policy: msgspec.Raw | None


class FieldChanges(msgspec.Struct):
    """What one write changed: {field: [old, new]}, wire values."""

    version: int
    actor: str
    by: str | None
    device: str | None
    at: datetime
    fields: msgspec.Raw


class ConflictDetail(ConflictSummary, kw_only=True):
    """A conflict whole. ``changes``: who changed which field since the base: version, by, device, at, fields
    ({name: [old, new]}). ``edited_at``: when the device's edit was made, as far as its clock is believed."""

    base_payload: msgspec.Raw | None
    server_payload: msgspec.Raw
    client_payload: msgspec.Raw
    notes: str | None
    resolved_payload: msgspec.Raw | None
    resolved_version: int | None
    changes: list[FieldChanges]
    batch_id: UUID | None
    edited_at: datetime | None


class Preview(msgspec.Struct, kw_only=True):
    """What a decision would make of the row: its payload (None: it would be deleted) and version."""

    payload: msgspec.Raw | None
    version: int | None


_changes = msgspec.json.Decoder(list[FieldChanges])


def _raw(text: str | None) -> msgspec.Raw | None:
    return None if text is None else msgspec.Raw(text.encode())


def _summary(row: Any) -> dict[str, Any]:
    names = ConflictSummary.__struct_fields__
    found = dict(zip(names, row[: len(names)], strict=True))
    found["policy"] = _raw(found["policy"])
    return found


async def find(
    engine: Engine,
    *,
    resolution: str | None,
    resource_type: str | None,
    device: str | None,
    user: UUID | None,
    person: str | None = None,
    code: str | None = None,
    before: datetime | None = None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[ConflictSummary]:
    """A page of conflicts, newest first. ``user``: only those of this user's edits. ``person``: part of the name of
    whoever made the edit. ``before``: found before this. ``after``: (detected_at, id) of the last one seen."""
    wanted: dict[str, Any] = {
        "resolution": resolution,
        "resource_type": engine.bound.wire_type(resource_type) if resource_type is not None else None,
        "device": device,
        "user": user,
        "person": person,
        "code": code,
        "before": before,
        "after": after,
    }
    params = {name: value for name, value in wanted.items() if value is not None}
    query = load_with(__package__, "list_conflicts", frozenset(params))
    if after is not None:
        params |= {"after_at": after[0], "after_id": after[1]}
    async with engine.database.connection() as conn:
        rows = await (await conn.execute(query, {**params, "limit": limit})).fetchall()
    return [ConflictSummary(**_summary(row)) for row in rows]


async def show(engine: Engine, conflict: UUID, *, user: UUID | None) -> ConflictDetail:
    """One conflict. ``user``: only if it is of this user's edit, and without the server's side where the row left the
    user's scopes meanwhile. Raises Problem("not_found")."""
    async with engine.owner.connection() as conn:
        found = await (
            await conn.execute("SELECT resource_type FROM homing.conflicts WHERE id = %s", [conflict])
        ).fetchone()
        table = engine.bound.by_resource_type.get(found[0]) if found is not None else None
        params = {
            "conflict": conflict,
            "table_id": table.id if table is not None else 0,
            "hidden": list(table.hidden) if table is not None else [],
        }
        row = await (await conn.execute(load(__package__, "read_conflict"), params)).fetchone()
        if row is None or (user is not None and row[22] != user):
            raise Problem("not_found")
        lost = user is not None and table is not None and await _is_out_of_scope(conn, table, row[2], user)
        changes = [] if lost else _changes.decode(row[23])
        if table is not None:
            for change, fields in zip(
                changes, await to_wire(conn, table, [bytes(change.fields) for change in changes]), strict=True
            ):
                change.fields = fields
    server = None if lost else row[17]
    return ConflictDetail(
        **_summary(row),
        base_payload=_raw(row[16]),
        server_payload=_raw(server) or msgspec.Raw(b"null"),
        client_payload=_raw(row[18]) or msgspec.Raw(b"null"),
        notes=row[19],
        resolved_payload=_raw(row[20]),
        resolved_version=row[21],
        changes=changes,
        batch_id=row[24],
        edited_at=row[25],
    )


async def _is_out_of_scope(conn: Connection, table: BoundTable, row_id: str, user: UUID) -> bool:
    """Whether the row is there, and nothing that the user holds."""
    statement = Statement(
        sql.SQL("SELECT {held} FROM {table} WHERE {key} = %(id)s::text::{type}").format(
            held=table.held_sql(),
            table=table.qualified,
            key=sql.Identifier(table.key.name),
            type=sql.SQL(table.key_type),
        )
    )
    row = (await statement.run(conn, {"id": row_id, "user": user})).row
    return row is not None and not row[0]


async def settle(engine: Engine, caller: Caller, conflict: UUID, request: ResolveRequest) -> ConflictDetail:
    """Resolve a conflict as the office.

    Raises Problem: not_found; already_resolved with ``winner``; state_conflict where the row moved on in the contested
    fields (the conflict then shows the new state); invalid_envelope where what would be written is not valid.
    """
    _check(request)
    async with engine.owner.transaction(str(caller.user_id)) as conn:
        moved = await _settle(engine, conn, caller, conflict, request)
    if moved is not None:
        raise moved
    return await show(engine, conflict, user=None)


async def preview(engine: Engine, caller: Caller, conflict: UUID, request: ResolveRequest) -> Preview:
    """What ``settle`` would make of the row: everything is done, and rolled back. Raises Problem as ``settle`` does."""
    _check(request)
    async with engine.owner.connection() as conn:
        await conn.execute("BEGIN")
        await conn.execute("SELECT set_config('homing.actor', %s, true)", [str(caller.user_id)])
        moved = await _settle(engine, conn, caller, conflict, request)
        kept = await (
            await conn.execute(
                "SELECT resolved_payload::text, resolved_version FROM homing.conflicts WHERE id = %s", [conflict]
            )
        ).fetchone()
        # That the row moved on is a finding, not a decision: it stays.
        await conn.execute("ROLLBACK" if moved is None else "COMMIT")
    if moved is not None:
        raise moved
    assert kept is not None
    return Preview(payload=_raw(kept[0]), version=kept[1])


def _check(request: ResolveRequest) -> None:
    if (request.payload is not None) != (request.resolution == "merged"):
        raise Problem("invalid_envelope", "payload belongs to the resolution 'merged', and only to it")


async def _settle(
    engine: Engine, conn: Connection, caller: Caller, conflict: UUID, request: ResolveRequest
) -> Problem | None:
    """Decide inside the caller's transaction. Returns the problem of a row that moved on, which is to be committed:
    the conflict then shows the row's new state."""
    row = await (await conn.execute(load(__package__, "lock_conflict"), {"conflict": conflict})).fetchone()
    if row is None:
        raise Problem("not_found")
    (
        resource_type,
        row_id,
        action,
        code,
        state,
        winner,
        resolved_at,
        resolved_by,
        client,
        version,
        fields,
        server,
        base,
    ) = row
    if state == "resolved":
        raise Problem(
            "already_resolved",
            winner={"resolution": winner, "resolved_by": resolved_by, "resolved_at": resolved_at},
        )
    table = engine.bound.by_resource_type.get(resource_type)
    if table is None:
        raise Problem("state_conflict", f"{resource_type} is no longer a synced table.")
    now_row = (await _row_statement(table).run(conn, {"id": row_id})).row
    wanted: Mapping[str, Any] = (
        request.payload if request.payload is not None else msgspec.json.decode(client, type=dict[str, msgspec.Raw])
    )
    if (
        request.resolution != "accept_server"
        and now_row is not None
        and now_row[0] != version
        and _contested(now_row[1], server, fields)
    ):
        await conn.execute(
            load(__package__, "refresh_conflict"),
            {"conflict": conflict, "payload": now_row[1], "version": now_row[0]},
        )
        return Problem(
            "state_conflict",
            "The row changed again in these fields; look at it once more.",
            server_version=now_row[0],
        )
    if request.resolution == "accept_client" and now_row is not None and base is not None:
        policies, row_now = table.declared.merge, read_row(now_row[1])
        both = accept(policies, base=read_row(base) or {}, server=row_now, client=readable(table, wanted))
        wanted = {**wanted, **both}
    if request.resolution == "accept_server":
        if now_row is not None:
            await _touch_statement(table).run(conn, {"id": row_id})
    else:
        await _write(engine, conn, caller, table, row_id, action, code, wanted, exists=now_row is not None)
    after = (await _row_statement(table).run(conn, {"id": row_id})).row
    await conn.execute(
        load(__package__, "close_conflict"),
        {
            "conflict": conflict,
            "action": request.resolution,
            "user": caller.user_id,
            "now": engine.clock(),
            "notes": request.notes,
            "payload": after[1] if after is not None else None,
            "version": after[0] if after is not None else None,
        },
    )
    return None


def _row_statement(table: BoundTable) -> Statement:
    return Statement(
        sql.SQL(
            "SELECT t.{version}, {payload}::text FROM {table} AS t WHERE t.{key} = %(id)s::text::{type} FOR UPDATE OF t"
        ).format(
            version=table.version_sql,
            payload=table.payload_sql(),
            table=table.qualified,
            key=sql.Identifier(table.key.name),
            type=sql.SQL(table.key_type),
        )
    )


def _touch_statement(table: BoundTable) -> Statement:
    """The server's row stands: it gets a new version all the same, so that every device hears of the decision."""
    return Statement(
        sql.SQL("UPDATE {table} SET {key} = {key} WHERE {key} = %(id)s::text::{type}").format(
            table=table.qualified, key=sql.Identifier(table.key.name), type=sql.SQL(table.key_type)
        )
    )


def _contested(now: str, before: str | None, fields: list[str]) -> bool:
    """Whether a contested field changed since the conflict was found."""
    new, old = read_row(now), read_row(before) if before is not None else None
    return not isinstance(old, dict) or any(new.get(field) != old.get(field) for field in fields)


async def _write(
    engine: Engine,
    conn: Connection,
    caller: Caller,
    table: BoundTable,
    row_id: str,
    action: str,
    code: str,
    wanted: Mapping[str, Any],
    *,
    exists: bool,
) -> None:
    """Write the decision through the steps of push, as the office's own edit."""
    members = {name: value for name, value in wanted.items() if name not in (table.key.name, "id")}
    if action == "delete" and not members:
        item: dict[str, Any] = {"action": "delete", "payload": {"id": row_id}, "base": {"none": True}}
    elif exists:
        item = {"action": "update", "payload": {"id": row_id, **members}, "base": {"none": True}}
    elif code == "deleted":
        old = {} if action == "create" else await _last_values(conn, table, row_id)
        item = {"action": "create", "payload": {**old, **members, "id": row_id}, "base": {"none": True}}
    else:
        raise Problem("state_conflict", "The row is gone.")
    work = await write_one(engine, conn, caller, table, item)
    assert work.verdict is not None
    if work.verdict.status != "ok":
        raise Problem("invalid_envelope", f"{work.verdict.code}: {work.verdict.message}", path=work.verdict.path)


async def write_one(
    engine: Engine, conn: Connection, caller: Caller, table: BoundTable, item: Mapping[str, Any]
) -> Work:
    """One edit by ``caller`` inside the transaction of ``conn``, by the rules of push; the work has its verdict. REST
    routes use it too, so that a web client and a phone meet the same rules."""
    raw = msgspec.json.encode({**item, "resource_type": table.declared.full_type})
    claims = Claims(caller.user_id, caller.role, caller.tenant, caller.platform, caller.session_id, caller.device_name)
    works = read_all([raw], engine.bound.by_resource_type, engine.limits, now=engine.clock())
    meeting = Meeting(engine, claims, UUID(int=0), None, engine.clock(), None, atomic=False)
    await meet(conn, meeting, works, {}, careful=True)
    await careful.apply(conn, meeting, works)
    return works[0]


async def _last_values(conn: Connection, table: BoundTable, row_id: str) -> dict[str, Any]:
    """The row as it was when it was deleted, wire values of the columns that can be written."""
    statement = Statement(
        sql.SQL(
            "SELECT {payload}::text FROM (SELECT h.changes FROM homing.history h WHERE h.table_id = {id}"
            " AND h.row_id = %(id)s AND h.action = 'delete' ORDER BY h.version DESC, h.at DESC LIMIT 1) AS last"
            " CROSS JOIN LATERAL (SELECT jsonb_object_agg(c.key, c.value -> 0) AS old"
            " FROM jsonb_each(last.changes) c) o"
            " CROSS JOIN LATERAL jsonb_populate_record(NULL::{table}, o.old) AS b"
        ).format(payload=table.payload_sql("b"), id=sql.Literal(table.id), table=table.qualified)
    )
    row = (await statement.run(conn, {"id": row_id})).row
    if row is None:
        raise Problem("state_conflict", "The history no longer knows this row; create it anew.")
    values: dict[str, Any] = read_row(row[0])
    return {
        name: value
        for name, value in values.items()
        if value is not None and table.writable(name) and name != table.key.name
    }
