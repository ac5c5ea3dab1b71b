"""Jobs: what waits, what runs, what lies dead; trying again and removing."""

from __future__ import annotations

from litestar import get, post

from homing.console.flash import good
from homing.console.shell import Asked, Html, render, see_other
from homing.jobs import listing
from homing.jobs.listing import Status
from homing.server.pages import LIMIT_DEFAULT, After, Limit, page_of, read_cursor
from homing.server.routes.jobs import Id, TaskName
from homing.server.routing import OFFICE
from homing.server.tenant import Tenant

STATES = ("waiting", "running", "dead")


@get("/jobs", roles=OFFICE)
async def get_jobs(
    *,
    request: Asked,
    tenant: Tenant,
    status: Status | None = None,
    task: TaskName = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Html:
    """Jobs, the oldest first."""
    place = read_cursor(after, tuple[Id])
    found = await listing.find(
        tenant.engine.owner,
        status=status,
        task=task or None,
        after=None if place is None else place[0],
        limit=limit + 1,
    )
    tabs = [("All", "/console/jobs", None), *((each.title(), f"/console/jobs?status={each}", None) for each in STATES)]
    return render(
        request,
        "jobs.html",
        title="Jobs",
        page=page_of(found, limit=limit, place=lambda job: (job.id,)),
        given={"status": status, "task": task},
        tabs=tabs,
        current=f"/console/jobs?status={status}" if status else "/console/jobs",
        after=after,
    )


@get("/jobs/{job_id:int}", roles=OFFICE)
async def get_job(request: Asked, tenant: Tenant, job_id: int) -> Html:
    """One job, and why each try failed."""
    job = await listing.show(tenant.engine.owner, job_id)
    return render(request, "job.html", title=f"{job.task} {job.id}", crumbs=[("Jobs", "/console/jobs")], job=job)


@post("/jobs/{job_id:int}/retry", roles=OFFICE, reads=True)
async def post_retry(tenant: Tenant, job_id: int) -> Html:
    """Try it at once."""
    await listing.retry(tenant.engine.owner, job_id)
    return see_other(f"/console/jobs/{job_id}", good("It is tried again at once."))


@post("/jobs/{job_id:int}/discard", roles=OFFICE, reads=True)
async def post_discard(tenant: Tenant, job_id: int) -> Html:
    """Remove it."""
    await listing.discard(tenant.engine.owner, job_id)
    return see_other("/console/jobs", good("The job is removed."))


ROUTES = [get_jobs, get_job, post_retry, post_discard]
