"""Rows of any declared table, as lists and pages show them: which, in which order, and what they refer to.

Nobody sees here what they could not pull: the rows of the scopes they hold. Whoever holds all of a table (the office,
mostly) is asked once and the rows not one by one. A list is read along an index or, of a small table, sorted; what
would take longer than ``SECONDS`` is refused, with a hint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import psycopg
from psycopg import errors, sql

from homing.engine.caller import Caller
from homing.engine.items import canonical_key
from homing.engine.tables import CHANGED, BoundTable, Column
from homing.engine.values import read_row as read_json
from homing.postgres.sql import Connection, fetch_all, fetch_one, load
from homing.protocol.errors import Problem
from homing.server.pages import Page, read_cursor, write_cursor
from homing.server.tenant import Tenant

SECONDS = 3
"""What a list may take. Whoever filters a million rows by a column without an index is told so."""
SORTED_ROWS_MAX = 20_000
"""A table up to this size is sorted by any column: a few milliseconds."""
COUNTED_MAX = 1000
"""Rows that fit filters are counted up to this; people read ``1,000+``."""
LABELS = ("name", "title", "full_name", "label", "subject", "code", "username", "email", "filename", "description")
"""Columns that name a row to people, the first that a table has."""
_UNORDERED = frozenset({"json", "point", "array", "bytes"})

Op = str
OPS: Mapping[Op, str] = {
    "is": "is",
    "not": "is not",
    "has": "contains",
    "from": "is at least",
    "to": "is at most",
    "none": "has no value",
    "some": "has a value",
}


class Row(msgspec.Struct, frozen=True):
    """A row as it travels: ``values`` by column. ``version``: as devices count it."""

    key: str
    version: int
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Filter:
    """``column op value``; spelled ``column:op:value`` in addresses."""

    column: str
    op: Op
    value: str

    def __str__(self) -> str:
        return f"{self.column}:{self.op}:{self.value}"


@dataclass(frozen=True, slots=True)
class Known:
    """What the database says of a table: its rows, about, and the columns that can be sorted by."""

    rows: int
    sorts: frozenset[str]


@dataclass(frozen=True, slots=True)
class List:
    """A page of rows, and what is said of how many there are."""

    page: Page[Row]
    count: str
    known: Known


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list is to show. ``sort``: a column, ``-column`` for downwards, None: the latest changed first."""

    filters: tuple[Filter, ...] = ()
    sort: str | None = None
    after: str | None = None
    limit: int = 50


@dataclass(slots=True)
class _Where:
    parts: list[sql.Composable] = field(default_factory=list)
    params: dict[str, Any] = field(default_factory=dict)

    def add(self, part: sql.Composable, **params: Any) -> None:
        self.parts.append(part)
        self.params |= params

    @property
    def sql(self) -> sql.Composable:
        return sql.SQL(" AND ").join([*self.parts]) if self.parts else sql.SQL("true")


def find_table(tenant: Tenant, kind: str) -> BoundTable:
    """The table called ``app.type``. Raises Problem("not_found")."""
    for table in tenant.engine.bound.tables:
        if table.declared.full_type == kind:
            return table
    raise Problem("not_found", "There is no such table.")


def title_of(table: BoundTable) -> str:
    """``job_assignments`` → ``Job assignments``."""
    name = table.declared.table.replace("_", " ")
    return name[:1].upper() + name[1:]


def label_column(table: BoundTable) -> str | None:
    """The column that names a row to people; None where none does."""
    return next((name for name in LABELS if name in table.columns and table.columns[name].wire.kind == "text"), None)


def label(table: BoundTable, row: Row) -> str:
    """What a row is called."""
    name = label_column(table)
    found = row.values.get(name) if name is not None else None
    return str(found) if found else f"{table.declared.resource_type.replace('_', ' ')} {row.key[:8]}"


def read_filters(table: BoundTable, given: Sequence[str]) -> tuple[Filter, ...]:
    """Filters of an address. Raises Problem("invalid_parameter")."""
    found = []
    for text in given:
        name, _, rest = text.partition(":")
        op, _, value = rest.partition(":")
        column = table.columns.get(name)
        if column is None or op not in OPS or (op not in ops_of(column)):
            raise Problem("invalid_parameter", "A filter is column:is:value, with a column of this table.")
        if "\0" in value or len(value) > 1000:
            raise Problem("invalid_parameter", "A filter's value is text of up to 1,000 characters.")
        if column.labels and op in ("is", "not") and value not in column.labels:
            raise Problem("invalid_parameter", f"{name} is one of {', '.join(column.labels)}.")
        found.append(Filter(name, op, value))
    return tuple(dict.fromkeys(found))


def ops_of(column: Column) -> tuple[Op, ...]:
    """How a column can be filtered by."""
    kind = column.wire.kind
    empty = ("none", "some") if column.nullable else ()
    if kind in _UNORDERED:
        return empty
    if kind in ("boolean", "uuid") or column.labels:
        return ("is", "not", *empty)
    if kind == "text":
        return ("is", "has", "not", *empty)
    return ("is", "from", "to", "not", *empty)


async def know(conn: Connection, table: BoundTable) -> Known:
    """What the catalogue says of a table."""
    row = await fetch_one(
        conn, load(__package__, "read_sorts"), {"schema": table.declared.schema, "table": table.declared.table}
    )
    assert row is not None
    rows, indexed = row
    sortable = {column.name for column in table.columns.values() if column.wire.kind not in _UNORDERED}
    return Known(rows, frozenset(sortable if rows <= SORTED_ROWS_MAX else sortable & set(indexed)))


async def list_rows(tenant: Tenant, caller: Caller, table: BoundTable, wanted: Wanted) -> List:
    """A page of the rows that the caller holds. Raises Problem("invalid_parameter")."""
    try:
        async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
            await conn.execute(sql.SQL("SET LOCAL statement_timeout = {}").format(sql.Literal(f"{SECONDS}s")))
            known = await know(conn, table)
            where = _Where()
            if not await holds_all(conn, table, caller):
                where.add(table.held_sql(), user=caller.user_id)
            for number, each in enumerate(wanted.filters):
                where.add(_condition(table.columns[each.column], each, f"v{number}"), **{f"v{number}": each.value})
            filtered = bool(where.parts)
            found = await _read_page(conn, table, known, wanted, where)
            count = await _count(conn, table, where, known) if filtered else _about(known.rows)
    except Problem as problem:  # the database's word for a statement that took too long, among others
        if isinstance(problem.__cause__, errors.QueryCanceled):
            raise _too_many() from None
        raise
    except psycopg.DataError as error:
        raise Problem("invalid_parameter", "A filter's value does not fit its column.") from error
    if not wanted.after and found.next is None:
        count = f"{len(found.items):,}" + (" row" if len(found.items) == 1 else " rows")
    return List(found, count, known)


async def count_rows(tenant: Tenant, caller: Caller, table: BoundTable, filters: Sequence[Filter]) -> str:
    """How many of the rows that the caller holds fit, up to COUNTED_MAX. Raises Problem("invalid_parameter")."""
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        await conn.execute(sql.SQL("SET LOCAL statement_timeout = {}").format(sql.Literal(f"{SECONDS}s")))
        where = _Where()
        if not await holds_all(conn, table, caller):
            where.add(table.held_sql(), user=caller.user_id)
        for number, each in enumerate(filters):
            where.add(_condition(table.columns[each.column], each, f"v{number}"), **{f"v{number}": each.value})
        found = await _count_up(conn, table, where.parts, where.params)
    return f"{found:,}" if found <= COUNTED_MAX else f"{COUNTED_MAX:,}+"


def _too_many() -> Problem:
    return Problem(
        "invalid_parameter", f"These filters look at too many rows for {SECONDS} seconds: add one on an indexed column."
    )


async def holds_all(conn: Connection, table: BoundTable, caller: Caller) -> bool:
    """Whether the caller holds a scope that every row of the table is in."""
    keys = [key for key in table.scope_keys if key.constant]
    if not keys:
        return False
    parts = [sql.SQL("({}) IN ({})").format(sql.SQL(key.expression), sql.SQL(key.held_by)) for key in keys]
    row = await (
        await conn.execute(sql.SQL("SELECT {}").format(sql.SQL(" OR ").join(parts)), {"user": caller.user_id})
    ).fetchone()
    return row is not None and row[0] is True


def _condition(column: Column, each: Filter, name: str) -> sql.Composable:
    shown = sql.Identifier("t", column.name)
    value = sql.SQL("%({})s::text::{}").format(sql.SQL(name), sql.SQL(column.wire.declared))
    match each.op:
        case "none":
            return sql.SQL("{} IS NULL").format(shown)
        case "some":
            return sql.SQL("{} IS NOT NULL").format(shown)
        case "has":
            return sql.SQL("position(lower(%({})s::text) IN lower({}::text)) > 0").format(sql.SQL(name), shown)
        case "not":
            return sql.SQL("{} IS DISTINCT FROM {}").format(shown, value)
        case _:
            sign = {"is": "=", "from": ">=", "to": "<="}[each.op]
            return sql.SQL("{} {} {}").format(shown, sql.SQL(sign), value)


async def _read_page(conn: Connection, table: BoundTable, known: Known, wanted: Wanted, where: _Where) -> Page[Row]:
    """One page along its order, by (sorted value, key), either of them in the cursor as PostgreSQL writes it."""
    key = sql.Identifier("t", table.key.name)
    down = wanted.sort is None or wanted.sort.startswith("-")
    name = None if wanted.sort is None else wanted.sort.removeprefix("-")
    if name is not None and name not in known.sorts:
        raise Problem("invalid_parameter", "This table cannot be sorted by that column.")
    if name is None:
        by, kind, nullable = sql.Identifier("t", CHANGED), "xid8", False
        # As the index on it says, so that it is used (stamps.py).
        where.add(sql.SQL("t.{} >= 1").format(table.version_sql))
    else:
        column = table.columns[name]
        by, kind, nullable = sql.Identifier("t", name), column.wire.declared, column.nullable
    place = read_cursor(wanted.after, tuple[str | None, str])
    if place is not None:
        value, last = place
        where.params |= {"after_value": value, "after_key": last}
        after = sql.SQL("%(after_value)s::text::{}").format(sql.SQL(kind))
        behind = sql.SQL("%(after_key)s::text::{}").format(sql.SQL(table.key_type))
        sign = sql.SQL("<" if down else ">")
        if value is None:  # NULLs are last upwards and first downwards
            rest = (
                sql.SQL("({by} IS NULL AND {key} {sign} {behind})")
                if not down
                else sql.SQL("(({by} IS NULL AND {key} {sign} {behind}) OR {by} IS NOT NULL)")
            )
        elif nullable and not down:
            rest = sql.SQL("(({by}, {key}) {sign} ({after}, {behind}) OR {by} IS NULL)")
        else:
            rest = sql.SQL("({by}, {key}) {sign} ({after}, {behind})")
        where.add(rest.format(by=by, key=key, sign=sign, after=after, behind=behind))
    query = sql.SQL(
        "SELECT t.{key}::text, t.{version}, {payload}::text, {by}::text FROM {table} AS t WHERE {where}"
        " ORDER BY {by} {way}, t.{key} {way} LIMIT {limit}"
    ).format(
        key=sql.Identifier(table.key.name),
        version=table.version_sql,
        payload=table.payload_sql(),
        by=by,
        table=table.qualified,
        where=where.sql,
        way=sql.SQL("DESC" if down else "ASC"),
        limit=sql.Literal(wanted.limit + 1),  # in the text: a plan for any limit would not stop early
    )
    found = await (await conn.execute(query, where.params)).fetchall()
    items = [Row(row[0], row[1], read_json(row[2])) for row in found[: wanted.limit]]
    if len(found) <= wanted.limit:
        return Page(items, None)
    last_shown = found[wanted.limit - 1]
    return Page(items, write_cursor(last_shown[3], last_shown[0]))


async def _count(conn: Connection, table: BoundTable, where: _Where, known: Known) -> str:
    # Without the cursor, which is the last condition: all pages have one count.
    parts = [part for part in where.parts if "after_key" not in part.as_string(None)]
    found = await _count_up(conn, table, parts, where.params)
    return f"{found:,} rows" if found <= COUNTED_MAX else f"{COUNTED_MAX:,}+ rows of about {known.rows:,}"


async def _count_up(
    conn: Connection, table: BoundTable, parts: Sequence[sql.Composable], params: Mapping[str, Any]
) -> int:
    """How many rows fit all of ``parts``, up to one more than COUNTED_MAX."""
    query = sql.SQL("SELECT count(*) FROM (SELECT FROM {} AS t WHERE {} LIMIT {}) AS counted").format(
        table.qualified, sql.SQL(" AND ").join(parts), sql.Literal(COUNTED_MAX + 1)
    )
    row = await (await conn.execute(query, params)).fetchone()
    assert row is not None
    return int(row[0])


def _about(rows: int) -> str:
    return f"about {rows:,} rows"


async def read_one(tenant: Tenant, caller: Caller, table: BoundTable, key: str) -> Row:
    """A row that the caller holds. Raises Problem("not_found"), the same for absent and invisible."""
    known = canonical_key(table, key)
    if known is None:
        raise Problem("not_found", "There is no such row, or it is not yours to see.")
    query = sql.SQL(
        "SELECT t.{key}::text, t.{version}, {payload}::text FROM {table} AS t"
        " WHERE t.{key} = %(id)s::text::{type} AND {held}"
    ).format(
        key=sql.Identifier(table.key.name),
        version=table.version_sql,
        payload=table.payload_sql(),
        table=table.qualified,
        type=sql.SQL(table.key_type),
        held=table.held_sql(),
    )
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        row = await (await conn.execute(query, {"id": known, "user": caller.user_id})).fetchone()
    if row is None:
        raise Problem("not_found", "There is no such row, or it is not yours to see.")
    return Row(row[0], row[1], read_json(row[2]))


@dataclass(frozen=True, slots=True)
class Target:
    """What a reference refers to: its name, and the kind of table it is in (None: one that is not declared)."""

    text: str
    kind: str | None
    key: str


async def name_references(
    tenant: Tenant, caller: Caller, table: BoundTable, rows: Sequence[Row], columns: Sequence[Column]
) -> dict[tuple[str, str], Target]:
    """(column, value) → what it refers to, of ``columns``: one query a referring column."""
    by_name = {each.name: each for each in tenant.engine.bound.tables}
    found: dict[tuple[str, str], Target] = {}
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        for name in (column.name for column in columns if column.name in table.references):
            reference = table.references[name]
            wanted = sorted({str(row.values[name]) for row in rows if row.values.get(name) is not None})
            if not wanted:
                continue
            if reference.table == "homing.users":
                named = await fetch_all(conn, load(__package__, "name_users"), {"ids": wanted})
                found |= {(name, key): Target(text, None, key) for key, text in named}
            elif reference.table in by_name and reference.to_column == by_name[reference.table].key.name:
                target = by_name[reference.table]
                kind = target.declared.full_type
                found |= {(name, key): Target(key[:8], kind, key) for key in wanted}
                found |= {
                    (name, key): Target(text, kind, key)
                    for key, text in await read_labels(conn, target, caller, wanted)
                    if text
                }
    return found


async def choices(
    tenant: Tenant, caller: Caller, table: BoundTable, column: str, *, most: int = 200
) -> list[tuple[str, str]] | None:
    """(key, name) of the rows that a reference may be to; None where they are more than a list shows."""
    reference = table.references.get(column)
    target = next((each for each in tenant.engine.bound.tables if reference and each.name == reference.table), None)
    if reference is None or target is None or reference.to_column != target.key.name:
        return None
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        found = await read_labels(conn, target, caller, None, most=most + 1)
    return [(key, text or key[:8]) for key, text in found] if len(found) <= most else None


async def read_labels(
    conn: Connection, target: BoundTable, caller: Caller, keys: Sequence[str] | None, *, most: int = 1000
) -> Sequence[Any]:
    """(key, name or None) of the rows with these keys, or of any, that the caller holds."""
    name = label_column(target)
    query = sql.SQL("SELECT t.{key}::text, {label} FROM {table} AS t WHERE {which} AND {held} LIMIT {most}").format(
        key=sql.Identifier(target.key.name),
        label=sql.SQL("t.{}::text").format(sql.Identifier(name)) if name else sql.SQL("NULL"),
        table=target.qualified,
        which=sql.SQL("true")
        if keys is None
        else sql.SQL("t.{} = ANY (%(keys)s::text[]::{}[])").format(
            sql.Identifier(target.key.name), sql.SQL(target.key_type)
        ),
        held=target.held_sql(),
        most=sql.Literal(most),
    )
    return await (await conn.execute(query, {"keys": keys, "user": caller.user_id})).fetchall()
