"""The routes of teams and their members. Whoever joins a team gets its rows with the next pull; whoever leaves, loses
them."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, delete, get, patch, post, put

from homing.apps.fieldwork import teams
from homing.apps.fieldwork.teams import Member
from homing.engine.caller import Caller, Claims
from homing.engine.tables import BoundTable
from homing.server.answers import RawJson
from homing.server.bodies import read
from homing.server.listing import Query, list_rows
from homing.server.pages import LIMIT_DEFAULT, After, Limit, Page
from homing.server.routing import OFFICE, SIGNED_IN
from homing.server.rows import read_row, with_member
from homing.server.tenant import Tenant
from homing.server.writing import create, update

Asked = Request[Any, Any, Any]
Row = dict[str, Any]


class TeamBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``POST /teams`` and ``PATCH /teams/{id}``."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


@get("/teams", roles=SIGNED_IN, answer=Page[Row])
async def get_teams(tenant: Tenant, caller: Caller, limit: Limit = LIMIT_DEFAULT, after: After = None) -> RawJson:
    """Teams, newest first: all for the office, their own for everybody else."""
    filters = frozenset() if caller.role == "OWNER" else frozenset({"worker"})
    query = Query("homing.apps.fieldwork", "list_teams", filters, {"user": caller.user_id} if filters else {})
    async with tenant.database.connection() as conn:
        page = await list_rows(conn, query, table=_table(tenant), after=after, limit=limit)
    return RawJson(msgspec.json.encode(page))


@get("/teams/{team_id:uuid}", roles=SIGNED_IN, answer=Row)
async def get_team(tenant: Tenant, caller: Caller, team_id: UUID) -> RawJson:
    """One team, with its members."""
    return await _team(tenant, caller, team_id)


@post("/teams", roles=OFFICE, body=TeamBody, answer=Row)
async def post_team(request: Asked, tenant: Tenant, caller: Caller, claims: Claims) -> RawJson:
    """Create a team."""
    new = await read(request, TeamBody)
    made = await create(tenant.engine, claims, "fieldwork.team", {"name": new.name})
    return await _team(tenant, caller, made, status=201)


@patch("/teams/{team_id:uuid}", roles=OFFICE, body=TeamBody, answer=Row)
async def patch_team(request: Asked, tenant: Tenant, caller: Caller, claims: Claims, team_id: UUID) -> RawJson:
    """Rename a team."""
    change = await read(request, TeamBody)
    await update(tenant.engine, claims, "fieldwork.team", team_id, {"name": change.name})
    return await _team(tenant, caller, team_id)


@put("/teams/{team_id:uuid}/members/{user_id:uuid}", status_code=200, roles=OFFICE)
async def put_member(tenant: Tenant, caller: Caller, team_id: UUID, user_id: UUID) -> Member:
    """Make somebody a member; again is the same."""
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        return await teams.join(conn, team_id=team_id, user_id=user_id)


@delete("/teams/{team_id:uuid}/members/{user_id:uuid}", status_code=204, roles=OFFICE)
async def delete_member(tenant: Tenant, caller: Caller, team_id: UUID, user_id: UUID) -> None:
    """End a membership; the team's rows leave the person's devices with their next pull."""
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        await teams.leave(conn, team_id=team_id, user_id=user_id)


ROUTES = (get_teams, get_team, post_team, patch_team, put_member, delete_member)


def _table(tenant: Tenant) -> BoundTable:
    return tenant.engine.bound.by_resource_type["fieldwork.team"]


async def _team(tenant: Tenant, caller: Caller, team_id: UUID, *, status: int = 200) -> RawJson:
    async with tenant.database.connection() as conn:
        row = await read_row(conn, _table(tenant), caller, team_id)
        row = with_member(row, "members", await teams.read_members(conn, team_id))
    return RawJson(bytes(row), status=status)
