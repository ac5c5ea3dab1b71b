"""``homing jobs``: what waits, what runs, what lies dead."""

from __future__ import annotations

import msgspec
from cyclopts import App

from homing.cli._shell import HERE, Json, Limit, Where, run, show
from homing.jobs import listing
from homing.jobs.listing import JobDetail, JobSummary, Status
from homing.server.tenant import Tenant

command = App(name="jobs", help="List jobs, look at one, try a dead one again or discard it.")


class Discarded(msgspec.Struct):
    discarded: int


@command.command(name="list")
def list_(
    where: Where = HERE, *, status: Status | None = None, task: str | None = None, limit: Limit = 50, json: Json = False
) -> None:
    """List jobs, the oldest first. What was done is not there any more; ``--status dead`` waits for somebody."""

    async def work(tenant: Tenant) -> list[JobSummary]:
        return await listing.find(tenant.engine.owner, status=status, task=task, limit=limit)

    columns = ("id", "task", "status", "key", "attempts", "not_before", "enqueued_at", "error")
    show(run(work, where), as_json=json, columns=columns)


@command.command(name="show")
def show_(job: int, where: Where = HERE, *, json: Json = False) -> None:
    """One job with its arguments, and why each try failed."""

    async def work(tenant: Tenant) -> JobDetail:
        return await listing.show(tenant.engine.owner, job)

    show(run(work, where), as_json=json)


@command.command
def retry(job: int, where: Where = HERE, *, json: Json = False) -> None:
    """Try a dead job again, or one that waits for its next try, at once. A running server does it."""

    async def work(tenant: Tenant) -> JobDetail:
        return await listing.retry(tenant.engine.owner, job)

    show(run(work, where), as_json=json)


@command.command
def discard(job: int, where: Where = HERE, *, json: Json = False) -> None:
    """Remove a job that is not running."""

    async def work(tenant: Tenant) -> Discarded:
        await listing.discard(tenant.engine.owner, job)
        return Discarded(job)

    show(run(work, where), as_json=json)
