"""The routes of meters."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, get, patch, post
from litestar.params import QueryParameter

from homing.engine.caller import Caller, Claims
from homing.engine.tables import BoundTable
from homing.server.answers import RawJson
from homing.server.bodies import read
from homing.server.listing import Query, list_rows
from homing.server.pages import LIMIT_DEFAULT, After, Limit, Page
from homing.server.routing import OFFICE, SIGNED_IN
from homing.server.rows import read_row
from homing.server.tenant import Tenant
from homing.server.writing import Columns, create, update

Asked = Request[Any, Any, Any]
Row = dict[str, Any]


@get("/meters", roles=SIGNED_IN, answer=Page[Row])
async def get_meters(
    *,
    tenant: Tenant,
    caller: Caller,
    team: Annotated[UUID | None, QueryParameter(description="A team's id.")] = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> RawJson:
    """Meters, newest first: all for the office, their teams' for everybody else."""
    params: dict[str, dict[str, Any]] = {}
    if caller.role != "OWNER":
        params["worker"] = {"user": caller.user_id}
    if team is not None:
        params["team"] = {"team": team}
    query = Query(
        "homing.apps.fieldwork",
        "list_meters",
        frozenset(params),
        {k: v for each in params.values() for k, v in each.items()},
    )
    async with tenant.database.connection() as conn:
        page = await list_rows(conn, query, table=_table(tenant), after=after, limit=limit)
    return RawJson(msgspec.json.encode(page))


@get("/meters/{meter_id:uuid}", roles=SIGNED_IN, answer=Row)
async def get_meter(tenant: Tenant, caller: Caller, meter_id: UUID) -> RawJson:
    """One meter."""
    return await _meter(tenant, caller, meter_id)


@post("/meters", roles=OFFICE, body=Row, answer=Row)
async def post_meter(request: Asked, tenant: Tenant, caller: Caller, claims: Claims) -> RawJson:
    """Create a meter: its columns, of which ``code`` is needed."""
    made = await create(tenant.engine, claims, "fieldwork.meter", await read(request, Columns))
    return await _meter(tenant, caller, made, status=201)


@patch("/meters/{meter_id:uuid}", roles=SIGNED_IN, body=Row, answer=Row)
async def patch_meter(request: Asked, tenant: Tenant, caller: Caller, claims: Claims, meter_id: UUID) -> RawJson:
    """Change columns of a meter, by the rules of a push. With ``server_version``, 409 where others changed the same."""
    await update(tenant.engine, claims, "fieldwork.meter", meter_id, await read(request, Columns))
    return await _meter(tenant, caller, meter_id)


ROUTES = (get_meters, get_meter, post_meter, patch_meter)


def _table(tenant: Tenant) -> BoundTable:
    return tenant.engine.bound.by_resource_type["fieldwork.meter"]


async def _meter(tenant: Tenant, caller: Caller, meter_id: UUID, *, status: int = 200) -> RawJson:
    async with tenant.database.connection() as conn:
        return RawJson(bytes(await read_row(conn, _table(tenant), caller, meter_id)), status=status)
