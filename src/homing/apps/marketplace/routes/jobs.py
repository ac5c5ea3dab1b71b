"""The routes of jobs: the market, one job, offering and ending one, and its proposals."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, get, patch, post
from litestar.params import QueryParameter

from homing.apps.marketplace.forms import Form, Platform, show_jobs, table_of
from homing.apps.marketplace.listings import (
    LIMIT_LISTING,
    BudgetKind,
    Cents,
    JobStatus,
    ProposalStatus,
    Skills,
    page_of_jobs,
    page_of_proposals,
    query_of,
    skills_of,
)
from homing.engine.caller import Caller, Claims
from homing.protocol.errors import Problem
from homing.server.answers import RawJson
from homing.server.bodies import read
from homing.server.pages import After, Limit, Page, Search
from homing.server.preconditions import tagged, update
from homing.server.routing import SIGNED_IN
from homing.server.rows import read_row, require_seen
from homing.server.tenant import Tenant
from homing.server.writing import Columns, create

Asked = Request[Any, Any, Any]
Row = dict[str, Any]
Box = Annotated[
    Literal["market", "offered", "taken"],
    QueryParameter(description="All open jobs; the caller's own as a client; those the caller was chosen for."),
]


class NewStatus(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``POST /jobs/{id}/status``. A job is begun by accepting a proposal. With ``server_version``, 409 where somebody
    else changed it since."""

    status: Literal["open", "completed", "cancelled"]
    server_version: int | msgspec.UnsetType = msgspec.UNSET


@get("/jobs", roles=SIGNED_IN, answer=Page[Row])
async def get_jobs(
    *,
    tenant: Tenant,
    caller: Caller,
    box: Box = "market",
    q: Search = None,
    skills: Skills = None,
    budget_kind: BudgetKind | None = None,
    budget_min: Cents = None,
    budget_max: Cents = None,
    status: JobStatus | None = None,
    platform: Platform = "web",
    limit: Limit = LIMIT_LISTING,
    after: After = None,
) -> RawJson:
    """Jobs, newest first. ``q`` finds words, ``"a phrase"``, ``this or that``, ``-not``. The office may ask the market
    for every ``status``, others for open jobs."""
    params: dict[str, Any] = {
        "q": q,
        "skills": skills_of(skills),
        "budget_kind": budget_kind,
        "budget_min": budget_min,
        "budget_max": budget_max,
        "status": status,
    }
    filters = []
    if box == "offered":
        params["client"] = caller.user_id
    elif box == "taken":
        params["freelancer"] = caller.user_id
    elif status in (None, "open"):
        filters, params["status"] = ["open"], None
    elif caller.role != "OWNER":
        raise Problem("invalid_parameter", "On the market only open jobs are listed; with box=offered your own.")
    query = query_of("list_jobs", params, filters)
    return await page_of_jobs(tenant, caller, query, form=platform, after=after, limit=limit)


@get("/jobs/marketplace", roles=SIGNED_IN, answer=Page[Row])
async def get_marketplace(
    *,
    tenant: Tenant,
    caller: Caller,
    q: Search = None,
    skills: Skills = None,
    budget_kind: BudgetKind | None = None,
    budget_min: Cents = None,
    budget_max: Cents = None,
    platform: Platform = "web",
    limit: Limit = LIMIT_LISTING,
    after: After = None,
) -> RawJson:
    """The market, as spec 4 addresses it: open jobs, newest first."""
    params = {
        "q": q,
        "skills": skills_of(skills),
        "budget_kind": budget_kind,
        "budget_min": budget_min,
        "budget_max": budget_max,
    }
    query = query_of("list_jobs", params, ["open"])
    return await page_of_jobs(tenant, caller, query, form=platform, after=after, limit=limit)


@get("/jobs/{job_id:uuid}", roles=SIGNED_IN, answer=Row)
async def get_job(tenant: Tenant, caller: Caller, job_id: UUID, platform: Platform = "web") -> RawJson:
    """One job: an open one, or one that the caller has to do with."""
    return await _job(tenant, caller, job_id, form=platform)


@post("/jobs", roles=SIGNED_IN, body=Row, answer=Row)
async def post_job(request: Asked, tenant: Tenant, caller: Caller, claims: Claims) -> RawJson:
    """Offer a job, by the rules of a push."""
    made = await create(tenant.engine, claims, "marketplace.job", await read(request, Columns))
    return await _job(tenant, caller, made, status=201)


@patch("/jobs/{job_id:uuid}", roles=SIGNED_IN, body=Row, answer=Row)
async def patch_job(request: Asked, tenant: Tenant, caller: Caller, claims: Claims, job_id: UUID) -> RawJson:
    """Change a job of one's own. With ``If-Match``, 412 where it changed since; with ``server_version``, 409 where
    others changed the same."""
    columns = await read(request, Columns)
    await update(request, tenant, caller, claims, table_of(tenant, "job"), job_id, columns)
    return await _job(tenant, caller, job_id)


@post("/jobs/{job_id:uuid}/status", status_code=200, roles=SIGNED_IN, body=NewStatus, answer=Row)
async def post_status(request: Asked, tenant: Tenant, caller: Caller, claims: Claims, job_id: UUID) -> RawJson:
    """Publish a draft, complete a job that was begun, or cancel it: then whoever proposed is told no."""
    columns = msgspec.json.decode(msgspec.json.encode(await read(request, NewStatus)), type=Columns)
    await update(request, tenant, caller, claims, table_of(tenant, "job"), job_id, columns)
    return await _job(tenant, caller, job_id)


@get("/jobs/{job_id:uuid}/proposals", roles=SIGNED_IN, answer=Page[Row])
async def get_job_proposals(
    *,
    tenant: Tenant,
    caller: Caller,
    job_id: UUID,
    status: ProposalStatus | None = None,
    platform: Platform = "web",
    limit: Limit = LIMIT_LISTING,
    after: After = None,
) -> RawJson:
    """Proposals for a job, newest first: all of them for its client, one's own for everybody else."""
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        job = msgspec.json.decode(await read_row(conn, table_of(tenant, "job"), caller, job_id))
    params: dict[str, Any] = {"job": job_id, "status": status}
    if caller.role != "OWNER" and job["client_id"] != str(caller.user_id):
        params["freelancer"] = caller.user_id
    query = query_of("list_proposals", params)
    return await page_of_proposals(tenant, caller, query, form=platform, after=after, limit=limit)


ROUTES = (get_jobs, get_job, post_job, patch_job, post_status, get_job_proposals)
SPEC_ROUTES = (get_marketplace,)


async def _job(tenant: Tenant, caller: Caller, job_id: UUID, *, form: Form = "web", status: int = 200) -> RawJson:
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        await require_seen(conn, table_of(tenant, "job"), caller, job_id)
        shown = await show_jobs(conn, tenant, [job_id], user=caller.user_id, form=form)
    if job_id not in shown:  # deleted in this instant
        raise Problem("not_found")
    return tagged(shown[job_id], status=status)
