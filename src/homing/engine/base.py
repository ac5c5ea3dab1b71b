"""What edits meet: the rows they are about, locked, and what happened to those rows since.

Rows are locked in order of key within a table, tables in the catalogue's order, after the device's own row: the one
lock order of the engine. The history is read by a later statement than the one that locks, because a statement that
waited for a lock still reads everything else as it stood before the wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg import sql

from homing.engine.bind import Bound
from homing.engine.merge import added
from homing.engine.scopes import held_sql
from homing.engine.tables import BoundTable
from homing.engine.values import read_row, readable
from homing.postgres.sql import Statement
from homing.protocol.token import Snapshot


@dataclass(slots=True)
class Standing:
    """A row as it stands in this batch: as it was locked, and then as the batch's own edits leave it.

    ``values``: wire values, None when the row does not exist. ``version`` is what it will be when all is written.
    ``left``: it is gone, and the caller's scopes held it; of a create, what was there before it under its key.
    """

    values: dict[str, Any] | None
    version: int
    stored_version: int
    changed: int
    left: bool = False
    level: int = 0
    base_floor: int | None = None
    """The lowest base version of the batch's edits of this row so far: a chain stands on its first link's base."""
    links: int = 0
    """How many of the batch's edits this row has had so far, whatever became of them."""
    own: dict[str, Any] = field(default_factory=dict)
    """What the batch's edits of this row set, as the device sent it: on that, its next edit is based."""


class Entry(msgspec.Struct):
    """One update of a row since a base: by which device, when it was edited, which fields it changed."""

    version: int
    device: UUID | None
    edited_at: datetime
    own: bool | None
    """The device's own, sent before this batch."""
    fields: list[str] | None


@dataclass(frozen=True, slots=True)
class Since:
    """What happened to a row since a base, and the row as the device had it before this batch (wire values): as it was
    then, with the device's own edits since, as it sent them.

    ``lost``: of those that got a conflict, when, and their fields that stand for a difference. An edit made before that
    goes on from them; a device that knows of the conflict no longer shows them.
    """

    base: dict[str, Any]
    entries: tuple[Entry, ...]
    lost: tuple[tuple[datetime, dict[str, Any]], ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """A row's history since ``base`` (a version), or since the snapshot ``seen``."""

    row_id: str
    base: int
    seen: Snapshot | None = None


_entries = msgspec.json.Decoder(list[Entry])
_sent = msgspec.json.Decoder(list[tuple[int, datetime | None, dict[str, msgspec.Raw]]])


class Readers:
    """The statements that read rows and their history, one of each a table."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound
        self._rows: dict[int, Statement] = {}
        self._history: dict[int, Statement] = {}
        self._left: dict[int, Statement] = {}
        self._former: dict[int, Statement] = {}
        self._ids: dict[int, Statement] = {}

    def rows(self, table: BoundTable) -> Statement:
        """Lock the rows of ``ids`` that ``user`` may see: key, version, changed, payload."""
        if table.id not in self._rows:
            self._rows[table.id] = Statement(
                sql.SQL(
                    "SELECT t.{key}::text, t.{version}, t.changed::text, {payload}::text FROM {table} AS t"
                    " WHERE t.{key} = ANY (%(ids)s::text[]::{type}[]) AND {held}"
                    " ORDER BY t.{key} FOR NO KEY UPDATE OF t"
                ).format(
                    key=sql.Identifier(table.key.name),
                    payload=table.payload_sql(),
                    table=table.qualified,
                    type=sql.SQL(table.key_type),
                    held=table.held_sql(),
                    version=table.version_sql,
                )
            )
        return self._rows[table.id]

    def left(self, table: BoundTable) -> Statement:
        """Which of ``ids`` are deleted and were in scopes that ``user`` holds."""
        if table.id not in self._left:
            self._left[table.id] = Statement(
                sql.SQL(
                    "SELECT DISTINCT d.row_id FROM homing.departures AS d"
                    " WHERE d.table_id = {id} AND d.row_id = ANY (%(ids)s::text[]) AND d.scope IN ({held})"
                    " AND NOT EXISTS (SELECT FROM {table} AS t WHERE t.{key} = d.row_id::{type})"
                ).format(
                    id=sql.Literal(table.id),
                    held=held_sql(self._bound.scope_names()),
                    table=table.qualified,
                    key=sql.Identifier(table.key.name),
                    type=sql.SQL(table.key_type),
                )
            )
        return self._left[table.id]

    def former(self, table: BoundTable) -> Statement:
        """Which of ``ids`` were rows that are deleted now, and as such in scopes that ``user`` holds. From the history,
        which is found by row: a device may hold thousands of scopes. (One by one, and the action as text: by a plan
        that was made when there was little, or by the index of deletions, far more would be read.)"""
        if table.id not in self._former:
            self._former[table.id] = Statement(
                sql.SQL(
                    "SELECT h.row_id FROM unnest(%(ids)s::text[]) AS k (id) CROSS JOIN LATERAL ("
                    "SELECT h.row_id, h.changes FROM homing.history AS h"
                    " WHERE h.table_id = {id} AND h.row_id = k.id AND h.action::text = 'delete' OFFSET 0) AS h"
                    " CROSS JOIN LATERAL (SELECT jsonb_object_agg(c.key, c.value -> 0) AS old"
                    " FROM jsonb_each(h.changes) AS c) AS o"
                    " CROSS JOIN LATERAL jsonb_populate_record(NULL::{table}, o.old) AS r"
                    " WHERE (SELECT {held} FROM (SELECT r.*) AS homing_row)"
                    " AND NOT EXISTS (SELECT FROM {table} AS t WHERE t.{key} = h.row_id::{type})"
                ).format(
                    id=sql.Literal(table.id),
                    table=table.qualified,
                    held=table.held_sql(),
                    key=sql.Identifier(table.key.name),
                    type=sql.SQL(table.key_type),
                )
            )
        return self._former[table.id]

    def history(self, table: BoundTable) -> Statement:
        """What happened to each wanted row since its base: n, the base row's payload, the entries, the payload with
        what ``device`` wrote since (or None), and what it sent that the history does not have so: [[version, when it
        got a conflict or null, payload], ...]."""
        if table.id not in self._history:
            self._history[table.id] = Statement(
                sql.SQL(_HISTORY).format(
                    id=sql.Literal(table.id),
                    resource_type=sql.Literal(table.resource_type),
                    payload=table.payload_sql("b"),
                    own=table.payload_sql("own"),
                    table=table.qualified,
                    key=sql.Identifier(table.key.name),
                    type=sql.SQL(table.key_type),
                )
            )
        return self._history[table.id]

    def new_ids(self, table: BoundTable) -> Statement:
        """``count`` new keys by the table's own default."""
        assert table.key_default is not None
        if table.id not in self._ids:
            self._ids[table.id] = Statement(
                sql.SQL("SELECT ({})::text FROM generate_series(1, %(count)s::int)").format(sql.SQL(table.key_default))
            )
        return self._ids[table.id]


_HISTORY = """
WITH wanted AS (
    SELECT * FROM json_to_recordset(%(wanted)s::text::json) AS w(n int, row_id text, base int, seen text)
), entries AS (
    SELECT w.n, h.version, h.device_id, h.changes, coalesce(i.edited_at, h.at) AS edited_at,
           h.device_id = %(device)s::uuid
               AND (%(sent)s::timestamptz IS NULL OR coalesce(i.created_at, h.at) <= %(sent)s) AS own
    FROM wanted w
    JOIN homing.history h ON h.table_id = {id} AND h.row_id = w.row_id AND h.action = 'update'
        AND CASE WHEN w.seen IS NULL THEN h.version > w.base
                 ELSE NOT pg_visible_in_snapshot(h.xid, w.seen::pg_snapshot) END
        -- of this life of the row: one that was deleted and made again counts its versions anew
        AND NOT EXISTS (SELECT FROM homing.history c WHERE c.table_id = {id} AND c.row_id = w.row_id
                        AND c.action = 'create' AND c.at > h.at)
    -- of the item that made this version: another of its batch may have edited other fields, at another time
    LEFT JOIN LATERAL (
        SELECT i.edited_at, i.created_at FROM homing.sync_items i
        WHERE i.batch_id = h.batch_id AND i.row_id = h.row_id AND i.status = 'ok' AND i.server_version = h.version
        ORDER BY i.position LIMIT 1
    ) i ON true
)
SELECT w.n, {payload}::text,
       (SELECT coalesce(json_agg(json_build_object('version', e.version, 'device', e.device_id,
            'edited_at', e.edited_at, 'own', e.own, 'fields', (SELECT json_agg(f) FROM jsonb_object_keys(e.changes) f))
            ORDER BY e.version), '[]')::text FROM entries e WHERE e.n = w.n),
       CASE WHEN o.wrote IS NOT NULL THEN {own}::text END,
       -- Of an edit that was merged, the history has what became of it, which is not what the device has.
       (SELECT json_agg(json_build_array(i.server_version, CASE WHEN i.status = 'conflict' THEN i.created_at END,
                                         i.payload)
                        ORDER BY i.server_version, i.created_at, i.position)::text
        FROM homing.sync_items i
        WHERE i.row_id = w.row_id AND i.device_id = %(device)s::uuid AND i.action = 'update'
            AND (i.merged OR i.status = 'conflict') AND NOT i.again AND i.resource_type = {resource_type}
            AND (%(sent)s::timestamptz IS NULL OR i.created_at <= %(sent)s)
            AND i.server_version > CASE WHEN w.seen IS NULL THEN w.base ELSE o.first - 1 END
            AND NOT EXISTS (SELECT FROM homing.history c WHERE c.table_id = {id} AND c.row_id = w.row_id
                            AND c.action = 'create' AND c.at > i.created_at))
FROM wanted w
JOIN {table} AS homing_row ON homing_row.{key} = w.row_id::{type}
CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_object_agg(f.key, f.olds[1]), '{{}}') AS was,
           jsonb_object_agg(f.key, f.news[cardinality(f.news)]) FILTER (WHERE f.news IS NOT NULL) AS wrote,
           min(f.first) AS first
    FROM (
        SELECT c.key, min(e.version) AS first, array_agg(c.value -> 0 ORDER BY e.version) AS olds,
            array_agg(c.value -> 1 ORDER BY e.version) FILTER (WHERE e.own) AS news
        FROM entries e CROSS JOIN LATERAL jsonb_each(e.changes) c
        WHERE e.n = w.n GROUP BY c.key) f
) o
CROSS JOIN LATERAL jsonb_populate_record(homing_row, o.was) AS b
CROSS JOIN LATERAL jsonb_populate_record(homing_row, o.wrote) AS own
"""


def wanted_json(wanted: Sequence[Wanted]) -> str:
    """The parameter of ``Readers.history``."""
    return msgspec.json.encode(
        [
            {"n": n, "row_id": w.row_id, "base": w.base, "seen": None if w.seen is None else str(w.seen)}
            for n, w in enumerate(wanted)
        ]
    ).decode()


def since(rows: Sequence[Any], wanted: Sequence[Wanted], table: BoundTable) -> dict[Wanted, Since]:
    """The rows of ``Readers.history``, by what was wanted."""
    found = {}
    for n, payload, entries_text, wrote_text, sent_text in rows:
        base, entries = read_row(payload), tuple(_entries.decode(entries_text))
        wrote = {} if wrote_text is None else read_row(wrote_text)
        last: dict[str, int] = {}
        for entry in entries:
            if entry.own:
                for name in wrote.keys() & (entry.fields or ()):  # a hidden column is on no device
                    base[name], last[name] = wrote[name], entry.version
        lost: list[tuple[datetime, dict[str, Any]]] = []
        for version, answered, sent in () if sent_text is None else _sent.decode(sent_text):
            values = readable(table, sent if answered is None else added(table.declared.merge, sent))
            values = {name: value for name, value in values.items() if version >= last.get(name, 0)}
            for _, earlier in lost:
                for name in values.keys() & earlier.keys():
                    del earlier[name]
            if answered is None:
                base |= values
            else:
                lost.append((answered, values))
        found[wanted[n]] = Since(base, entries, tuple(lost))
    return found
