"""Roles: who may write what, as the applications declare it."""

from __future__ import annotations

from dataclasses import dataclass

from litestar import get

from homing.console.rows import title_of
from homing.console.shell import Asked, Html, render
from homing.declare.rights import Columns
from homing.engine.tables import BoundTable
from homing.server.routing import OFFICE
from homing.server.tenant import Tenant


@dataclass(frozen=True, slots=True)
class May:
    """What a role may do with a table's rows; columns where not all."""

    create: str | None
    update: str | None
    delete: bool


@get("/roles", roles=OFFICE)
async def get_roles(request: Asked, tenant: Tenant) -> Html:
    """Tables by application, roles beside each other."""
    roles = sorted(tenant.roles, key=lambda role: (role != "OWNER", role != "WORKER", role))
    tables = [
        (title_of(table), table.declared.full_type, table.declared.app, [_may(table, role) for role in roles])
        for table in tenant.engine.bound.tables
    ]
    tables.sort(key=lambda row: [app.name for app in tenant.apps].index(row[2]))
    return render(request, "roles.html", title="Roles", roles=roles, tables=tables)


ROUTES = [get_roles]


def _may(table: BoundTable, role: str) -> May:
    rights = table.rights(role)
    return May(_columns(table, rights.create), _columns(table, rights.update), rights.delete)


def _columns(table: BoundTable, columns: Columns | None) -> str | None:
    if columns is None:
        return None
    named = [name for name in table.columns if name in columns]
    return "all columns" if len(named) == len(table.columns) else ", ".join(named) or "nothing"
