"""An application's declaration: scopes and synced tables."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from homing.declare.edits import Check, Hook
from homing.declare.policies import FieldPolicies, by_field
from homing.declare.rights import Rights
from homing.protocol.rates import Rate


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was declared, for mistakes."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def _caller() -> Place:
    frame = sys._getframe(2)
    return Place(frame.f_code.co_filename, frame.f_lineno)


@dataclass(frozen=True, slots=True)
class Scope:
    """A named part of the data. ``held_by`` is a query with one column and the parameter ``%(user)s``: the keys of the
    scope that this user holds. It may join anything."""

    name: str
    held_by: str
    place: Place


@dataclass(frozen=True, slots=True)
class Table:
    """A synced table of ``app``: ``schema.table``, called ``resource_type`` on the wire, or ``full_type`` where another
    app of the server has a table of the same type."""

    app: str
    schema: str
    table: str
    resource_type: str
    in_scopes: Mapping[str, tuple[str, ...]]
    write: Mapping[str, Rights]
    merge: FieldPolicies
    checks: tuple[Check, ...]
    prepare: tuple[Hook, ...]
    effects: tuple[Hook, ...]
    hide: frozenset[str]
    fill: Mapping[str, str]
    named: Mapping[str, str]
    extra: Mapping[str, Any]
    soft_delete: str | None
    on_ack: str | None
    public: str | None
    place: Place

    @property
    def name(self) -> str:
        return f"{self.schema}.{self.table}"

    @property
    def full_type(self) -> str:
        return f"{self.app}.{self.resource_type}"


def singular(table: str) -> str:
    """``jobs`` → ``job``, ``companies`` → ``company``, ``submission_media`` stays. Override it where it is wrong."""
    if table.endswith("ies"):
        return table[:-3] + "y"
    if table.endswith(("sses", "xes", "ches", "shes")):
        return table[:-2]
    if table.endswith("s") and not table.endswith("ss"):
        return table[:-1]
    return table


@dataclass(slots=True)
class App:
    """One application. ``schema`` is its Postgres schema (its name, by default); ``migrations`` the package whose
    ``schema/`` folder holds its plain SQL migrations, None where somebody else keeps the tables. ``rates`` bound how
    often its routes are called: ``{"web": Rate(100, 900), "mobile": Rate(200, 900)}``, by everybody's own platform;
    without them nothing does."""

    name: str
    title: str = ""
    schema: str = ""
    migrations: str | None = None
    place: Place = field(default_factory=lambda: Place("", 0))
    rates: Mapping[str, Rate] = field(default_factory=dict)
    scopes: list[Scope] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.place = _caller()
        self.title = self.title or self.name
        self.schema = self.schema or self.name

    def scope(self, name: str, *, held_by: str) -> Scope:
        """Declare a scope and who holds which of its keys."""
        scope = Scope(name, held_by.strip().rstrip(";"), _caller())
        self.scopes.append(scope)
        return scope

    def table(
        self,
        table: str,
        *,
        in_scopes: Mapping[str, str | Sequence[str]],
        write: Mapping[str, Rights],
        merge: FieldPolicies | None = None,
        checks: Sequence[Check] = (),
        prepare: Sequence[Hook] = (),
        effects: Sequence[Hook] = (),
        hide: Sequence[str] = (),
        fill: Mapping[str, str] | None = None,
        named: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
        soft_delete: str | None = None,
        resource_type: str | None = None,
        on_ack: str | None = None,
        public: str | None = None,
    ) -> Table:
        """Declare a synced table.

        ``table`` is a name in the app's schema, or ``schema.table``. ``in_scopes`` maps a scope to the SQL expression
        (or several) over the row's own columns that gives its key; NULL means not in that scope. ``write`` maps a role
        to its rights; a role that is not named only reads. ``fill`` maps a column to an SQL expression (parameters
        ``%(user)s``, ``%(device)s``) used on create when the client gave no value. ``hide`` names columns that never
        travel. ``named`` maps a column that refers to rows to a query of (name, key) for the parameter ``%(names)s``, a
        text array: clients may then give such a name in place of the key. ``extra`` maps members of the payload that
        are no columns to their msgspec types; hooks get them.
        ``soft_delete`` names a boolean column that a device's delete sets instead of removing the row.
        ``on_ack`` is a statement that is run when a device acks a token (parameters ``%(user)s``, ``%(device)s`` and
        ``%(snapshot)s``, a text: what ``pg_visible_in_snapshot(changed, %(snapshot)s::text::pg_snapshot)`` calls
        visible is on the device); the rows it touches count as synced.
        ``public`` is a condition over the row's own columns: rows that everybody signed in may look at by REST and
        refer to in what they write, although their device does not hold them (a listing too long for a phone).
        """
        schema, _, name = table.rpartition(".")
        declared = Table(
            app=self.name,
            schema=schema or self.schema,
            table=name,
            resource_type=resource_type or singular(name),
            in_scopes={k: (v,) if isinstance(v, str) else tuple(v) for k, v in in_scopes.items()},
            write=dict(write),
            merge=merge or by_field(),
            checks=tuple(checks),
            prepare=tuple(prepare),
            effects=tuple(effects),
            hide=frozenset(hide),
            fill=dict(fill or {}),
            named={k: v.strip().rstrip(";") for k, v in (named or {}).items()},
            extra=dict(extra or {}),
            soft_delete=soft_delete,
            on_ack=on_ack.strip().rstrip(";") if on_ack is not None else None,
            public=public,
            place=_caller(),
        )
        self.tables.append(declared)
        return declared
