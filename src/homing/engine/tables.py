"""Declared tables joined with what the database says of them: columns, key, scope keys, references.

``BoundTable`` holds everything push and pull need to compose SQL for one table, made once at start. Identifiers enter
SQL only from here, and they come from the catalogue of the database, never from a request.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql

from homing.declare import ANYONE, Rights, Table
from homing.postgres.codec import WireType

CHANGED = "changed"
VERSION = "version"
OTHER_VERSION = "row_version"
"""Name of the version stamp in tables that have a ``version`` of their own, which is no integer."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column that travels. ``default`` is its SQL default expression; ``generated`` ones are never written."""

    name: str
    wire: WireType
    nullable: bool
    default: str | None
    generated: bool
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reference:
    """A single-column foreign key to a synced table."""

    column: str
    table: str
    to_column: str


@dataclass(frozen=True, slots=True)
class ScopeKey:
    """One way of a table's rows into a scope: the expression for the key, and its SQL type. ``constant`` when it uses
    no column (an index on the stamp alone then serves it)."""

    scope: str
    expression: str
    sql_type: str
    constant: bool
    held_by: str


@dataclass(frozen=True, slots=True)
class BoundTable:
    id: int
    declared: Table
    resource_type: str
    """The name on the wire: the declared one, or ``app.type`` where two apps of the server declare the same."""
    key: Column
    key_type: str
    key_default: str | None
    columns: Mapping[str, Column]
    hidden: tuple[str, ...]
    scope_keys: tuple[ScopeKey, ...]
    references: Mapping[str, Reference]
    extra: Mapping[str, Any]
    unique: tuple[frozenset[str], ...] = ()
    version: str = VERSION
    """The stamp column that counts versions."""
    reader: list[Any] = field(default_factory=list)
    """The payload reader, made when first needed (see values.py)."""

    @property
    def name(self) -> str:
        return self.declared.name

    @property
    def qualified(self) -> sql.Composable:
        """``"schema"."table"``"""
        return sql.Identifier(self.declared.schema, self.declared.table)

    @property
    def version_sql(self) -> sql.Composable:
        """The name of the stamp column that counts versions."""
        return sql.Identifier(self.version)

    @property
    def numbers_itself(self) -> bool:
        """Whether keys that a client leaves out come from the database, and not from a UUID made here."""
        return self.key_type != "uuid" and self.key_default is not None

    def rights(self, role: str) -> Rights:
        return self.declared.write.get(role) or self.declared.write.get(ANYONE, _NONE)

    def writable(self, column: str) -> bool:
        """Whether any role could write it: not a stamp, not hidden, not generated."""
        found = self.columns.get(column)
        return found is not None and not found.generated

    def payload_columns(self, alias: str = "t", *, columns: Collection[str] | None = None) -> sql.Composable:
        """The columns that travel (of ``columns``, where they are given), in order, in wire form: what ``row_to_json``
        makes a payload of."""
        return sql.SQL(", ").join(
            sql.SQL("{} AS {}").format(self.read_sql(column, alias), sql.Identifier(column.name))
            for column in self.columns.values()
            if columns is None or column.name in columns
        )

    def payload_sql(self, alias: str = "t", *, columns: Collection[str] | None = None) -> sql.Composable:
        """The row's payload as JSON, made by Postgres."""
        return sql.SQL("row_to_json((SELECT homing_payload FROM (SELECT {}) AS homing_payload))").format(
            self.payload_columns(alias, columns=columns)
        )

    def read_sql(self, column: Column, alias: str = "t") -> sql.Composable:
        """One column in wire form."""
        return _template(column.wire.read, sql.Identifier(alias, column.name))

    def write_sql(self, column: Column, alias: str) -> sql.Composable:
        """A value read from JSON as ``column.wire.declared``, turned into the column's type."""
        return _template(column.wire.write, sql.Identifier(alias, column.name))

    def held_sql(self) -> sql.Composable:
        """A condition over the row's own (unqualified) columns: the user ``%(user)s`` holds one of its scopes."""
        parts = [
            sql.SQL("(({}) IN ({}))").format(sql.SQL(key.expression), sql.SQL(key.held_by)) for key in self.scope_keys
        ]
        return sql.SQL("(({}) IS TRUE)").format(sql.SQL(" OR ").join(parts))

    def seen_sql(self) -> sql.Composable:
        """The same, or the row is public: what the user may look at and refer to."""
        if self.declared.public is None:
            return self.held_sql()
        return sql.SQL("((({}) IS TRUE) OR {})").format(sql.SQL(self.declared.public), self.held_sql())


def _template(template: str, value: sql.Composable) -> sql.Composable:
    filled = sql.SQL(template.replace("{0}", "{}").replace("{}", "{v}"))
    return filled.format(v=value)


_NONE = Rights(create=None, update=None, delete=False)
