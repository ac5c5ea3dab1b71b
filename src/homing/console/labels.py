"""What rows and scopes are called: people know a meter by its code and a team by its name, not by their keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from homing.console.rows import read_labels
from homing.engine.caller import Caller
from homing.engine.tables import BoundTable
from homing.server.tenant import Tenant

SCOPES_NAMED_MAX: Final = 500
"""A device may hold thousands of scopes; those that a page shows are named."""


async def of_rows(tenant: Tenant, caller: Caller, rows: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """(resource_type, key) → what the row is called, of those that have a name. One query a table."""
    wanted: dict[str, set[str]] = {}
    for kind, key in rows:
        wanted.setdefault(kind, set()).add(key)
    found: dict[tuple[str, str], str] = {}
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        for kind, keys in wanted.items():
            table = tenant.engine.bound.by_resource_type.get(kind)
            if table is not None:
                named = await read_labels(conn, table, caller, sorted(keys))
                found |= {(kind, key): text for key, text in named if text}
    return found


async def of_scopes(tenant: Tenant, caller: Caller, scopes: Iterable[str]) -> dict[str, str]:
    """Scope → what the row is called that it is about, where its key is a row's own."""
    kinds = {name: table for table in tenant.engine.bound.tables for name in _about(table)}
    wanted = {}
    for scope in list(scopes)[:SCOPES_NAMED_MAX]:
        name, _, key = scope.partition(":")
        if name in kinds:
            wanted[scope] = (kinds[name].resource_type, key)
    named = await of_rows(tenant, caller, wanted.values())
    return {scope: named[row] for scope, row in wanted.items() if row in named}


def _about(table: BoundTable) -> list[str]:
    """The scopes whose key is this table's own: a team's scope, of the table of teams."""
    return [each.scope for each in table.scope_keys if each.expression.strip() == table.key.name]
