"""Why a device has a row or not, in words: pick the device, the table and the row, or search for it."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

from litestar import get
from litestar.params import QueryParameter

from homing.accounts import devices
from homing.console import labels
from homing.console.pages.conflicts import tables_of
from homing.console.shell import Asked, Html, render
from homing.engine import explain
from homing.engine.caller import Caller
from homing.protocol.errors import Problem
from homing.server.routing import OFFICE
from homing.server.tenant import Tenant

FOUND_MAX: Final = 20
CHANGES_SHOWN: Final = 10

Text = Annotated[str | None, QueryParameter(max_length=2000)]


@get("/explain", roles=OFFICE)
async def get_explain(
    *,
    request: Asked,
    tenant: Tenant,
    caller: Caller,
    device: UUID | None = None,
    table: Text = None,
    row: Text = None,
    q: Text = None,
) -> Html:
    """``row``: a key. ``q``: a key, or text of the row to look for."""
    found = None
    choices = await devices.read_page(tenant.database, after=None, limit=200, status=None, user_id=None, q=None)
    if device is not None:
        found = next((each for each in choices if each.id == device), None)
        if found is None:
            async with tenant.database.connection() as conn:
                found = await devices.read(conn, device)
            choices = [found, *choices]
    rows: list[explain.Found] = []
    key, told, past, unknown = row, None, [], False
    if table is not None and table not in tenant.engine.bound.by_resource_type:
        raise Problem("not_found", "There is no such table.")
    if found is not None and table and q and not row:
        rows = await explain.search(tenant.engine, resource_type=table, text=q, limit=FOUND_MAX)
        # A key that is no row's is a question too: it may have been deleted.
        key = rows[0].row_id if len(rows) == 1 else None if rows else q
    if found is not None and table and key:
        try:
            told = await explain.explain(tenant.engine, device=found.device_id, resource_type=table, row=key)
            past = await explain.history(tenant.engine, resource_type=table, row=key, limit=CHANGES_SHOWN)
        except Problem as problem:
            if problem.code.code != "not_found":
                raise
            unknown = True
    bound = None if table is None else tenant.engine.bound.by_resource_type[table]
    return render(
        request,
        "explain.html",
        title="Explain a row",
        crumbs=[("Devices", "/console/devices")]
        + ([(found.device_id, f"/console/devices/{found.id}")] if found is not None else []),
        device=found,
        devices=[(each.id, f"{each.device_id} · {each.user_name or 'nobody'}") for each in choices],
        tables=tables_of(tenant),
        table=table,
        kind=bound.declared.full_type if bound is not None else None,
        asked=row or q or "",
        rows=rows if told is None else [],
        told=told,
        past=past,
        unknown=unknown,
        called={} if told is None else await labels.of_scopes(tenant, caller, [*told.row_scopes, *told.left]),
        searched_max=explain.SEARCHED_MAX,
    )


ROUTES = [get_explain]
