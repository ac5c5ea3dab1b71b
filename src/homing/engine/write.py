"""Writing: each group of decided edits is one statement.

A group is edits of one table, one action and one set of columns; its rows go as one JSON array that PostgreSQL takes
apart itself. The statement also checks what only the database can see in the same breath: that a created row lies in a
scope the caller holds, that it refers only to rows the caller may see, that an updated row stays in reach. A row that
fails such a check is not written; the caller of this module learns which rows were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

import msgspec
from psycopg import sql

from homing.engine.bind import Bound
from homing.engine.tables import BoundTable, Column
from homing.postgres.sql import Statement

Kind = Literal["create", "update", "delete"]
STATEMENTS_MAX = 400
"""Composed statements kept: one a table, action and set of columns. Clients that vary them must not fill memory."""


@dataclass(slots=True)
class Row:
    """One row to write: its key, for create and update the JSON object of its columns (with ``homing_id``), and the
    version it will have."""

    row_id: str
    doc: bytes
    version: int = 0


@dataclass(slots=True)
class Group:
    """Rows of one table, one action, one set of columns. ``supplied``: columns the client gave. ``revives``: of
    creates, that they bring deleted rows back, which go on counting their versions (stamps.py)."""

    table: BoundTable
    kind: Kind
    columns: tuple[str, ...]
    supplied: frozenset[str] = frozenset()
    rows: list[Row] = field(default_factory=list)
    revives: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a row: its version, or which check stopped it."""

    version: int | None
    stopped: Literal["forbidden", "fk_missing", "not_found"] | None = None


class Writers:
    """The composed statements of one database."""

    def __init__(self, bound: Bound) -> None:
        self._by_name = {table.name: table for table in bound.tables}
        self._statements: dict[tuple[Any, ...], Statement] = {}

    def statement(self, group: Group) -> Statement:
        """The statement that writes a group like this one and tells what became of each row (see ``written``)."""
        return self._find(group, sealed=False)

    def sealed(self, group: Group) -> Statement:
        """The same, but it fails as a whole unless every row became the version that was planned."""
        return self._find(group, sealed=True)

    def _find(self, group: Group, *, sealed: bool) -> Statement:
        signature = (group.table.id, group.kind, group.columns, group.supplied, group.revives, sealed)
        found = self._statements.get(signature)
        if found is None:
            if len(self._statements) >= STATEMENTS_MAX:
                self._statements.clear()
            compose = {"create": _insert, "update": _update, "delete": _delete}[group.kind]
            ctes, told = compose(group, self._by_name)
            final = _seal(told, group.kind) if sealed else told
            found = self._statements[signature] = Statement(sql.SQL("WITH {} {}").format(ctes, final))
        return found


def params_of(group: Group, *, user: UUID, device: UUID | None) -> dict[str, Any]:
    """The parameters of a group's statement."""
    return {
        "docs": "[" + b",".join(row.doc for row in group.rows).decode() + "]",
        "ids": [row.row_id for row in group.rows] if group.kind != "create" else None,
        "versions": [row.version for row in group.rows] if group.kind == "update" else None,
        "count": len(group.rows),
        "user": user,
        "device": device,
    }


def written(group: Group, rows: Sequence[Any]) -> dict[str, Written]:
    """Row id → what became of it. A row the statement said nothing of was not there."""
    found: dict[str, Written] = {row.row_id: Written(None, "not_found") for row in group.rows}
    for row_id, version, held, referred in rows:
        if not referred:
            found[row_id] = Written(None, "fk_missing")
        elif not held:
            found[row_id] = Written(None, "forbidden")
        else:
            found[row_id] = Written(version)
    return found


def _seal(told: sql.Composable, kind: Kind) -> sql.Composable:
    """Stop unless every row was written, stayed in reach, and has the version that was planned for it."""
    if kind == "create":  # what was out of reach was not made
        return sql.SQL(
            " SELECT CASE WHEN count(*) = %(count)s THEN NULL ELSE homing.stop() END FROM made WHERE made_version = 1"
        )
    planned, where = {
        "update": (
            "version = plan.planned",
            " LEFT JOIN unnest(%(ids)s::text[], %(versions)s::int[]) AS plan(id, planned) ON plan.id = row_id",
        ),
        "delete": ("true", ""),
    }[kind]
    return sql.SQL(
        ", told(row_id, version, held, referred) AS ({told})"
        " SELECT CASE WHEN count(*) = %(count)s AND bool_and(held AND referred AND {planned}) THEN NULL"
        " ELSE homing.stop() END FROM told{where}"
    ).format(told=told, planned=sql.SQL(planned), where=sql.SQL(where))


def doc(row_id: str, members: Mapping[str, bytes | msgspec.Raw]) -> bytes:
    """A row's JSON object: its key as ``homing_id``, and its columns as raw JSON."""
    parts = [b'"homing_id":' + msgspec.json.encode(row_id)]
    parts += [b'"%s":%s' % (name.encode(), bytes(value)) for name, value in members.items()]
    return b"{" + b",".join(parts) + b"}"


def doc_of(row_id: str, payload: bytes) -> bytes:
    """A row's JSON object made of the client's own: columns it does not name are not read from it."""
    members = payload.strip()[1:-1].strip()
    return b'{"homing_id":"%s"%s%s}' % (row_id.encode(), b"," if members else b"", members)


def _input(group: Group) -> sql.Composable:
    """The rows as SQL: ``x`` with homing_id and one column for each given one, named apart from the table's own."""
    table = group.table
    declared = [sql.SQL("homing_id text")]
    selected: list[sql.Composable] = [sql.SQL("r.homing_id::{} AS homing_id").format(sql.SQL(table.key_type))]
    for name in group.columns:
        column = table.columns[name]
        declared.append(sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(column.wire.declared)))  # type: ignore[arg-type]
        selected.append(sql.SQL("{} AS {}").format(table.write_sql(column, "r"), sql.Identifier(name)))
    return sql.SQL("SELECT {} FROM json_to_recordset(%(docs)s::text::json) AS r({})").format(
        sql.SQL(", ").join(selected), sql.SQL(", ").join(declared)
    )


def _insert(group: Group, by_name: Mapping[str, BoundTable]) -> tuple[sql.Composable, sql.Composable]:
    """The statement's CTEs, and the select over them that tells row id, version, held, referred."""
    table = group.table
    key = table.key.name
    fills = {name: text for name, text in table.declared.fill.items() if name not in group.columns}
    # Scope keys may be made of columns nobody gave: they take part with their default, as they will in the row.
    defaults: dict[str, Column] = {
        column.name: column
        for column in table.columns.values()
        if column.name not in group.columns
        and column.name not in fills
        and column.name != key
        and not column.generated
        and any(column.name in scope.expression for scope in table.scope_keys)
    }
    names = [key, *(c for c in group.columns if c != key), *fills, *defaults]
    row: list[sql.Composable] = [sql.SQL("i.homing_id AS {}").format(sql.Identifier(key))]
    row += [sql.Identifier("i", name) for name in group.columns if name != key]
    row += [sql.SQL("({}) AS {}").format(sql.SQL(text), sql.Identifier(name)) for name, text in fills.items()]
    row += [
        sql.SQL("({}) AS {}").format(sql.SQL(column.default or f"NULL::{column.wire.declared}"), sql.Identifier(name))
        for name, column in defaults.items()
    ]
    others = [
        sql.SQL("NULL::{} AS {}").format(sql.SQL(c.wire.declared), sql.Identifier(c.name))
        for c in table.columns.values()
        if c.name not in names and any(c.name in scope.expression for scope in table.scope_keys)
    ]
    listed = sql.SQL(", ").join(sql.Identifier(name) for name in names)
    ctes = sql.SQL(
        "full_rows AS MATERIALIZED (SELECT {row} FROM ({input}) AS i),"
        " judged AS MATERIALIZED (SELECT {listed}, {held} AS homing_held, {referred} AS homing_referred"
        " FROM (SELECT * {others} FROM full_rows) AS homing_row),"
        " made AS (INSERT INTO {table} ({listed}{stamped}) OVERRIDING SYSTEM VALUE"  # keys are given, also ALWAYS ones
        " SELECT {listed}{stamp} FROM judged WHERE homing_held AND homing_referred"
        " RETURNING {key} AS made_id, {version} AS made_version)"
    ).format(
        input=_input(group),
        row=sql.SQL(", ").join(row),
        others=sql.SQL(", ").join([sql.SQL(""), *others]) if others else sql.SQL(""),
        listed=listed,
        held=table.held_sql(),
        referred=_referred(group, by_name),
        table=table.qualified,
        key=sql.Identifier(key),
        version=table.version_sql,
        stamped=sql.SQL(", {}").format(table.version_sql) if group.revives else sql.SQL(""),
        stamp=sql.SQL(", 0" if group.revives else ""),
    )
    told = sql.SQL(
        "SELECT judged.{key}::text, made.made_version, homing_held, homing_referred"
        " FROM judged LEFT JOIN made ON made.made_id = judged.{key}"
    ).format(key=sql.Identifier(key))
    return ctes, told


def _referred(group: Group, by_name: Mapping[str, BoundTable], alias: str | None = None) -> sql.Composable:
    """Every reference the client gave is to a row that it may see: a reference must not tell whether an invisible row
    exists."""
    table = group.table
    parts: list[sql.Composable] = []
    for name in group.columns:
        reference = table.references.get(name)
        if name not in group.supplied or reference is None or reference.table not in by_name:
            continue
        target = by_name[reference.table]
        value = sql.Identifier(alias, name) if alias else sql.Identifier("homing_row", name)
        own = alias is None and target is table and reference.to_column == table.key.name
        parts.append(
            sql.SQL(
                "({v} IS NULL OR {itself} OR EXISTS (SELECT FROM {target} AS homing_target"
                # OFFSET 0: otherwise one row may be looked up by reading and hashing the whole target table.
                " WHERE homing_target.{to} = {v} AND {held} OFFSET 0))"
            ).format(
                v=value,
                itself=sql.SQL("{} = {}").format(value, sql.Identifier("homing_row", table.key.name))
                if own
                else sql.SQL("false"),
                to=sql.Identifier(reference.to_column),
                target=target.qualified,
                held=target.seen_sql(),
            )
        )
    return sql.SQL("({})").format(sql.SQL(" AND ").join(parts)) if parts else sql.SQL("true")


def _update(group: Group, by_name: Mapping[str, BoundTable]) -> tuple[sql.Composable, sql.Composable]:
    table = group.table
    key = sql.Identifier(table.key.name)
    moves = any(name in scope.expression for scope in table.scope_keys for name in group.columns)
    ctes = sql.SQL(
        "input AS MATERIALIZED ({input}),"
        " judged AS MATERIALIZED (SELECT *, {referred} AS homing_referred FROM input),"
        " given AS (SELECT homing_id AS homing_key, {values} FROM judged WHERE homing_referred),"
        " made AS (UPDATE {table} AS homing_old SET {sets} FROM given WHERE homing_old.{key} = given.homing_key"
        " RETURNING homing_old.*)"
    ).format(
        input=_input(group),
        referred=_referred(group, by_name, "input"),
        values=sql.SQL(", ").join(
            sql.SQL("judged.{} AS {}").format(sql.Identifier(name), sql.Identifier(f"homing_v{n}"))
            for n, name in enumerate(group.columns)
        ),
        sets=sql.SQL(", ").join(
            sql.SQL("{} = given.{}").format(sql.Identifier(name), sql.Identifier(f"homing_v{n}"))
            for n, name in enumerate(group.columns)
        ),
        table=table.qualified,
        key=key,
    )
    told = sql.SQL(
        "SELECT judged.homing_id::text, m.made_version, coalesce(m.held, true), homing_referred"
        " FROM judged JOIN (SELECT {key} AS made_id, {version} AS made_version, {held} AS held FROM made) AS m"
        " ON m.made_id = judged.homing_id"
        " UNION ALL SELECT homing_id::text, NULL, true, false FROM judged WHERE NOT homing_referred"
    ).format(key=key, version=table.version_sql, held=table.held_sql() if moves else sql.SQL("true"))
    return ctes, told


def _delete(group: Group, _by_name: Mapping[str, BoundTable]) -> tuple[sql.Composable, sql.Composable]:
    table = group.table
    ctes = sql.SQL(
        "gone AS (DELETE FROM {table} WHERE {key} = ANY (%(ids)s::text[]::{type}[])"
        " RETURNING {key}::text AS row_id, {version} AS version)"
    ).format(
        table=table.qualified,
        key=sql.Identifier(table.key.name),
        type=sql.SQL(table.key_type),
        version=table.version_sql,
    )
    return ctes, sql.SQL("SELECT row_id, version, true, true FROM gone")
