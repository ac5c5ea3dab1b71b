"""The audit log: every change of every declared table, whoever made it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from litestar import get
from litestar.params import QueryParameter

from homing.accounts import users
from homing.console.rows import find_table
from homing.console.shell import Asked, Html, render
from homing.console.trail import read_trail
from homing.server.pages import LIMIT_DEFAULT, After, Limit, read_cursor
from homing.server.routing import OFFICE
from homing.server.tenant import Tenant

Kind = Annotated[str | None, QueryParameter(max_length=200, description="app.type of a table.")]


@get("/audit", roles=OFFICE)
async def get_audit(
    *,
    request: Asked,
    tenant: Tenant,
    table: Kind = None,
    action: Literal["create", "update", "delete"] | None = None,
    actor: UUID | None = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Html:
    """Changes, the latest first."""
    filters = {
        "table_id": find_table(tenant, table).id if table else None,
        "action": action,
        "actor": None if actor is None else str(actor),
    }
    page = await read_trail(
        tenant.engine,
        filters=filters,
        after=read_cursor(after, tuple[datetime, int, str, int]),
        limit=limit,
        now=tenant.clock(),
    )
    person = None
    if actor is not None:
        async with tenant.database.connection() as conn:
            person = await users.read(conn, actor)
    return render(
        request,
        "audit.html",
        title="Audit log",
        page=page,
        given={"table": table, "action": action, "actor": None if actor is None else str(actor)},
        kinds=sorted((each.declared.full_type, each.declared.full_type) for each in tenant.engine.bound.tables),
        person=person,
        after=after,
    )


ROUTES = [get_audit]
