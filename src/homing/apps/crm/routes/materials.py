"""The routes of materials: the checklist of a job."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, delete, get, patch, post

from homing.apps.crm.dashboards import checklist
from homing.engine.caller import Caller, Claims
from homing.engine.tables import BoundTable
from homing.server import writing
from homing.server.answers import RawJson
from homing.server.bodies import read
from homing.server.pages import LIMIT_DEFAULT, After, Limit, Page
from homing.server.routing import SIGNED_IN
from homing.server.rows import read_row
from homing.server.tenant import Tenant
from homing.server.writing import Columns, create, update

Asked = Request[Any, Any, Any]
Row = dict[str, Any]
TYPE = "crm.material"


@get("/jobs/{job_id:uuid}/materials", roles=SIGNED_IN, answer=Page[Row])
async def get_materials(
    tenant: Tenant, caller: Caller, job_id: UUID, limit: Limit = LIMIT_DEFAULT, after: After = None
) -> RawJson:
    """A job's checklist, what is to be bought first."""
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        await read_row(conn, tenant.engine.bound.by_resource_type["crm.job"], caller, job_id)
        page = await checklist(conn, job_id, table=_table(tenant), after=after, limit=limit)
    return RawJson(msgspec.json.encode(page))


@post("/jobs/{job_id:uuid}/materials", roles=SIGNED_IN, body=Row, answer=Row)
async def post_material(request: Asked, tenant: Tenant, caller: Caller, claims: Claims, job_id: UUID) -> RawJson:
    """Write something down that the job needs."""
    columns = {**await read(request, Columns), "job_id": str(job_id)}
    made = await create(tenant.engine, claims, TYPE, columns)
    return await _material(tenant, caller, made, status=201)


@patch("/materials/{material_id:uuid}", roles=SIGNED_IN, body=Row, answer=Row)
async def patch_material(request: Asked, tenant: Tenant, caller: Caller, claims: Claims, material_id: UUID) -> RawJson:
    """Change a material, or tick it with ``purchased``: who and when are filled in. With ``server_version``, 409 where
    others changed the same."""
    await update(tenant.engine, claims, TYPE, material_id, await read(request, Columns))
    return await _material(tenant, caller, material_id)


@delete("/materials/{material_id:uuid}", roles=SIGNED_IN)
async def delete_material(tenant: Tenant, claims: Claims, material_id: UUID) -> None:
    """Take a material off the list; it stays in the database, marked."""
    await writing.delete(tenant.engine, claims, TYPE, material_id)


ROUTES = (get_materials, post_material, patch_material, delete_material)


def _table(tenant: Tenant) -> BoundTable:
    return tenant.engine.bound.by_resource_type[TYPE]


async def _material(tenant: Tenant, caller: Caller, material_id: UUID, *, status: int = 200) -> RawJson:
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        row = await read_row(conn, _table(tenant), caller, material_id)
    return RawJson(bytes(row), status=status)
