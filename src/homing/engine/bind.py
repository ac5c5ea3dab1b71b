"""Binding: the catalogue of the applications meets the catalogue of the database.

Reads columns, keys and references, types every scope key, and tries every piece of SQL that an application declared.
All mistakes are reported together, with the file and line of the declaration. Installs the stamps (``stamps.py``)
where they are missing or made for another declaration.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row

from homing.declare import Catalogue, DeclarationError, Mistake, Table
from homing.engine import stamps
from homing.engine.tables import CHANGED, OTHER_VERSION, VERSION, BoundTable, Column, Reference, ScopeKey
from homing.postgres.codec import wire_type
from homing.postgres.sql import load

_NOBODY = UUID(int=0)
_KEY_TYPES = ("uuid", "text", "character varying", "integer", "bigint", "smallint")


@dataclass(frozen=True, slots=True)
class Bound:
    """All synced tables in an order in which referenced tables come first, and ways to find them.

    ``by_resource_type`` has every name a client may use; answers use a table's own ``resource_type``.
    """

    catalogue: Catalogue
    tables: tuple[BoundTable, ...]
    by_resource_type: dict[str, BoundTable]
    by_id: dict[int, BoundTable]
    digest: bytes

    def scope_names(self) -> dict[str, str]:
        """Qualified scope name → the query for its held keys."""
        return {name: scope.held_by for name, scope in self.catalogue.scopes.items()}

    def wire_type(self, resource_type: str) -> str:
        """The name answers use for what a client called ``resource_type``; an unknown one stays as it is."""
        table = self.by_resource_type.get(resource_type)
        return resource_type if table is None else table.resource_type


async def bind(conn: AsyncConnection[Any], catalogue: Catalogue, *, install: bool) -> Bound:
    """Bind ``catalogue`` to the database of ``conn``. With ``install``, adds stamp columns, triggers and indexes where
    they are missing. Raises DeclarationError with every mistake."""
    mistakes: list[Mistake] = []
    bound: list[BoundTable] = []
    stamps_there: dict[str, _Stamps] = {}
    for scope in catalogue.scopes.values():
        mistakes += await _try_query(conn, scope.place, f"scope {scope.name!r}: held_by", scope.held_by)
    if mistakes:
        raise DeclarationError(mistakes)
    for table in catalogue.tables:
        found, standing, wrong = await _bind_table(conn, catalogue, table)
        mistakes += wrong
        if found is not None:
            bound.append(found)
            stamps_there[found.name] = standing
    if mistakes:
        raise DeclarationError(mistakes)
    tables = _referenced_first(bound)
    by_name = {table.name: table for table in tables}
    for stamped in tables:
        await _install(conn, stamped, stamps_there[stamped.name], install=install, mistakes=mistakes)
    for stamped in tables:
        # Only now: it will want to know which rows a snapshot sees, and that is in the stamp.
        if (on_ack := stamped.declared.on_ack) is not None and not mistakes:
            what = f"table {stamped.name}: on_ack"
            mistakes += await _try_query(conn, stamped.declared.place, what, on_ack, columns=0)
    if mistakes:
        raise DeclarationError(mistakes)
    return Bound(
        catalogue=catalogue,
        tables=tables,
        by_resource_type={name: by_name[t.name] for name, t in catalogue.by_resource_type().items()},
        by_id={table.id: table for table in tables},
        digest=_digest(tables),
    )


def _digest(tables: tuple[BoundTable, ...]) -> bytes:
    """Of what a device's rows depend on: what tables are called, which columns travel, and which scopes a table's rows
    are in. Held_by queries are not in it: a token names the scopes it was made for, so other held scopes are an
    ordinary delta."""
    lines = [
        f"{t.name} {t.resource_type} {[(c.name, c.wire.kind) for c in t.columns.values()]}"
        f" {[(k.scope, k.expression) for k in t.scope_keys]}"
        for t in sorted(tables, key=lambda t: t.name)
    ]
    return hashlib.sha256("\n".join(lines).encode()).digest()


def _referenced_first(tables: list[BoundTable]) -> tuple[BoundTable, ...]:
    """Order of declaration, but a referenced table before those that refer to it; cycles keep their order."""
    by_name = {table.name: table for table in tables}
    placed: dict[str, BoundTable] = {}

    def place(table: BoundTable, above: frozenset[str]) -> None:
        if table.name in placed or table.name in above:
            return
        for reference in table.references.values():
            if reference.table in by_name:
                place(by_name[reference.table], above | {table.name})
        placed[table.name] = table

    for table in tables:
        place(table, frozenset())
    return tuple(placed.values())


@dataclass(frozen=True, slots=True)
class _Stamps:
    """What a table has of them: the digest of those that were installed last, and whether all are there."""

    digest: bytes | None
    there: bool


async def _bind_table(
    conn: AsyncConnection[Any], catalogue: Catalogue, table: Table
) -> tuple[BoundTable | None, _Stamps, list[Mistake]]:
    wrong: list[Mistake] = []

    def mistake(message: str) -> None:
        wrong.append(Mistake(table.place, f"table {table.name}: {message}"))

    where = {"schema": table.schema, "table": table.table}
    rows, constraints = await _ask(
        conn, [(load(__package__, "read_columns"), where), (load(__package__, "read_constraints"), where)]
    )
    if not rows:
        mistake("there is no such table in the database; run its migration first")
        return None, _Stamps(None, False), wrong
    (named,), (there,) = await _ask(
        conn, [(load(__package__, "name_table"), {"name": table.name}), (load(__package__, "has_stamps"), where)]
    )
    standing = _Stamps(named["triggers"], there["there"])
    keys: list[str] = next((c["columns"] for c in constraints if c["kind"] == "p"), [])
    if len(keys) != 1:
        mistake(f"it needs a primary key of one column to be synced (it has {len(keys)})")
        return None, standing, wrong
    types = {row["name"]: row["sql_type"] for row in rows}
    stamped = types.get(CHANGED) == "xid8"
    if CHANGED in types and not stamped:
        mistake(f"it has a column {CHANGED!r} of its own, where the stamp goes; rename it")
        return None, standing, wrong
    # A version that is there before the stamps is the table's own, whatever its type.
    own = VERSION in types and (not stamped or types[VERSION] != "integer" or OTHER_VERSION in types)
    version = OTHER_VERSION if own else VERSION
    columns: dict[str, Column] = {}
    hidden: list[str] = [name for name in table.hide if any(r["name"] == name for r in rows)]
    for row in rows:
        name = row["name"]
        if name in (version, CHANGED) or name in table.hide:
            continue
        labels = tuple(row["labels"] or ())
        wire = wire_type(
            row["type_name"],
            typmod=row["typmod"],
            sql_type=row["sql_type"],
            labels=labels,
            element=row["element"],
            schema=row["type_schema"],
        )
        if wire is None:
            mistake(f"column {name!r} is of type {row['sql_type']}, which cannot travel; hide it or change its type")
            continue
        default = row["default_expression"]
        if row["identity"] and row["sequence"]:
            default = f"nextval('{row['sequence']}')"
        columns[name] = Column(name, wire, row["nullable"], default, row["generated"] and name != keys[0], labels)
    every = {row["name"] for row in rows}
    named_columns = {
        "hide": table.hide,
        "fill": set(table.fill),
        "named": set(table.named),
        "merge": set(table.merge.fields),
        "soft_delete": {table.soft_delete} - {None},
        **{
            f"write[{role!r}]": {c for part in (r.create, r.update) if isinstance(part, frozenset) for c in part}
            - set(table.extra)
            for role, r in table.write.items()
        },
    }
    for word, names in named_columns.items():
        for missing in sorted(str(name) for name in names if name not in every):
            mistake(f"{word} names column {missing!r}, which the table does not have")
    for member in table.extra:
        if member in every:
            mistake(f"extra member {member!r} is also a column")
    key_row = next(row for row in rows if row["name"] == keys[0])
    if key_row["sql_type"] not in _KEY_TYPES:
        mistake(f"its key {keys[0]!r} is of type {key_row['sql_type']}; keys are uuid, text or integers")
    if keys[0] not in columns:
        return None, standing, wrong
    scope_keys: list[ScopeKey] = []
    asked = [(scope, expression) for scope, expressions in table.in_scopes.items() for expression in expressions]
    for (scope, expression), (typed, problem) in zip(
        asked, await _types_of(conn, table, [expression for _, expression in asked]), strict=True
    ):
        if typed is None:
            mistake(f"scope {scope!r}: {expression!r}: {problem}")
            continue
        qualified = f"{table.app}.{scope}"
        constant = not any(column in expression for column in every)
        scope_keys.append(ScopeKey(qualified, expression, typed, constant, catalogue.scopes[qualified].held_by))
    # Constant keys first: whoever holds one of them holds the whole table, and pull then skips the other keys.
    scope_keys.sort(key=lambda key: not key.constant)
    for scope_key, problem in zip(scope_keys, await _try_held(conn, table, scope_keys), strict=True):
        if problem is not None:
            mistake(
                f"scope {scope_key.scope!r}: the key {scope_key.expression!r} does not compare with held_by: {problem}"
            )
    if table.public is not None:
        condition = f"SELECT ({table.public}) IS TRUE FROM {table.name} LIMIT 0"
        wrong += await _try_query(conn, table.place, f"table {table.name}: public", condition)
    for column, expression in table.fill.items():
        wrong += await _try_query(conn, table.place, f"table {table.name}: fill[{column!r}]", f"SELECT {expression}")
    for column, query in table.named.items():
        wrong += await _try_query(conn, table.place, f"table {table.name}: named[{column!r}]", query, columns=2)
    if wrong:
        return None, standing, wrong
    references = {
        c["columns"][0]: Reference(c["columns"][0], c["to_table"], c["to_column"])
        for c in constraints
        if c["kind"] == "f" and len(c["columns"]) == 1
    }
    unique = tuple(frozenset(c["columns"]) for c in constraints if c["kind"] == "u")
    key = columns[keys[0]]
    return (
        BoundTable(
            id=named["id"],
            declared=table,
            resource_type=catalogue.wire_type(table),
            key=key,
            key_type=key_row["sql_type"],
            key_default=key.default,
            columns=columns,
            hidden=tuple(hidden),
            scope_keys=tuple(scope_keys),
            references=references,
            extra=table.extra,
            unique=unique,
            version=version,
        ),
        standing,
        wrong,
    )


Asked = tuple[Any, Mapping[str, Any] | None]
"""A statement and its parameters."""


async def _ask(conn: AsyncConnection[Any], asked: Sequence[Asked]) -> list[list[Any]]:
    """The rows of each, as dicts, in one round trip: a node opens tenants all day, and most of it was waiting."""
    async with conn.pipeline():
        cursors = [await conn.cursor(row_factory=dict_row).execute(query, params) for query, params in asked]
    return [await cursor.fetchall() for cursor in cursors]


async def _ask_each(conn: AsyncConnection[Any], asked: Sequence[Asked]) -> list[tuple[list[Any], str | None]]:
    """As ``_ask``, for statements that may be wrong: the rows of each, or what is wrong with it."""
    with suppress(psycopg.Error):  # of one of them; those after it were not tried
        return [(rows, None) for rows in await _ask(conn, asked)]
    found: list[tuple[list[Any], str | None]] = []
    for each in asked:
        try:
            found += [(rows, None) for rows in await _ask(conn, [each])]
        except psycopg.Error as error:
            found.append(([], str(error.diag.message_primary or error)))
    return found


async def _types_of(
    conn: AsyncConnection[Any], table: Table, expressions: Sequence[str]
) -> list[tuple[str | None, str | None]]:
    """SQL type of each scope key's expression, or what is wrong with it. 'unknown' literals are text."""
    query = sql.SQL(
        "SELECT format_type(CASE WHEN o = 705 THEN 25 ELSE o END, NULL) AS type FROM (SELECT pg_typeof(k)::oid AS o"
        " FROM (SELECT ({e}) AS k FROM (SELECT (NULL::{t}).*) AS homing_row) q) z"
    )
    named = sql.Identifier(table.schema, table.table)
    found = await _ask_each(conn, [(query.format(e=sql.SQL(each), t=named), None) for each in expressions])
    return [(rows[0]["type"] if rows else None, problem) for rows, problem in found]


async def _try_held(conn: AsyncConnection[Any], table: Table, keys: Sequence[ScopeKey]) -> list[str | None]:
    """Whether each key can be compared with what held_by gives; what is wrong if not."""
    query = sql.SQL("SELECT (({}) IN ({})) FROM {} LIMIT 0")
    named = sql.Identifier(table.schema, table.table)
    asked = [(query.format(sql.SQL(key.expression), sql.SQL(key.held_by), named), {"user": _NOBODY}) for key in keys]
    return [problem for _, problem in await _ask_each(conn, asked)]


async def _try_query(
    conn: AsyncConnection[Any], place: Any, what: str, query: str, *, columns: int = 1
) -> list[Mistake]:
    params = {"user": _NOBODY, "device": _NOBODY, "names": [""], "snapshot": "1:1:"}
    try:
        async with conn.transaction(force_rollback=True):
            cursor = await conn.execute(query, params)
            if len(cursor.description or ()) != columns:
                wanted = {0: "no rows", 1: "one column"}.get(columns, f"{columns} columns")
                return [Mistake(place, f"{what}: it must give {wanted}")]
    except psycopg.Error as error:
        return [Mistake(place, f"{what}: {error.diag.message_primary or error}")]
    except psycopg.ProgrammingError as error:
        return [Mistake(place, f"{what}: {error}")]
    return []


async def _install(
    conn: AsyncConnection[Any], table: BoundTable, standing: _Stamps, *, install: bool, mistakes: list[Mistake]
) -> None:
    wanted = stamps.digest(table)
    if standing.digest == wanted and standing.there:
        return
    if not install:
        mistakes.append(
            Mistake(table.declared.place, f"table {table.name}: its stamps are missing or old; run `homing migrate`")
        )
        return
    async with conn.transaction():
        await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('homing stamps', 0))")
        await stamps.add_columns(conn, table)
        for statement in stamps.statements(table):
            await conn.execute(statement)
        await conn.execute("UPDATE homing.synced_tables SET triggers = %s WHERE id = %s", [wanted, table.id])
        if standing.digest and not standing.there:
            # Dropped and made anew: which rows went with the old one is not known, so every device starts again.
            await conn.execute(load(__package__, "begin_epoch"), {"reason": f"{table.name} was made anew"})
