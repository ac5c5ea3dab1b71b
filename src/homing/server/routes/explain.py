"""Why a device holds or lacks a row, and what happened to the row."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import get
from litestar.params import Parameter

from homing.accounts import devices
from homing.engine import explain
from homing.engine.explain import Change, Explanation
from homing.server.pages import LIMIT_DEFAULT, After, Limit, Page, page_of, read_cursor
from homing.server.routing import OFFICE
from homing.server.tenant import Tenant

RowKey = Annotated[str, Parameter(max_length=2000, description="The row's key.")]
ResourceType = Annotated[str, Parameter(max_length=200, description="resource_type, as in push and pull.")]


@get("/mobile/devices/{device_id:uuid}/explain", roles=OFFICE)
async def get_explanation(tenant: Tenant, device_id: UUID, table: ResourceType, row: RowKey) -> Explanation:
    """Scopes, delivery and the reason in one sentence."""
    async with tenant.database.connection() as conn:
        device = await devices.read(conn, device_id)
    return await explain.explain(tenant.engine, device=device.device_id, resource_type=table, row=row)


@get("/mobile/history", roles=OFFICE)
async def get_history(
    tenant: Tenant, table: ResourceType, row: RowKey, limit: Limit = LIMIT_DEFAULT, after: After = None
) -> Page[Change]:
    """Who changed what of one row, the newest first."""
    found = await explain.history(
        tenant.engine,
        resource_type=table,
        row=row,
        before=read_cursor(after, tuple[datetime, int]),
        limit=limit + 1,
    )
    return page_of(found, limit=limit, place=lambda change: (change.at, change.version))


ROUTES = [get_explanation, get_history]
