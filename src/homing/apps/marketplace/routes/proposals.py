"""The routes of proposals: send, change, decide."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, get, patch, post
from litestar.params import QueryParameter

from homing.apps.marketplace.forms import Form, Platform, show_proposals, table_of
from homing.apps.marketplace.listings import LIMIT_LISTING, ProposalStatus, page_of_proposals, query_of
from homing.engine.caller import Caller, Claims
from homing.protocol.errors import Problem
from homing.server.answers import RawJson
from homing.server.bodies import read
from homing.server.pages import After, Limit, Page
from homing.server.preconditions import tagged, update
from homing.server.routing import SIGNED_IN
from homing.server.rows import require_seen
from homing.server.tenant import Tenant
from homing.server.writing import Columns, create

Asked = Request[Any, Any, Any]
Row = dict[str, Any]
Box = Annotated[Literal["sent", "received"], QueryParameter(description="The caller's own, or for the caller's jobs.")]
Job = Annotated[UUID | None, QueryParameter(description="Only for this job.")]


class Decision(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``POST /proposals/{id}/status``. With ``server_version``, 409 where it is not of that version any more."""

    status: Literal["shortlisted", "accepted", "rejected", "withdrawn"]
    server_version: int | msgspec.UnsetType = msgspec.UNSET


@get("/proposals", roles=SIGNED_IN, answer=Page[Row])
async def get_proposals(
    *,
    tenant: Tenant,
    caller: Caller,
    box: Box = "sent",
    status: ProposalStatus | None = None,
    job: Job = None,
    platform: Platform = "web",
    limit: Limit = LIMIT_LISTING,
    after: After = None,
) -> RawJson:
    """The caller's proposals, newest first."""
    side = "freelancer" if box == "sent" else "client"
    query = query_of("list_proposals", {side: caller.user_id, "status": status, "job": job})
    return await page_of_proposals(tenant, caller, query, form=platform, after=after, limit=limit)


@get("/proposals/{proposal_id:uuid}", roles=SIGNED_IN, answer=Row)
async def get_proposal(tenant: Tenant, caller: Caller, proposal_id: UUID, platform: Platform = "web") -> RawJson:
    """One proposal, for who sent it and whose job it is for."""
    return await _proposal(tenant, caller, proposal_id, form=platform)


@post("/proposals", roles=SIGNED_IN, body=Row, answer=Row)
async def post_proposal(request: Asked, tenant: Tenant, caller: Caller, claims: Claims) -> RawJson:
    """Propose for an open job, by the rules of a push: once for each job."""
    made = await create(tenant.engine, claims, "marketplace.proposal", await read(request, Columns))
    return await _proposal(tenant, caller, made, status=201)


@patch("/proposals/{proposal_id:uuid}", roles=SIGNED_IN, body=Row, answer=Row)
async def patch_proposal(request: Asked, tenant: Tenant, caller: Caller, claims: Claims, proposal_id: UUID) -> RawJson:
    """Change the terms of one's own proposal while it is undecided. Proposals are locked by their version: 412 with
    ``If-Match``, 409 with ``server_version``, where it is another by now."""
    columns = await read(request, Columns)
    await update(request, tenant, caller, claims, table_of(tenant, "proposal"), proposal_id, columns)
    return await _proposal(tenant, caller, proposal_id)


@post("/proposals/{proposal_id:uuid}/status", status_code=200, roles=SIGNED_IN, body=Decision, answer=Row)
async def post_decision(request: Asked, tenant: Tenant, caller: Caller, claims: Claims, proposal_id: UUID) -> RawJson:
    """Decide about a proposal for one's own job, or withdraw one's own. Accepting begins the job and rejects the
    others, all at once."""
    columns = msgspec.json.decode(msgspec.json.encode(await read(request, Decision)), type=Columns)
    await update(request, tenant, caller, claims, table_of(tenant, "proposal"), proposal_id, columns)
    return await _proposal(tenant, caller, proposal_id)


ROUTES = (get_proposals, get_proposal, post_proposal, patch_proposal, post_decision)


async def _proposal(
    tenant: Tenant, caller: Caller, proposal_id: UUID, *, form: Form = "web", status: int = 200
) -> RawJson:
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        await require_seen(conn, table_of(tenant, "proposal"), caller, proposal_id)
        shown = await show_proposals(conn, tenant, [proposal_id], form=form)
    if proposal_id not in shown:  # deleted in this instant
        raise Problem("not_found")
    return tagged(shown[proposal_id], status=status)
