"""Jobs, for the office: what waits, what runs, what lies dead."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import delete, get, post
from litestar.params import QueryParameter

from homing.jobs import listing
from homing.jobs.listing import JobDetail, JobSummary, Status
from homing.server.pages import LIMIT_DEFAULT, After, Limit, Page, page_of, read_cursor
from homing.server.routing import OFFICE
from homing.server.tenant import Tenant

Id = Annotated[int, msgspec.Meta(ge=0, lt=listing.ID_END)]
TaskName = Annotated[str | None, QueryParameter(max_length=128, description="Jobs of one kind.")]


@get("/admin/jobs", roles=OFFICE)
async def get_jobs(
    *,
    tenant: Tenant,
    status: Status | None = None,
    task: TaskName = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Page[JobSummary]:
    """Jobs that wait, run or are dead, the oldest first."""
    place = read_cursor(after, tuple[Id])
    found = await listing.find(
        tenant.engine.owner, status=status, task=task, after=None if place is None else place[0], limit=limit + 1
    )
    return page_of(found, limit=limit, place=lambda job: (job.id,))


@get("/admin/jobs/{job_id:int}", roles=OFFICE)
async def get_job(tenant: Tenant, job_id: int) -> JobDetail:
    """One job with its arguments, and why each try failed."""
    return await listing.show(tenant.engine.owner, job_id)


@post("/admin/jobs/{job_id:int}/retry", status_code=200, roles=OFFICE)
async def post_retry(tenant: Tenant, job_id: int) -> JobDetail:
    """Try it at once, with all of its tries before it."""
    return await listing.retry(tenant.engine.owner, job_id)


@delete("/admin/jobs/{job_id:int}", status_code=204, roles=OFFICE)
async def delete_job(tenant: Tenant, job_id: int) -> None:
    """Remove a job that is not running."""
    await listing.discard(tenant.engine.owner, job_id)


ROUTES = [get_jobs, get_job, post_retry, delete_job]
