"""The catalogue of all applications of a server, checked together.

Every mistake is found in one go and reported with the file and line of the declaration it is in; nothing starts while
there is one. What only the database can tell (columns, types, SQL) is checked by ``homing.engine.bind`` and reported
the same way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from homing.declare.app import App, Place, Scope, Table

_NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")


@dataclass(frozen=True, slots=True)
class Mistake:
    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class DeclarationError(Exception):
    """All mistakes of all declarations, one a line."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in mistakes))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All scopes by qualified name (``app.scope``) and all tables in order of declaration."""

    apps: tuple[App, ...]
    scopes: Mapping[str, Scope]
    tables: tuple[Table, ...]

    @classmethod
    def of(cls, apps: Sequence[App]) -> Catalogue:
        """Check the declarations of all apps together. Raises DeclarationError with every mistake found."""
        mistakes: list[Mistake] = []
        scopes: dict[str, Scope] = {}
        tables: list[Table] = []
        seen_apps: set[str] = set()
        seen_tables: dict[str, Table] = {}
        for app in apps:
            if not _NAME.match(app.name):
                mistakes.append(
                    Mistake(app.place, f"app name {app.name!r}: use lower-case letters, digits, underscores")
                )
            if app.name in seen_apps:
                mistakes.append(Mistake(app.place, f"two apps are called {app.name!r}"))
            seen_apps.add(app.name)
            for scope in app.scopes:
                qualified = f"{app.name}.{scope.name}"
                if not _NAME.match(scope.name):
                    mistakes.append(
                        Mistake(scope.place, f"scope name {scope.name!r}: use lower-case letters, digits, underscores")
                    )
                if qualified in scopes:
                    mistakes.append(
                        Mistake(
                            scope.place, f"scope {scope.name!r} is declared twice, first at {scopes[qualified].place}"
                        )
                    )
                if ";" in scope.held_by:
                    mistakes.append(
                        Mistake(scope.place, f"scope {scope.name!r}: held_by must be one query, without ';'")
                    )
                scopes[qualified] = scope
            own = {scope.name for scope in app.scopes}
            types: dict[str, Table] = {}
            for table in app.tables:
                mistakes.extend(_mistakes_of(table, own))
                if table.name in seen_tables:
                    first = seen_tables[table.name]
                    mistakes.append(
                        Mistake(table.place, f"table {table.name} is declared twice, first at {first.place}")
                    )
                seen_tables[table.name] = table
                if table.resource_type in types:
                    mistakes.append(
                        Mistake(
                            table.place,
                            f"resource type {table.resource_type!r} is used twice,"
                            f" first at {types[table.resource_type].place}",
                        )
                    )
                types[table.resource_type] = table
                tables.append(table)
        if mistakes:
            raise DeclarationError(mistakes)
        return cls(tuple(apps), scopes, tuple(tables))

    def by_resource_type(self) -> dict[str, Table]:
        """Names a client may use: ``app.type`` always, the plain type where one app only declares it."""
        names = {table.full_type: table for table in self.tables}
        return names | {self.wire_type(table): table for table in self.tables}

    def wire_type(self, table: Table) -> str:
        """The name the server uses for ``table``: its plain type, or ``app.type`` where another app has the same."""
        shared = any(other.resource_type == table.resource_type for other in self.tables if other is not table)
        return table.full_type if shared else table.resource_type


def _mistakes_of(table: Table, scopes: set[str]) -> list[Mistake]:
    found = []

    def mistake(message: str) -> None:
        found.append(Mistake(table.place, f"table {table.name}: {message}"))

    if not _NAME.match(table.resource_type):
        mistake(f"resource type {table.resource_type!r}: use lower-case letters, digits, underscores")
    if not table.in_scopes:
        mistake("in_scopes is empty, so no device would ever get a row; name at least one scope")
    for scope, expressions in table.in_scopes.items():
        if scope not in scopes:
            known = ", ".join(sorted(scopes)) or "none"
            mistake(f"scope {scope!r} is not declared in this app (declared: {known})")
        for expression in expressions:
            if ";" in expression or "%" in expression:
                mistake(f"scope {scope!r}: the key must be one SQL expression over the row's own columns")
    if not table.write:
        mistake("write is empty; name the roles that may write, even if it is only OWNER")
    if overlap := table.hide & set(table.merge.fields):
        mistake(f"hidden columns have a merge policy: {', '.join(sorted(overlap))}")
    for column, policy in table.merge.fields.items():
        if policy.kind == "furthest" and len(set(policy.states)) < 2:
            mistake(f"furthest({column}) needs at least two different states, in order")
    return found
