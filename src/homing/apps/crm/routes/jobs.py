"""The routes of jobs: dashboards, one with everything, write, status, people, history."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, delete, get, patch, post, put
from litestar.params import QueryParameter

from homing.apps.crm.assignments import Assignment, read_assignments
from homing.apps.crm.dashboards import PACKAGE, checklist, describe, owner_jobs, worker_jobs
from homing.apps.crm.rules import TRANSITIONS
from homing.apps.crm.trail import StatusChange, read_activity, read_history
from homing.engine.caller import Caller, Claims
from homing.engine.tables import BoundTable
from homing.postgres.sql import Connection, fetch_one, load
from homing.protocol.errors import Problem
from homing.server import writing
from homing.server.answers import RawJson
from homing.server.bodies import read
from homing.server.listing import Query
from homing.server.pages import LIMIT_DEFAULT, LIMIT_MAX, After, Limit, Page
from homing.server.routing import OFFICE, SIGNED_IN
from homing.server.rows import read_row, read_rows, with_member
from homing.server.tenant import Tenant
from homing.server.writing import Columns, create, update

Asked = Request[Any, Any, Any]
Row = dict[str, Any]
Status = Literal["NOT_STARTED", "IN_PROGRESS", "WAITING_ON_MATERIALS", "COMPLETED", "ON_HOLD"]
TYPE = "crm.job"
LATEST = 50
"""Entries of history and activity shown with a job; the lists have all."""

View = Annotated[
    Literal["owner", "worker"] | None,
    QueryParameter(
        description="`owner`: what is not completed, the latest changed first. `worker`: the caller's next."
    ),
]
Filter = Annotated[UUID | None, QueryParameter(description="Only jobs of this one; for the office.")]


class NewStatus(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``POST /jobs/{id}/status``. With ``server_version``, 409 where somebody else changed it since."""

    status: Status
    notes: str | msgspec.UnsetType | None = msgspec.UNSET
    server_version: int | msgspec.UnsetType = msgspec.UNSET


class Who(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``POST /jobs/{id}/assignments``."""

    user_id: UUID


class Assignments(msgspec.Struct, frozen=True):
    """Everybody on a job."""

    items: list[Assignment]


@get("/jobs", roles=SIGNED_IN, answer=Page[Row])
async def get_jobs(
    *,
    tenant: Tenant,
    caller: Caller,
    view: View = None,
    status: Status | None = None,
    customer: Filter = None,
    worker: Filter = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> RawJson:
    """The caller's dashboard: the office's of all jobs that are not completed (or those of a ``status``, a
    ``customer``, a ``worker``), a worker's of the jobs to do."""
    office = caller.role == "OWNER"
    view = view or ("owner" if office else "worker")
    if view == "owner" and not office:
        raise Problem("forbidden", "This dashboard is the office's.")
    if view == "worker" and (status, customer) != (None, None):
        raise Problem("invalid_parameter", "view=worker has no status and no customer.")
    if worker is not None and not office and worker != caller.user_id:
        raise Problem("forbidden", "Other people's jobs are the office's to see.")
    table = tenant.engine.bound.by_resource_type[TYPE]
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        if view == "worker":
            page = await worker_jobs(conn, worker or caller.user_id, table=table, after=after, limit=limit)
        else:
            named = {"status": status, "customer": customer, "worker": worker}
            params = {name: value for name, value in named.items() if value is not None}
            filters = frozenset(params) if status is not None else frozenset(params) | {"active"}
            query = Query(PACKAGE, "list_jobs", filters, params)
            page = await owner_jobs(conn, query, table=table, after=after, limit=limit)
    return RawJson(msgspec.json.encode(page))


@get("/jobs/transitions", roles=SIGNED_IN)
async def get_transitions() -> dict[str, list[str]]:
    """Status → what may come next."""
    return {before: sorted(after) for before, after in TRANSITIONS.items()}


@get("/jobs/{job_id:uuid}", roles=SIGNED_IN, answer=Row)
async def get_job(tenant: Tenant, caller: Caller, job_id: UUID) -> RawJson:
    """One job with everything: customer, assignments, materials, and the latest of history and activity."""
    return await _job(tenant, caller, job_id)


@post("/jobs", roles=OFFICE, body=Row, answer=Row)
async def post_job(request: Asked, tenant: Tenant, caller: Caller, claims: Claims) -> RawJson:
    """Make a job, by the rules of a push."""
    made = await create(tenant.engine, claims, TYPE, await read(request, Columns))
    return await _job(tenant, caller, made, status=201)


@patch("/jobs/{job_id:uuid}", roles=SIGNED_IN, body=Row, answer=Row)
async def patch_job(request: Asked, tenant: Tenant, caller: Caller, claims: Claims, job_id: UUID) -> RawJson:
    """Change a job: everything for the office, status and notes for those assigned. With ``server_version``, 409 where
    others changed the same."""
    await update(tenant.engine, claims, TYPE, job_id, await read(request, Columns))
    return await _job(tenant, caller, job_id)


@delete("/jobs/{job_id:uuid}", roles=OFFICE)
async def delete_job(tenant: Tenant, claims: Claims, job_id: UUID) -> None:
    """Delete a job with its materials, assignments and history. The trail keeps what happened."""
    await writing.delete(tenant.engine, claims, TYPE, job_id)


@post("/jobs/{job_id:uuid}/status", status_code=200, roles=SIGNED_IN, body=NewStatus, answer=Row)
async def post_status(request: Asked, tenant: Tenant, caller: Caller, claims: Claims, job_id: UUID) -> RawJson:
    """Take a job to its next status, along the transitions."""
    new = await read(request, NewStatus)
    await update(tenant.engine, claims, TYPE, job_id, msgspec.json.decode(msgspec.json.encode(new), type=Columns))
    return await _job(tenant, caller, job_id)


@get("/jobs/{job_id:uuid}/assignments", roles=SIGNED_IN)
async def get_assignments(tenant: Tenant, caller: Caller, job_id: UUID) -> Assignments:
    """Who is on a job."""
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        await _see(conn, tenant, caller, job_id)
        return Assignments(await read_assignments(conn, job_id))


@post("/jobs/{job_id:uuid}/assignments", roles=OFFICE, body=Who)
async def post_assignment(request: Asked, tenant: Tenant, caller: Caller, claims: Claims, job_id: UUID) -> Assignments:
    """Assign somebody: the whole job is on their phone with its next sync."""
    return await _assign(tenant, caller, claims, job_id, (await read(request, Who)).user_id)


@put("/jobs/{job_id:uuid}/assignments/{user_id:uuid}", roles=OFFICE)
async def put_assignment(tenant: Tenant, caller: Caller, claims: Claims, job_id: UUID, user_id: UUID) -> Assignments:
    """Assign somebody. Again is the same."""
    async with tenant.database.connection() as conn:
        there = await fetch_one(conn, load(PACKAGE, "find_assignment"), {"job": job_id, "user": user_id})
    if there is None:
        try:
            return await _assign(tenant, caller, claims, job_id, user_id)
        except Problem as problem:
            if problem.code.code != "already_exists":  # otherwise: somebody else did it in the same instant
                raise
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        return Assignments(await read_assignments(conn, job_id))


@delete("/jobs/{job_id:uuid}/assignments/{user_id:uuid}", roles=OFFICE)
async def delete_assignment(
    tenant: Tenant,
    claims: Claims,
    job_id: UUID,
    user_id: UUID,
) -> None:
    """Take somebody off a job: it leaves their phone with its next sync. Edits they have not sent yet are refused and
    stay on the phone, where they see them."""
    async with tenant.database.connection() as conn:
        row = await fetch_one(conn, load(PACKAGE, "find_assignment"), {"job": job_id, "user": user_id})
    if row is None:
        raise Problem("not_found")
    await writing.delete(tenant.engine, claims, "crm.job_assignment", row[0])


@get("/jobs/{job_id:uuid}/history", roles=SIGNED_IN)
async def get_history(
    tenant: Tenant, caller: Caller, job_id: UUID, limit: Limit = LIMIT_DEFAULT, after: After = None
) -> Page[StatusChange]:
    """How a job went, the latest first."""
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        await _see(conn, tenant, caller, job_id)
        return await read_history(conn, job_id, after=after, limit=limit)


ROUTES = (
    get_jobs,
    get_transitions,
    get_job,
    post_job,
    patch_job,
    delete_job,
    post_status,
    get_assignments,
    post_assignment,
    put_assignment,
    delete_assignment,
    get_history,
)


def _table(tenant: Tenant, resource_type: str = TYPE) -> BoundTable:
    return tenant.engine.bound.by_resource_type[resource_type]


async def _see(conn: Connection, tenant: Tenant, caller: Caller, job_id: UUID) -> msgspec.Raw:
    """The job's row, if the caller holds it. Raises Problem("not_found")."""
    return await read_row(conn, _table(tenant), caller, job_id)


async def _assign(tenant: Tenant, caller: Caller, claims: Claims, job_id: UUID, user_id: UUID) -> Assignments:
    await create(tenant.engine, claims, "crm.job_assignment", {"job_id": str(job_id), "user_id": str(user_id)})
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        return Assignments(await read_assignments(conn, job_id))


async def _job(tenant: Tenant, caller: Caller, job_id: UUID, *, status: int = 200) -> RawJson:
    """A job with everything, in one snapshot."""
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        seen = msgspec.json.decode(await _see(conn, tenant, caller, job_id))
        described = await describe(conn, _table(tenant), [job_id])
        if not described:  # deleted in this instant
            raise Problem("not_found")
        row = described[0]
        customer_id = UUID(seen["customer_id"])
        customers = await read_rows(conn, _table(tenant, "crm.customer"), [customer_id])
        materials = await checklist(conn, job_id, table=_table(tenant, "crm.material"), after=None, limit=LIMIT_MAX)
        more: dict[str, Any] = {
            "customer": customers[customer_id],
            "assignments": await read_assignments(conn, job_id),
            "materials": materials.items,
            "history": (await read_history(conn, job_id, after=None, limit=LATEST)).items,
            "activity": (await read_activity(conn, {"job": job_id}, after=None, limit=LATEST)).items,
        }
    for name, value in more.items():
        row = with_member(row, name, value)
    return RawJson(bytes(row), status=status)
